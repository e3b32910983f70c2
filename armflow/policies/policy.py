"""The `Controller` protocol: flow planner, learned policy and MPPI alike."""

from typing import Protocol, runtime_checkable

from armflow.perception.observation import Observation
from armflow.robot.chunk import ActionChunk

__all__ = ["Controller"]


@runtime_checkable
class Controller(Protocol):
    """Turns observations into chunks for the arm; does not know whether the world is simulated."""

    def reset(self, instruction: str) -> None:
        """Forget the last episode and take a new task in words."""
        ...

    def act(self, observation: Observation) -> ActionChunk | None:
        """Return the next chunk, or None when the task is done or given up."""
        ...

    def status(self) -> str:
        """Say in one sentence what the controller is doing, or why it stopped."""
        ...
