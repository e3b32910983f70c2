"""`FreeHand`: the hand of a world without its arm, for recorded interaction.

A hand that goes straight from pose to pose, whatever an arm could do, explores contact faster; what the object feels
is the same.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.envs.world import Physics
from armflow.robot.model import RobotModel

__all__ = ["FreeHand", "HandWorld", "hand_down"]


class HandWorld(Protocol):
    """A world whose hand moves without an arm, as `SoftWorld` and `BulletRope` are."""

    arm: RobotModel
    physics: Physics
    hand: Any

    def place_hand(self, T_world_tool: RigidTransform, opening: float) -> None:
        """Put the hand somewhere at once, at rest."""
        ...

    def draw_hand(self, tools: Sequence[RigidTransform], openings: np.ndarray) -> None:
        """Run one control step with the hand drawn along poses and openings, one of each a substep."""
        ...


def hand_down(place: np.ndarray, yaw: float, opening: float) -> np.ndarray:
    """Pose [8] of fingertips at a place [3], m, that point down, turned by yaw, rad."""
    turn = Rotation.from_euler("z", yaw) * Rotation.from_euler("x", np.pi)
    return np.concatenate([place, turn.as_quat(scalar_first=True), [opening]])


class FreeHand:
    """Poses are [8]: the point between the fingertips, m; quaternion wxyz; opening, 0 closed to 1 open.

    Attributes:
        command: Where the hand was last sent.
    """

    def __init__(self, world: HandWorld, start: np.ndarray) -> None:
        """Put the hand of a loaded world at a pose [8]."""
        self._world, self.command = world, start
        world.place_hand(self._tools(start[None])[0], float(start[7]))

    @property
    def tip(self) -> np.ndarray:
        """From the hand's frame to the point between the fingertips [3], m."""
        return np.array([0.0, 0.0, self._world.arm.gripper.tip])

    def state(self) -> np.ndarray:
        """Measured pose [8]."""
        pose = self._world.hand.pose7()
        pose[:3] += Rotation.from_quat(pose[3:], scalar_first=True).apply(self.tip)
        return np.append(pose, self._world.hand.opening())

    def step(self, command: np.ndarray) -> None:
        """Go evenly to a commanded pose [8] within one control step."""
        shares = np.arange(1, self._world.physics.substeps + 1) / self._world.physics.substeps
        between = self.command + shares[:, None] * (command - self.command)
        between[:, 3:7] /= np.linalg.norm(between[:, 3:7], axis=1, keepdims=True)
        self._world.draw_hand(self._tools(between), between[:, 7])
        self.command = command

    def _tools(self, poses: np.ndarray) -> list[RigidTransform]:
        """Poses of the hand's frame for poses [K, 8] of the fingertips."""
        turns = Rotation.from_quat(poses[:, 3:7], scalar_first=True)
        places = poses[:, :3] - turns.apply(self.tip)
        return list(RigidTransform.from_components(places, turns))
