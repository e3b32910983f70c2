"""What bodies are made of: parts, sliding links and bodies, and makers for the usual ones.

Frames follow `perception.detection`: a block's origin is its centre, a disc's the centre of its top face, an open
tube's (cup, holder, mug) the centre of its bottom, a cabinet's the centre of its bottom with the drawer opening to +x.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.robot.errors import ChoiceError, ShapeError, ValueRangeError

__all__ = [
    "SIZES",
    "BodySpec",
    "LinkSpec",
    "Part",
    "block",
    "disc",
    "drawer_cabinet",
    "place",
    "table",
    "tube",
    "turn_z",
]

SIZES = {"box": 3, "cylinder": 2, "sphere": 1, "capsule": 2, "tube": 5}

Color = tuple[float, float, float, float]


def place(x: float = 0.0, y: float = 0.0, z: float = 0.0, rotation: Rotation | None = None) -> RigidTransform:
    """Return the transform that rotates and then moves by (x, y, z), m."""
    return RigidTransform.from_components([x, y, z], rotation or Rotation.identity())


@dataclass(frozen=True, slots=True)
class Part:
    """One solid of a body.

    Attributes:
        kind: "box", "cylinder", "sphere", "capsule" or "tube".
        size: Box: full extents x, y, z. Cylinder: radius, height. Sphere: radius. Capsule: radius, length between the
            centres of its caps. Tube (open at the top, origin at its bottom): inner radius, outer radius, height,
            bottom thickness (0 for none), number of staves that stand for its wall in collisions. All m.
        T_body_part: Part to body; cylinders, capsules and tubes stand along their own z.
        rgba: Colour, 0 to 1.
    """

    kind: str
    size: tuple[float, ...]
    T_body_part: RigidTransform = field(default_factory=RigidTransform.identity)
    rgba: Color = (0.7, 0.7, 0.7, 1.0)

    def __post_init__(self) -> None:
        """Check kind and size.

        Raises:
            ChoiceError: Unknown kind.
            ShapeError: Wrong number of sizes.
            ValueRangeError: A size that is not positive and finite.
        """
        if self.kind not in SIZES:
            raise ChoiceError("kind of part", self.kind, SIZES)
        if len(self.size) != SIZES[self.kind]:
            raise ShapeError(f"size of a {self.kind}", f"{SIZES[self.kind]} numbers", self.size)
        least = 0.0 if self.kind in ("tube", "capsule") else 1e-6
        if not all(np.isfinite(s) and s >= least for s in self.size):
            raise ValueRangeError(f"size of a {self.kind}", self.size, "positive and finite, in metres")


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A link that slides on the body along one axis (a drawer).

    Attributes:
        name: What it is called; the key of `World.joint`.
        parts: Its solids, in the link's frame.
        mass: kg.
        axis: Unit direction of positive motion, in the link's frame.
        T_parent_link: Link to body when the joint is at 0.
        lower: Least travel, m.
        upper: Most travel, m.
        damping: Viscous damping, N s/m.
        friction: Dry friction of the slide, N.
        rest_speed: Speed at which the slide moves by itself where nothing holds it, m/s: with `friction` as its force,
            a spring that brings a button back.
    """

    name: str
    parts: tuple[Part, ...]
    mass: float
    axis: tuple[float, float, float]
    T_parent_link: RigidTransform
    lower: float
    upper: float
    damping: float = 2.0
    friction: float = 1.0
    rest_speed: float = 0.0


@dataclass(frozen=True, slots=True)
class BodySpec:
    """One body of the world; `mass` 0 fixes it where it is put.

    Attributes:
        name: What it is called, such as "red block".
        parts: Its solids, in the body's frame.
        mass: kg, spread evenly over the parts' volume; 0 for a body that never moves.
        friction: Sliding friction; two bodies in contact multiply theirs (table 0.6, fingertips 1.2).
        links: Links that slide on it.
        rolling_friction: m, as in Bullet.
        spinning_friction: m, as in Bullet.
        restitution: 0 to 1.
        collides: False for a mere mark that everything passes through.
        contact_stiffness: N/m of a soft surface; None for rigid contact.
        contact_damping: N s/m that goes with it.
        angular_damping: Share of the spin lost per second.
        inertia_scale: Factor on the moments of inertia, for a body that a benchmark has made hard to turn.
    """

    name: str
    parts: tuple[Part, ...]
    mass: float = 0.0
    friction: float = 0.8
    links: tuple[LinkSpec, ...] = ()
    rolling_friction: float = 0.0
    spinning_friction: float = 0.0
    restitution: float = 0.0
    collides: bool = True
    contact_stiffness: float | None = None
    contact_damping: float | None = None
    angular_damping: float = 0.04
    inertia_scale: float = 1.0


def turn_z(angle: float) -> Rotation:
    """Rotation about z by an angle, rad."""
    return Rotation.from_euler("z", angle)


def block(name: str, size: Sequence[float], rgba: Color, *, density: float = 500.0, friction: float = 0.8) -> BodySpec:
    """Make a block with full extents size [3], m; origin at its centre; density in kg/m3."""
    x, y, z = (float(s) for s in size)
    return BodySpec(name, (Part("box", (x, y, z), rgba=rgba),), density * x * y * z, friction, spinning_friction=0.002)


