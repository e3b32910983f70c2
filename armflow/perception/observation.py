"""`Observation`: all that a controller may see at one moment."""

from dataclasses import dataclass

import numpy as np

from armflow.perception.frame import RGBDFrame

__all__ = ["Observation"]


@dataclass(frozen=True, slots=True)
class Observation:
    """What the rig measures: one camera frame and the arm's own encoders; a task may add numbers of its own.

    Attributes:
        frame: The newest camera frame; a blank one for a controller that says `needs_frame = False`.
        q: [D] measured joint positions, rad.
        gripper: Measured opening, 0 closed to 1 open.
        stamp: Time of the joint reading, s.
        state: [S] numbers the task itself offers to a policy, as its benchmark defines; None where a policy works from
            images.
        goal: [G] the goal in numbers that goes with them; None likewise.
        goal_points: [P, 3] the goal as a cloud of surface points, m, world, where the instruction is one; else None.
    """

    frame: RGBDFrame
    q: np.ndarray
    gripper: float
    stamp: float
    state: np.ndarray | None = None
    goal: np.ndarray | None = None
    goal_points: np.ndarray | None = None
