"""Sizes and bodies of the things that contact-rich tasks handle: pen and holder, mug and rack, cups and beads.

Each is a frozen record of its dimensions with a method `body`; frames are those of `perception.detection`.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.envs.shapes import BodySpec, Color, Part, place, tube

__all__ = ["BEAD_RADIUS", "Cup", "Holder", "Mug", "Pen", "Rack", "bead"]

WALL = 0.004  # m, of everything hollow; with 2 ms steps nothing gets through it below 2 m/s
BOTTOM = 0.006  # m
STAVES = 12
BEAD_RADIUS = 0.006  # m
BEAD_MASS = 0.001  # kg, a plastic bead


@dataclass(frozen=True, slots=True)
class Pen:
    """A pen with a dark tip; frame at its centre, x along it, towards the tip.

    Attributes:
        length: Tip to end, m.
        radius: m.
    """

    length: float
    radius: float

    def body(self, name: str, rgba: Color) -> BodySpec:
        """Make its body: drawn round, eight-sided in collisions.

        It lies on a flat side and is held by two, since Bullet turns the normals of a held cylinder round now and then.
        """
        cap, tip = 0.02, 0.006
        dark = _shade(rgba, 0.55)
        upright = Rotation.from_euler("y", np.pi / 2)

        def stick(start: float, end: float, color: Color) -> Part:
            size = (0.0, self.radius, end - start, 0.0, 8)
            return Part("tube", size, place(start, rotation=upright), color)

        half = self.length / 2
        nib = Part("cylinder", (0.6 * self.radius, tip), place(half - tip / 2, rotation=upright), dark)
        parts = (stick(cap - half, half - tip, rgba), stick(-half, cap - half, dark), nib)
        return BodySpec(name, parts, 0.02, friction=0.8, spinning_friction=2e-3)


@dataclass(frozen=True, slots=True)
class Holder:
    """An open round pot for pens; frame at the centre of its bottom, z up.

    Attributes:
        inner_radius: m.
        height: m.
    """

    inner_radius: float
    height: float

    @property
    def outer_radius(self) -> float:
        """Outer radius, m."""
        return self.inner_radius + WALL

    def body(self, name: str, rgba: Color) -> BodySpec:
        """Make its body, weighted so that a leaning pen does not tip it over."""
        parts = tube(self.inner_radius, self.outer_radius, self.height, 0.008, STAVES, rgba)
        return BodySpec(name, parts, 0.35, friction=0.8, angular_damping=0.2)


@dataclass(frozen=True, slots=True)
class Cup:
    """A plain cup; frame at the centre of its bottom, z up.

    Attributes:
        outer_radius: m.
        height: m.
        mass: kg.
    """

    outer_radius: float
    height: float
    mass: float = 0.1

    @property
    def inner_radius(self) -> float:
        """Inner radius, m."""
        return self.outer_radius - WALL

    def body(self, name: str, rgba: Color) -> BodySpec:
        """Make its body."""
        parts = tube(self.inner_radius, self.outer_radius, self.height, BOTTOM, STAVES, rgba)
        return BodySpec(name, parts, self.mass, friction=0.8, angular_damping=0.2)

    def holds(self, points_cup: np.ndarray) -> np.ndarray:
        """Tell which points [..., 3], m, in the cup's frame, are inside it, [...] bool."""
        height = points_cup[..., 2]
        inside = np.linalg.norm(points_cup[..., :2], axis=-1) < self.outer_radius
        return inside & (height > 0) & (height < self.height)

    def bead_spots(self, count: int) -> np.ndarray:
        """Places for beads, in layers of four above the bottom, free of each other, [count, 3] m in the cup's frame."""
        index = np.arange(count)
        turn = np.pi / 2 * (index % 4) + np.pi / 4 * (index // 4)
        radius = 0.5 * self.inner_radius
        z = BOTTOM + 1.4 * BEAD_RADIUS + 2.1 * BEAD_RADIUS * (index // 4)
        return np.column_stack([radius * np.cos(turn), radius * np.sin(turn), z])


def bead(name: str, rgba: Color) -> BodySpec:
    """Make a bead; origin at its centre."""
    part = Part("sphere", (BEAD_RADIUS,), rgba=rgba)
    return BodySpec(
        name, (part,), BEAD_MASS, friction=0.4, rolling_friction=5e-4, spinning_friction=5e-4, angular_damping=0.5
    )


@dataclass(frozen=True, slots=True)
class Mug:
    """A mug with a D-shaped handle towards +x; frame at the centre of its bottom, z up.

    Attributes:
        outer_radius: m.
        height: m.
        hole_width: Opening of the handle along x, m.
        hole_height: Opening along z, m.
        handle_radius: Half the thickness of the handle's rod, m.
    """

    outer_radius: float
    height: float
    hole_width: float = 0.03
    hole_height: float = 0.05
    handle_radius: float = 0.005

    @property
    def inner_radius(self) -> float:
        """Inner radius, m."""
        return self.outer_radius - WALL

    @property
    def hole_center(self) -> np.ndarray:
        """Centre of the handle's opening in the mug's frame, [3] m; the opening faces along y."""
        return np.array([self.outer_radius + self.hole_width / 2, 0.0, 0.55 * self.height])

    def body(self, name: str, rgba: Color) -> BodySpec:
        """Make its body; the swing of a hanging mug dies away in about a second."""
        shell = tube(self.inner_radius, self.outer_radius, self.height, BOTTOM, STAVES, rgba)
        x = self.outer_radius - WALL / 2
        far = self.outer_radius + self.hole_width + self.handle_radius
        middle, half, round_off = self.hole_center[2], self.hole_height / 2 + self.handle_radius, 0.008
        outline = [(x, half), (far - round_off, half), (far, half - round_off)]
        outline += [(a, -z) for a, z in reversed(outline)]
        corners = [np.array([a, 0.0, middle + z]) for a, z in outline]
        rods = [_rod(a, b, self.handle_radius, rgba) for a, b in pairwise(corners)]
        return BodySpec(
            name,
            (*shell, *rods),
            0.12,
            friction=0.8,
            rolling_friction=1e-4,
            spinning_friction=1e-4,
            angular_damping=2.0,
        )

    def hole_crossing(self, start_mug: np.ndarray, end_mug: np.ndarray) -> float | None:
        """Where a rod passes through the handle.

        Args:
            start_mug: [3] one end of the rod's middle line, m, in the mug's frame.
            end_mug: [3] the other end.

        Returns:
            The share of the rod's length, from its start, at which it crosses the opening; None if it does not.
        """
        step = end_mug[1] - start_mug[1]
        if abs(step) < 1e-9 or start_mug[1] * end_mug[1] > 0:
            return None
        share = -start_mug[1] / step
        offset = start_mug + share * (end_mug - start_mug) - self.hole_center
        inside = abs(offset[0]) < self.hole_width / 2 and abs(offset[2]) < self.hole_height / 2
        return float(share) if inside else None


@dataclass(frozen=True, slots=True)
class Rack:
    """A post on a plate with one peg, tilted up, fixed to the table.

    Its frame has its origin at the peg's root, x along the peg towards the free tip, y horizontal.

    Attributes:
        peg_height: Height of the peg's root above the table, m.
        peg_length: Root to tip, m.
        peg_tilt: Angle of the peg above the horizontal, rad.
        peg_radius: m.
    """

    peg_height: float
    peg_length: float
    peg_tilt: float
    peg_radius: float = 0.0055

    def peg_pose(self) -> RigidTransform:
        """Pose of the rack's frame in its foot's: centre of the plate's underside, x under the peg, z up."""
        return place(0.008, 0.0, self.peg_height, Rotation.from_euler("y", -self.peg_tilt))

    def body(self, name: str, rgba: Color) -> BodySpec:
        """Make its body."""
        T_peg_foot = self.peg_pose().inv()
        dark = _shade(rgba, 0.75)
        top = self.peg_height + 0.02
        parts = (
            Part("box", (0.11, 0.11, 0.015), T_peg_foot * place(z=0.0075), dark),
            Part("box", (0.018, 0.018, top), T_peg_foot * place(z=top / 2), dark),
            _rod(np.zeros(3), np.array([self.peg_length - self.peg_radius, 0.0, 0.0]), self.peg_radius, rgba),
        )
        return BodySpec(name, parts, 0.0, friction=0.9)


def _rod(start: np.ndarray, end: np.ndarray, radius: float, rgba: Color) -> Part:
    """Make a capsule between two points [3], m."""
    along = (end - start) / np.linalg.norm(end - start)
    turn = Rotation.align_vectors(along[None], np.array([[0.0, 0.0, 1.0]]))[0]
    x, y, z = 0.5 * (start + end)
    return Part("capsule", (radius, float(np.linalg.norm(end - start))), place(x, y, z, turn), rgba)


def _shade(rgba: Color, factor: float) -> Color:
    red, green, blue, alpha = rgba
    return (factor * red, factor * green, factor * blue, alpha)