def disc(name: str, radius: float, rgba: Color, *, thickness: float = 0.004, collides: bool = True) -> BodySpec:
    """Make a fixed flat disc; origin at the centre of its top face."""
    part = Part("cylinder", (radius, thickness), place(z=-thickness / 2), rgba)
    return BodySpec(name, (part,), friction=0.8, collides=collides)


def table(
    center: Sequence[float] | np.ndarray, size: Sequence[float], rgba: Color = (0.78, 0.72, 0.62, 1.0)
) -> BodySpec:
    """Make the table: a fixed slab with its top at z = 0, centre [2] and size [3] in m, in the world frame."""
    slab = Part("box", (size[0], size[1], size[2]), place(center[0], center[1], -size[2] / 2), rgba)
    return BodySpec("table", (slab,), friction=0.6)


def tube(
    inner_radius: float,
    outer_radius: float,
    height: float,
    bottom_thickness: float,
    staves: int = 12,
    rgba: Color = (0.7, 0.7, 0.7, 1.0),
) -> tuple[Part, ...]:
    """Make the parts of an open cylinder standing on its bottom: cup, mug and holder.

    It is drawn round; in collisions its wall is `staves` boxes, which touch the inner circle from outside.
    """
    return (Part("tube", (inner_radius, outer_radius, height, bottom_thickness, staves), rgba=rgba),)


def drawer_cabinet(
    name: str,
    body_rgba: Color,
    drawer_rgba: Color,
    *,
    size: Sequence[float] = (0.2, 0.25, 0.12),
    travel: float = 0.18,
    standoff: float = 0.04,
) -> BodySpec:
    """Make a fixed cabinet with one drawer, the link "drawer", which opens along +x.

    Args:
        name: Name of the body.
        body_rgba: Colour of the cabinet.
        drawer_rgba: Colour of the drawer's front; its handle is darker.
        size: Outer extents of the cabinet: depth x, width y, height z, m.
        travel: How far the drawer comes out, m.
        standoff: From the front's face to the middle of the handle bar, m.

    Returns:
        A body with its origin at the centre of its bottom. The link's frame is at the centre of the handle bar, which
        lies along y at three quarters of the height.
    """
    depth, width, height = (float(s) for s in size)
    bar_z = 0.75 * height
    link = LinkSpec(
        "drawer",
        _drawer(np.array([depth, width, height]), bar_z, standoff, drawer_rgba),
        0.5,
        (1.0, 0.0, 0.0),
        place(depth / 2 + _WALL + standoff, 0, bar_z),
        0.0,
        travel,
    )
    inner = height - 2 * _WALL
    walls = [(0, 0, z, depth, width, _WALL) for z in (_WALL / 2, height - _WALL / 2)]
    walls += [(0, s * (width - _WALL) / 2, height / 2, depth, _WALL, inner) for s in (-1, 1)]
    walls += [(-(depth - _WALL) / 2, 0, height / 2, _WALL, width - 2 * _WALL, inner)]
    return BodySpec(name, _boxes(walls, body_rgba), 0.0, 0.5, (link,))


_WALL = 0.01  # m, of the cabinet and of the drawer's front
_GAP = 0.003  # m between the drawer and the cabinet
_BAR = 0.006  # m, radius of the handle


def _boxes(boxes: list[tuple[float, ...]], rgba: Color) -> tuple[Part, ...]:
    """Boxes from rows of centre [3] and extents [3], m."""
    return tuple(Part("box", box[3:], place(box[0], box[1], box[2]), rgba) for box in boxes)


def _drawer(size: np.ndarray, bar_z: float, standoff: float, rgba: Color) -> tuple[Part, ...]:
    """Front, tray, posts and bar of a drawer for a cabinet of this size; frame at the centre of the bar."""
    depth, width, height = size
    tray_width, sheet = width - 2 * (_WALL + _GAP), 0.006
    tray_depth, tray_height = depth - _WALL - _GAP, 0.6 * height
    back, floor_z = -standoff - _WALL, _WALL + _GAP - bar_z  # where the tray begins, and its underside
    middle_x, middle_z = back - tray_depth / 2, floor_z + tray_height / 2
    boxes = [(back + _WALL / 2, 0, height / 2 - bar_z, _WALL, width - 2 * _GAP, height - 2 * _GAP)]
    boxes += [(middle_x, 0, floor_z + sheet / 2, tray_depth, tray_width, sheet)]
    boxes += [(middle_x, s * (tray_width - sheet) / 2, middle_z, tray_depth, sheet, tray_height) for s in (-1, 1)]
    boxes += [(back - tray_depth + sheet / 2, 0, middle_z, sheet, tray_width, tray_height)]
    half = 0.28 * width
    boxes += [(-standoff / 2, s * (half - 0.006), 0, standoff, 0.008, 0.008) for s in (-1, 1)]
    red, green, blue, alpha = rgba
    dark = (0.55 * red, 0.55 * green, 0.55 * blue, alpha)
    along = Rotation.from_euler("x", np.pi / 2)
    return (*_boxes(boxes, rgba), Part("cylinder", (_BAR, 2 * half), place(rotation=along), dark))
