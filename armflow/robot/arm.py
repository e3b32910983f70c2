"""The `Arm` protocol: what every arm, simulated or real, answers to."""

from typing import Protocol, runtime_checkable

import numpy as np

from armflow.robot.chunk import ActionChunk

__all__ = ["Arm"]


@runtime_checkable
class Arm(Protocol):
    """An arm with one gripper; every command passes `robot.limiter` before it moves anything."""

    def read_q(self) -> np.ndarray:
        """Return the measured joint positions [D], rad."""
        ...

    def read_gripper(self) -> float:
        """Return the measured opening as a fraction, 0 closed to 1 open."""
        ...

    def execute(self, chunk: ActionChunk) -> ActionChunk:
        """Run a chunk to its end and return what was really sent after the limits."""
        ...
