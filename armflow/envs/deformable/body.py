"""`SoftBody`: a thing that bends, as MJCF for MuJoCo and as a surface for cameras."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from armflow.robot.arrays import check_shape
from armflow.robot.errors import ValueRangeError

__all__ = ["CATEGORIES", "MATERIAL", "Ranges", "SoftBody", "Surface", "between"]

CATEGORIES = ("rope", "cloth", "plush", "box")
MATERIAL = ("stiffness", "size", "friction", "mass")  # what `SoftBody.material` tells, in the order of recordings

Surface = Callable[[Any], np.ndarray]
"""From a simulation's `MjData` to the surface's vertices [V, 3], world, m."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Which part of its range each property of a thing is drawn from; 0 and 1 are the ends of the usual range.

    Values beyond 0 to 1 make things of a kind that the usual draw never yields.

    Attributes:
        material: Least and greatest share of all but sizes.
        size: Of what is called "size" or "radius".
    """

    material: tuple[float, float] = (0.0, 1.0)
    size: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Check order and bounds.

        Raises:
            ValueRangeError: A range is empty, or reaches where bodies cannot be made.
        """
        for name in ("material", "size"):
            low, high = getattr(self, name)
            if not -0.25 <= low <= high <= 1.5:
                raise ValueRangeError(name, (low, high), "least and greatest share, -0.25 to 1.5")

    def draw(self, names: Sequence[str], *, rng: np.random.Generator) -> dict[str, float]:
        """Draw the share of each property."""
        sized = [self.size if name in ("size", "radius") else self.material for name in names]
        low, high = np.transpose(sized)
        return dict(zip(names, (low + (high - low) * rng.uniform(size=len(names))).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class SoftBody:
    """One object of a scene.

    Attributes:
        name: Such as "rope"; also the first word of the names of all its parts in the simulation.
        category: One of `CATEGORIES`.
        xml: Its bodies, for MJCF's <worldbody>.
        extra_xml: What else MJCF needs: children of <mujoco>, such as <contact> or <equality>.
        surface: Gives its vertices from the `MjModel` that the XML became: `surface(model)(data)`.
        lay: Brings the simulation's qpos from the XML's pose to the start of the episode: `lay(model, data)`.
        faces: [F, 3] triangles, counter-clockwise from outside.
        colors: [F, 3] red, green, blue in 0 to 1.
        two_sided: Whether both sides of a face are seen, as a cloth's are.
        substeps: Steps of the simulation in one control step.
        material: What was drawn for this scene, by name: stiffness, size, friction, mass, each scaled to about 0 to 1.
    """

    name: str
    category: str
    xml: str
    surface: Callable[[Any], Surface]
    lay: Callable[[Any, Any], None]
    faces: np.ndarray
    colors: np.ndarray
    extra_xml: str = ""
    two_sided: bool = False
    substeps: int = 10
    material: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check shapes.

        Raises:
            ShapeError: faces or colors are not [F, 3].
        """
        sizes = check_shape("faces", self.faces, "F 3")
        check_shape("colors", self.colors, "F 3", sizes)


def between(bounds: tuple[float, float], share: float) -> float:
    """The value at a share of the way from the first bound to the second."""
    return bounds[0] + share * (bounds[1] - bounds[0])
