"""`ObjectState`: one object as moving particles."""

from dataclasses import dataclass

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ShapeError

__all__ = ["ObjectState"]


@dataclass(frozen=True, slots=True)
class ObjectState:
    """Particles on one object's surface.

    Attributes:
        name: What the object is called, such as "red block".
        points_world: [N, 3] positions, m.
        velocities_world: [N, 3] m/s.
        stamp: Time of the observation, s.
    """

    name: str
    points_world: np.ndarray
    velocities_world: np.ndarray
    stamp: float

    def __post_init__(self) -> None:
        """Check shapes and finiteness.

        Raises:
            ShapeError: No point, shapes that disagree, or an entry that is not finite.
        """
        sizes = check_shape("points_world", self.points_world, "N 3")
        check_shape("velocities_world", self.velocities_world, "N 3", sizes)
        if sizes["N"] == 0:
            raise ShapeError("points_world", "an array [N, 3] with N >= 1", self.points_world.shape)
        check_finite("points_world", self.points_world)
        check_finite("velocities_world", self.velocities_world)
