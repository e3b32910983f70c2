"""A rope: a chain of capsules whose joints resist bending."""

from functools import partial
from typing import Any

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.deformable.body import MATERIAL, Ranges, SoftBody, Surface

__all__ = ["SEGMENTS", "lay_curve", "rope"]

SEGMENTS = 24
SIDES = 8  # of the drawn tube
LENGTH = (0.28, 0.4)  # m
RADIUS = (0.006, 0.010)  # m
STIFFNESS = (5e-5, 1e-3)  # N m^2, bending stiffness; between a soft cord and a rubber hose
DENSITY = (500.0, 1100.0)  # kg/m^3
FRICTION = (0.35, 0.8)
DAMPING = 0.05  # s: the damping of a joint is this times its stiffness, and at least `LEAST_DAMPING`
LEAST_DAMPING = 2e-5  # N m s / rad
COLORS = ((0.85, 0.25, 0.2), (0.2, 0.45, 0.8), (0.9, 0.65, 0.15), (0.3, 0.65, 0.35))


def rope(place: np.ndarray, *, rng: np.random.Generator, ranges: Ranges | None = None) -> SoftBody:
    """Draw a rope that lies on the table.

    Args:
        place: [2] where its middle lies, m.
        rng: Draws length, radius, stiffness, density, friction, colour and the curve in which it lies.
        ranges: Where the draws lie; by default the whole usual range.

    Returns:
        The rope, `SEGMENTS` capsules from the first end to the other.
    """
    share = (ranges or Ranges()).draw(("size", "radius", "stiffness", "mass", "friction"), rng=rng)
    length, radius = _between(LENGTH, share["size"]), _between(RADIUS, share["radius"])
    bending = STIFFNESS[0] * (STIFFNESS[1] / STIFFNESS[0]) ** share["stiffness"]
    step = length / SEGMENTS
    friction, density = _between(FRICTION, share["friction"]), _between(DENSITY, share["mass"])
    curve = lay_curve(SEGMENTS, step, place, rng=rng)
    color = COLORS[int(rng.integers(len(COLORS)))]
    faces = _tube_faces(SEGMENTS + 3, SIDES)
    return SoftBody(
        "rope",
        "rope",
        _chain(
            curve[0], step, radius, bending / step, f'friction="{friction:.4f} 0.005 0.0002" density="{density:.2f}"'
        ),
        partial(_surface, step=step, radius=radius),
        partial(_lay, headings=curve[:, 2]),
        faces,
        np.tile(np.asarray(color), (len(faces), 1)),
        material={name: share[name] for name in MATERIAL},
    )


def lay_curve(count: int, step: float, place: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Draw a chain that lies smoothly and does not cross itself.

    Returns:
        [count, 3]: where each link starts, x and y, m, and its heading, rad.
    """
    while True:
        bend = rng.normal(0.0, 1.0, 3) * np.array([1.2, 1.0, 0.7])
        phase = np.linspace(0, np.pi, count)
        heading = rng.uniform(-np.pi, np.pi) + sum(b * np.sin((k + 1) * phase / 2) for k, b in enumerate(bend))
        steps = step * np.column_stack([np.cos(heading), np.sin(heading)])
        starts = np.vstack([np.zeros(2), np.cumsum(steps, axis=0)[:-1]])
        gaps = np.linalg.norm(starts[:, None] - starts[None], axis=-1)
        far = np.abs(np.subtract.outer(np.arange(count), np.arange(count))) > 4
        if gaps[far].min() > 3.0 * step:
            middle = starts.mean(axis=0)
            return np.column_stack([starts - middle + place, heading])


def _between(bounds: tuple[float, float], share: float) -> float:
    return bounds[0] + share * (bounds[1] - bounds[0])


def _chain(start: np.ndarray, step: float, radius: float, stiffness: float, geom: str) -> str:
    """Nested bodies: a free one, then one ball joint a link, at rest when straight, which is how the XML has them."""
    damping = max(DAMPING * stiffness, LEAST_DAMPING)
    parts = []
    bend = f'type="ball" stiffness="{stiffness:.7f}" damping="{damping:.8f}"'
    for k in range(SEGMENTS):
        place = f'pos="{step:.6f} 0 0"' if k else f'pos="{start[0]:.6f} {start[1]:.6f} {radius:.6f}"'
        joint = f'<joint name="rope_{k}" {bend}/>' if k else '<freejoint name="rope_0"/>'
        parts.append(
            f'<body name="rope_{k}" {place}>{joint}'
            f'<geom type="capsule" size="{radius:.6f}" fromto="0 0 0 {step:.6f} 0 0" {geom} condim="4"/>'
        )
    return "".join(parts) + "</body>" * SEGMENTS


def _lay(model: Any, data: Any, headings: np.ndarray) -> None:
    """Bend the chain, which the XML has straight, so that its links have these headings [K], rad."""
    turns = Rotation.from_euler("z", np.diff(headings, prepend=0.0)[:, None]).as_quat(scalar_first=True)
    for k, turn in enumerate(turns):
        first = model.joint(f"rope_{k}").qposadr[0] + (3 if k == 0 else 0)
        data.qpos[first : first + 4] = turn


def _surface(model: Any, step: float, radius: float) -> Surface:
    """A tube about the chain's joints, closed by short cones at both ends."""
    bodies = np.array([mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, f"rope_{k}") for k in range(SEGMENTS)])
    angles = 2 * np.pi * np.arange(SIDES) / SIDES
    ring = np.column_stack([np.zeros(SIDES), np.cos(angles), np.sin(angles)])

    def vertices(data: Any) -> np.ndarray:
        turns = data.xmat[bodies].reshape(-1, 3, 3)
        starts = data.xpos[bodies]
        end = starts[-1] + step * turns[-1, :, 0]
        points = np.vstack([starts, end])
        between = np.concatenate([turns[:1], 0.5 * (turns[1:] + turns[:-1]), turns[-1:]])
        caps = points[0] - radius * turns[0, :, 0], points[-1] + radius * turns[-1, :, 0]
        points = np.vstack([caps[0], points, caps[1]])
        between = np.concatenate([between[:1], between, between[-1:]])
        sizes = np.full(len(points), radius)
        sizes[[0, -1]] = 0.35 * radius
        return (points[:, None] + np.einsum("kij,sj->ksi", between, ring) * sizes[:, None, None]).reshape(-1, 3)

    return vertices


def _tube_faces(rings: int, sides: int) -> np.ndarray:
    """Triangles between neighbouring rings, and a fan over each end."""
    k, s = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a, b = k * sides + s, k * sides + (s + 1) % sides
    c, d = a + sides, b + sides
    walls = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    fan = np.arange(1, sides - 1)
    first = np.column_stack([np.zeros_like(fan), fan + 1, fan])
    last = (rings - 1) * sides + np.column_stack([np.zeros_like(fan), fan, fan + 1])
    return np.concatenate([walls, first, last])
