"""`Flow3D`: where each point of an object is at each step."""

from dataclasses import dataclass

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ShapeError, ValueRangeError

__all__ = ["Flow3D"]


@dataclass(frozen=True, slots=True)
class Flow3D:
    """Paths of N points of one object over T steps.

    Attributes:
        points_world: [T, N, 3] positions, m; row 0 is observed, later rows are predicted or tracked.
        visible: [T, N] bool; False where the position is a guess.
        dt: Time between rows, s.
    """

    points_world: np.ndarray
    visible: np.ndarray
    dt: float

    def __post_init__(self) -> None:
        """Check shapes, finiteness and the time step.

        Raises:
            ShapeError: Shapes disagree, there is no row or no point, or a coordinate is not finite.
            ValueRangeError: dt <= 0.
        """
        sizes = check_shape("points_world", self.points_world, "T N 3")
        check_shape("visible", self.visible, "T N", sizes)
        if min(sizes["T"], sizes["N"]) == 0:
            raise ShapeError("points_world", "an array [T, N, 3] with T, N >= 1", self.points_world.shape)
        check_finite("points_world", self.points_world)
        if not (np.isfinite(self.dt) and self.dt > 0):
            raise ValueRangeError("dt", self.dt, "positive and finite, in seconds")
