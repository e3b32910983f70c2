"""`ObjectState`: one object as moving particles; `ShapeState`: one that bends, with the shape in which it rests."""

from dataclasses import dataclass

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ShapeError

__all__ = ["ObjectState", "ShapeState"]


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


@dataclass(frozen=True, slots=True)
class ShapeState:
    """Particles on the surface of an object that bends.

    Attributes:
        name: What the object is called, such as "rope".
        points_world: [N, 3] positions, m.
        velocities_world: [N, 3] m/s.
        rest_world: [N, 3] the same particles as they were when the object was first seen, m: which of them are
            neighbours, and how far apart, is read from here.
        stamp: Time of the observation, s.
    """

    name: str
    points_world: np.ndarray
    velocities_world: np.ndarray
    rest_world: np.ndarray
    stamp: float

    def __post_init__(self) -> None:
        """Check shapes and finiteness.

        Raises:
            ShapeError: No point, shapes that disagree, or an entry that is not finite.
        """
        sizes = check_shape("points_world", self.points_world, "N 3")
        if sizes["N"] == 0:
            raise ShapeError("points_world", "an array [N, 3] with N >= 1", self.points_world.shape)
        for name in ("points_world", "velocities_world", "rest_world"):
            check_shape(name, getattr(self, name), "N 3", sizes)
            check_finite(name, getattr(self, name))
