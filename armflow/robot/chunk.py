"""`ActionChunk`: a short stretch of joint and gripper targets at a fixed rate."""

from dataclasses import dataclass

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ShapeError, ValueRangeError

__all__ = ["ActionChunk"]


@dataclass(frozen=True, slots=True)
class ActionChunk:
    """Joint targets to be reached one every `dt` seconds, the first one `dt` after `stamp`.

    Attributes:
        q: [H, D] joint targets, rad (m for a prismatic joint).
        gripper: [H] opening as a fraction, 0 closed to 1 open.
        dt: Time between rows, s.
        stamp: Time at which the chunk starts, s.
    """

    q: np.ndarray
    gripper: np.ndarray
    dt: float
    stamp: float

    def __post_init__(self) -> None:
        """Check shapes, finiteness and ranges.

        Raises:
            ShapeError: q is not [H, D], gripper not [H], H is 0, or an entry is not finite.
            ValueRangeError: dt <= 0, stamp not finite, or the gripper leaves 0..1.
        """
        sizes = check_shape("q", self.q, "H D")
        check_shape("gripper", self.gripper, "H", sizes)
        if sizes["H"] == 0:
            raise ShapeError("q", "an array [H, D] with H >= 1", self.q.shape)
        check_finite("q", self.q)
        check_finite("gripper", self.gripper)
        if not (np.isfinite(self.dt) and self.dt > 0):
            raise ValueRangeError("dt", self.dt, "positive and finite, in seconds")
        if not np.isfinite(self.stamp):
            raise ValueRangeError("stamp", self.stamp, "finite, in seconds")
        if self.gripper.min() < 0.0 or self.gripper.max() > 1.0:
            raise ValueRangeError("gripper", (self.gripper.min(), self.gripper.max()), "within 0 (closed) and 1 (open)")

    @property
    def horizon(self) -> int:
        """Number of rows H."""
        return len(self.q)
