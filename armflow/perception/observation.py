"""`Observation`: all that a controller may see at one moment."""

from dataclasses import dataclass

import numpy as np

from armflow.perception.frame import RGBDFrame

__all__ = ["Observation"]


@dataclass(frozen=True, slots=True)
class Observation:
    """What the rig measures: one camera frame and the arm's own encoders.

    Attributes:
        frame: The newest camera frame.
        q: [D] measured joint positions, rad.
        gripper: Measured opening, 0 closed to 1 open.
        stamp: Time of the joint reading, s.
    """

    frame: RGBDFrame
    q: np.ndarray
    gripper: float
    stamp: float
