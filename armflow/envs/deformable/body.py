"""`SoftBody`: a thing that bends, as MJCF for MuJoCo and as a surface for cameras."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from armflow.robot.arrays import check_shape

__all__ = ["CATEGORIES", "SoftBody", "Surface"]

CATEGORIES = ("rope", "cloth", "plush", "box")

Surface = Callable[[Any], np.ndarray]
"""From a simulation's `MjData` to the surface's vertices [V, 3], world, m."""


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
    material: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check shapes.

        Raises:
            ShapeError: faces or colors are not [F, 3].
        """
        sizes = check_shape("faces", self.faces, "F 3")
        check_shape("colors", self.colors, "F 3", sizes)
