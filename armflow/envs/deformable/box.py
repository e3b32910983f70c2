"""A box without a top whose lid turns about a hinge that rubs, so that it stays where it is put."""

from functools import partial
from typing import Any

import numpy as np

from armflow.envs.deformable.body import MATERIAL, Ranges, SoftBody, Surface, between
from armflow.envs.mesh import box_mesh

__all__ = ["EXTENT", "OPEN", "lid_box", "walls_and_lid"]

EXTENT = (0.12, 0.10, 0.055)  # m, along the lid, along the hinge, and height, at a scale of 1
SCALE = (0.85, 1.15)
WALL = 0.004  # m
OPEN = (1.75, 2.25)  # rad, at the start; 0 is closed
RANGE = 2.35  # rad, as far as the hinge turns
HINGE_FRICTION = (0.02, 0.08)  # N m; gravity turns a level lid with at most 0.03
DENSITY = (450.0, 900.0)  # kg/m^3, of walls of wood
FRICTION = (0.35, 0.8)
COLOR, LID_COLOR = (0.72, 0.55, 0.36), (0.3, 0.5, 0.65)


def lid_box(place: np.ndarray, *, rng: np.random.Generator, ranges: Ranges | None = None) -> SoftBody:
    """Draw a box that stands on the table, its lid open.

    Args:
        place: [2] where its middle stands, m.
        rng: Draws size, friction in the hinge ("stiffness") and on the table, density, yaw and how far it is open.
        ranges: Where the draws lie; by default the whole usual range.

    Returns:
        The box; its surface has the bottom, four walls and the lid, eight vertices each.
    """
    share = (ranges or Ranges()).draw(("size", "stiffness", "mass", "friction"), rng=rng)
    friction, density = between(FRICTION, share["friction"]), between(DENSITY, share["mass"])
    hinge = HINGE_FRICTION[0] * (HINGE_FRICTION[1] / HINGE_FRICTION[0]) ** share["stiffness"]
    parts = walls_and_lid(between(SCALE, share["size"]))
    yaw, opened = rng.uniform(-np.pi, np.pi), rng.uniform(*OPEN)
    look = f'friction="{friction:.4f} 0.005 0.0002" density="{density:.2f}" priority="1" condim="4"'
    walls = "".join(_geom(part, look) for part in parts[:-1])
    at = _hinge(parts)
    xml = (
        f'<body name="box" pos="{place[0]:.6f} {place[1]:.6f} 0.0005" euler="0 0 {np.degrees(yaw):.6f}">'
        f'<freejoint name="box"/>{walls}<body name="box_lid" pos="{at[0]:.6f} 0 {at[2]:.6f}">'
        f'<joint name="box_lid" axis="0 -1 0" range="0 {np.degrees(RANGE):.4f}" frictionloss="{hinge:.5f}" '
        f'damping="0.002" solimpfriction="0.99 0.999 0.0001"/>'
        f"{_geom(parts[-1] - [at, np.zeros(3)], look)}</body></body>"
    )
    mesh = box_mesh(np.ones(3))
    faces = np.concatenate([mesh.faces + k * len(mesh.vertices) for k in range(len(parts))])
    colors = np.repeat([COLOR] * (len(parts) - 1) + [LID_COLOR], len(mesh.faces), axis=0)
    return SoftBody(
        "box",
        "box",
        xml,
        partial(_surface, parts=parts),
        partial(_lay, opened=opened),
        faces,
        colors,
        material={name: share[name] for name in MATERIAL},
    )


def walls_and_lid(scale: float) -> np.ndarray:
    """Middle and half extent [6, 2, 3] of bottom, walls towards the hinge, away, left, right, and the closed lid, m."""
    x, y, z = 0.5 * scale * np.asarray(EXTENT)
    w = WALL / 2
    return np.array(
        [
            [[0, 0, w], [x, y, w]],
            [[w - x, 0, z], [w, y, z]],
            [[x - w, 0, z], [w, y, z]],
            [[0, w - y, z], [x, w, z]],
            [[0, y - w, z], [x, w, z]],
            [[0, 0, 2 * z + w], [x, y, w]],
        ]
    )


def _hinge(parts: np.ndarray) -> np.ndarray:
    """Middle of the hinge's axis [3] in the box's frame, m: the lid's lower edge."""
    middle, half = parts[-1]
    return middle - [half[0], 0.0, half[2]]


def _geom(part: np.ndarray, look: str) -> str:
    (x, y, z), (a, b, c) = part
    return f'<geom type="box" pos="{x:.6f} {y:.6f} {z:.6f}" size="{a:.6f} {b:.6f} {c:.6f}" {look}/>'


def _lay(model: Any, data: Any, opened: float) -> None:
    """Open the lid, which the XML has closed."""
    data.qpos[model.joint("box_lid").qposadr[0]] = opened


def _surface(model: Any, parts: np.ndarray) -> Surface:
    """Corners of bottom, walls and lid."""
    corners = np.stack([middle + box_mesh(half).vertices for middle, half in parts])
    fixed, lid = corners[:-1].reshape(-1, 3), corners[-1] - _hinge(parts)
    box, cover = model.body("box").id, model.body("box_lid").id

    def vertices(data: Any) -> np.ndarray:
        turns = data.xmat[[box, cover]].reshape(2, 3, 3)
        return np.vstack([fixed @ turns[0].T + data.xpos[box], lid @ turns[1].T + data.xpos[cover]])

    return vertices
