"""The `Task` protocol, and what all tasks share: state and sparse reward."""

from typing import Protocol, runtime_checkable

import numpy as np

from armflow.envs.world import World
from armflow.robot.model import RobotModel

__all__ = ["Task", "body_state", "sparse_reward"]


@runtime_checkable
class Task(Protocol):
    """One kind of episode. One object serves many episodes: `build` starts the next one.

    Only scoring, tests and state observations look at `target`, `reference`, goals and success; a controller that works
    from images is given `instruction` and nothing else.

    Attributes:
        name: Such as "Push".
        max_seconds: Time limit of an episode, s.
        instruction: The task in words, set by `build`.
        target: Handle of the body that shall move, set by `build`.
        reference: Handle of the body it is related to (the target itself where there is none), set by `build`.
    """

    name: str
    max_seconds: float
    instruction: str
    target: int
    reference: int

    def build(self, world: World, arm: RobotModel, *, rng: np.random.Generator) -> None:
        """Put the bodies of a new episode into the empty world (table and arm at home) and choose the words."""
        ...

    def update(self, world: World) -> None:
        """Take note of one control step that has just ended (for conditions that must last)."""
        ...

    def state(self, world: World) -> np.ndarray:
        """Return the privileged state [S], of one length in all episodes; `body_state` of the bodies that matter."""
        ...

    def achieved_goal(self, world: World) -> np.ndarray:
        """Return where the thing that counts is now, [3]."""
        ...

    def desired_goal(self, world: World) -> np.ndarray:
        """Return where it shall be, [3]."""
        ...

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell from goals [..., 3] alone whether they are met, [...] bool."""
        ...

    def is_success(self, world: World) -> bool:
        """Tell whether the task is done: goals met, and released and at rest where the task asks for it."""
        ...

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Return the dense reward [...] of goals [..., 3]: 0 at the goal, falling with distance, m."""
        ...


def body_state(world: World, *handles: int) -> np.ndarray:
    """Poses (position m, quaternion wxyz) and velocities (m/s, rad/s) of bodies, [13 per body]."""
    return np.concatenate([part for handle in handles for part in (world.pose7(handle), world.velocity(handle))])


def sparse_reward(met: np.ndarray) -> np.ndarray:
    """Return 0 where a goal is met and -1 elsewhere, [...]."""
    return np.where(met, 0.0, -1.0)
