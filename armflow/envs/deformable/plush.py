"""A plush body: a stuffed, rounded thing that is wider at one end, squashes and takes its shape again."""

from itertools import permutations
from typing import Any

import numpy as np

from armflow.envs.deformable.body import MATERIAL, Ranges, SoftBody, Surface, between

__all__ = ["COUNT", "EXTENT", "plush"]

COUNT = (7, 5, 4)  # vertices of the lattice along its length, width and height
EXTENT = (0.10, 0.058, 0.052)  # m, length, width in the middle and height at a scale of 1
SCALE = (0.85, 1.1)
TAPER = 0.18  # how much wider than the middle one end is, and narrower the other
YOUNG = (5e4, 3e5)  # Pa: a finger's 12 N press it in by about a quarter, or by a twentieth
DENSITY = (80.0, 250.0)  # kg/m^3
FRICTION = (0.35, 0.8)
POISSON = 0.3
DAMPING = 0.01  # s: damping is this times stiffness
SKIN = 0.002  # m, radius of contact about the lattice
CONTACT = 'solref="0.005 1" solimp="0.98 0.995 0.001"'
SUBSTEPS = 5
COLORS = ((0.75, 0.5, 0.3), (0.85, 0.45, 0.55), (0.45, 0.6, 0.85), (0.6, 0.75, 0.4))


def plush(place: np.ndarray, *, rng: np.random.Generator, ranges: Ranges | None = None) -> SoftBody:
    """Draw a plush body that lies on the table.

    Args:
        place: [2] where its middle lies, m.
        rng: Draws size, stiffness, density, friction, colour and yaw.
        ranges: Where the draws lie; by default the whole usual range.

    Returns:
        The body; its surface is the whole lattice, of which `faces` use the outside.
    """
    share = (ranges or Ranges()).draw(("size", "stiffness", "mass", "friction"), rng=rng)
    scale, friction = between(SCALE, share["size"]), between(FRICTION, share["friction"])
    young = YOUNG[0] * (YOUNG[1] / YOUNG[0]) ** share["stiffness"]
    points, tets = scale * _rounded_lattice(), _tetrahedra()
    mass, yaw = between(DENSITY, share["mass"]) * _volume(points, tets), rng.uniform(-np.pi, np.pi)
    color = np.asarray(COLORS[int(rng.integers(len(COLORS)))])
    height = SKIN - points[:, 2].min() + 0.0005
    xml = (
        f'<flexcomp name="plush" type="direct" dim="3" point="{_listed(points)}" element="{_listed(tets)}" '
        f'pos="{place[0]:.6f} {place[1]:.6f} {height:.6f}" euler="0 0 {np.degrees(yaw):.6f}" '
        f'radius="{SKIN}" mass="{mass:.7f}">'
        f'<elasticity young="{young:.3f}" poisson="{POISSON}" damping="{DAMPING}"/>'
        f'<contact condim="3" priority="1" friction="{friction:.4f} 0.005 0.0002" {CONTACT} '
        f'selfcollide="none"/></flexcomp>'
    )
    faces = _outside(tets)
    ends = points[faces].mean(axis=1)[:, 0] > 0.3 * scale * EXTENT[0]
    return SoftBody(
        "plush",
        "plush",
        xml,
        _surface,
        _lay,
        faces,
        np.where(ends[:, None], 0.6 * color, color),
        '<option integrator="discrete" solver="Newton" iterations="400" tolerance="1e-7"/>',
        substeps=SUBSTEPS,
        material={name: share[name] for name in MATERIAL},
    )


def _rounded_lattice() -> np.ndarray:
    """Vertices [N, 3] of a lattice whose cube is drawn two thirds of the way to a ball, tapered, m."""
    axes = [np.linspace(-1.0, 1.0, count) for count in COUNT]
    cube = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    y, z = np.roll(cube, -1, axis=1) ** 2, np.roll(cube, -2, axis=1) ** 2
    ball = cube * np.sqrt(1.0 - y / 2.0 - z / 2.0 + y * z / 3.0)
    points = (cube + 2.0 * ball) / 3.0
    points[:, 1:] *= 1.0 + TAPER * points[:, :1]
    return 0.5 * points * np.asarray(EXTENT)


def _tetrahedra() -> np.ndarray:
    """Six tetrahedra [6, 4] a cell of the lattice, all about the cell's diagonal, of positive volume.

    Reference:
        Kuhn (1960), doi:10.1147/rd.45.0518.
    """
    strides = np.array([COUNT[1] * COUNT[2], COUNT[2], 1])
    corners = np.stack(np.meshgrid(*[np.arange(count - 1) for count in COUNT], indexing="ij"), -1).reshape(-1, 3)
    paths = []
    for order in permutations(range(3)):
        steps = np.cumsum(strides[list(order)])
        path = np.array([0, *steps])
        even = np.linalg.det(np.eye(3)[list(order)]) > 0
        paths.append(path if even else path[[0, 2, 1, 3]])
    return ((corners @ strides)[:, None, None] + np.array(paths)).reshape(-1, 4)


def _volume(points: np.ndarray, tets: np.ndarray) -> float:
    a, b, c, d = points[tets].swapaxes(0, 1)
    return float(np.einsum("ni,ni->n", np.cross(b - a, c - a), d - a).sum() / 6.0)


def _outside(tets: np.ndarray) -> np.ndarray:
    """Faces [F, 3] that belong to one tetrahedron only, counter-clockwise from outside."""
    sides = tets[:, [[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]]].reshape(-1, 3)
    _, first, times = np.unique(np.sort(sides, axis=1), axis=0, return_index=True, return_counts=True)
    return sides[np.sort(first[times == 1])]


def _listed(values: np.ndarray) -> str:
    return " ".join(f"{value:.8g}" for value in values.ravel())


def _lay(_model: Any, _data: Any) -> None:
    """The XML has it lying already."""


def _surface(_model: Any) -> Surface:
    return _vertices


def _vertices(data: Any) -> np.ndarray:
    return np.array(data.flexvert_xpos)
