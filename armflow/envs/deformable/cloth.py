"""A cloth: a sheet of triangles that keeps its length and bends easily."""

from typing import Any

import numpy as np

from armflow.envs.deformable.body import MATERIAL, Ranges, SoftBody, Surface, between

__all__ = ["SIDE", "THICKNESS", "cloth"]

SIDE = 20  # vertices along an edge
LENGTH = (0.18, 0.24)  # m, of an edge
AREA_MASS = (0.25, 0.5)  # kg/m^2, towels
BENDING = (1e-6, 1e-5)  # N m, bending stiffness: hangs in folds of one to two centimetres
# N/m. Hung up by one vertex, the worst edge grows by about a twentieth, the mean by far less; triangles that stretch
# less lock: a sheet that is pinched somewhere then stands like a paper cone and slides instead of folding.
STRETCHING = 700.0
FRICTION = (0.6, 1.0)
POISSON = 0.2
THICKNESS = 0.006  # m, of contact
DAMPING = 0.003  # s: damping is this times stiffness
# A contact yields in proportion to the inverse mass of what it holds, and a vertex weighs 0.04 g: anything less stiff
# lets two fingers meet through the sheet. `solmix` lets these values outweigh the pads'; friction stays the pads'.
CONTACT = 'solref="0.008 1" solimp="0.995 0.9995 0.001" solmix="1000"'
SUBSTEPS = 5
COLORS = ((0.8, 0.35, 0.3), (0.3, 0.5, 0.8), (0.85, 0.7, 0.3), (0.4, 0.65, 0.45))


def cloth(place: np.ndarray, *, rng: np.random.Generator, ranges: Ranges | None = None) -> SoftBody:
    """Draw a square cloth that lies flat on the table.

    A shell of Saint Venant-Kirchhoff membranes and hinges; thickness t and modulus E follow from the membrane's
    stiffness E t and the plate's D = E t^3 / (12 (1 - nu^2)), so that bending varies and stretching does not.

    Args:
        place: [2] where its middle lies, m.
        rng: Draws size, stiffness, density, friction, colour and yaw.
        ranges: Where the draws lie; by default the whole usual range.

    Returns:
        The cloth, `SIDE` x `SIDE` vertices, row by row.
    """
    share = (ranges or Ranges()).draw(("size", "stiffness", "mass", "friction"), rng=rng)
    length, friction = between(LENGTH, share["size"]), between(FRICTION, share["friction"])
    bending = BENDING[0] * (BENDING[1] / BENDING[0]) ** share["stiffness"]
    thickness = np.sqrt(12.0 * (1.0 - POISSON**2) * bending / STRETCHING)
    mass, yaw = between(AREA_MASS, share["mass"]) * length**2, rng.uniform(-np.pi, np.pi)
    color = np.asarray(COLORS[int(rng.integers(len(COLORS)))])
    step = length / (SIDE - 1)
    xml = (
        f'<flexcomp name="cloth" type="grid" dim="2" count="{SIDE} {SIDE} 1" spacing="{step:.7f} {step:.7f} 1" '
        f'pos="{place[0]:.6f} {place[1]:.6f} {THICKNESS / 2 + 0.0005:.6f}" euler="0 0 {np.degrees(yaw):.6f}" '
        f'radius="{THICKNESS / 2}" mass="{mass:.7f}">'
        f'<elasticity young="{STRETCHING / thickness:.4f}" thickness="{thickness:.9f}" poisson="{POISSON}" '
        f'damping="{DAMPING}" elastic2d="both"/>'
        f'<contact condim="3" priority="1" friction="{friction:.4f} 0.005 0.0002" {CONTACT} '
        f'selfcollide="auto"/></flexcomp>'
    )
    faces = _faces()
    checks = (np.add.outer(np.arange(SIDE - 1), np.arange(SIDE - 1)) // 4 % 2).ravel()
    shades = np.where(np.tile(checks, 2)[:, None] == 0, color, 0.85 * color)
    return SoftBody(
        "cloth",
        "cloth",
        xml,
        _surface,
        _lay,
        faces,
        shades,
        '<option integrator="discrete" solver="Newton" iterations="400" tolerance="1e-7"/>',
        two_sided=True,
        substeps=SUBSTEPS,
        material={name: share[name] for name in MATERIAL},
    )


def _faces() -> np.ndarray:
    """Two triangles a square, upwards where the cloth lies as it was laid."""
    row, column = np.divmod(np.arange((SIDE - 1) ** 2), SIDE - 1)
    a = row * SIDE + column
    b, c, d = a + SIDE, a + SIDE + 1, a + 1
    return np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])


def _lay(_model: Any, _data: Any) -> None:
    """The XML has it flat already."""


def _surface(_model: Any) -> Surface:
    return _vertices


def _vertices(data: Any) -> np.ndarray:
    return np.array(data.flexvert_xpos)
