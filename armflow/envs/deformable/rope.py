"""A rope: a chain of capsules whose joints resist bending."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.deformable.body import MATERIAL, Ranges, SoftBody, Surface, between

__all__ = [
    "SEGMENTS",
    "Cord",
    "center_line",
    "draw_cord",
    "lay_curve",
    "lay_line",
    "rope",
    "rope_of",
    "tube",
    "tube_faces",
]

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


@dataclass(frozen=True, slots=True)
class Cord:
    """A rope before any simulator has it.

    Attributes:
        step: Length of a segment, m.
        radius: m.
        bending: Stiffness, N m^2.
        density: kg/m^3.
        friction: Against the table.
        curve: [SEGMENTS, 3] where each segment starts, x and y, m, and its heading, rad.
        color: Red, green, blue in 0 to 1.
        material: As in `SoftBody`.
    """

    step: float
    radius: float
    bending: float
    density: float
    friction: float
    curve: np.ndarray
    color: tuple[float, float, float]
    material: dict[str, float]


def draw_cord(place: np.ndarray, *, rng: np.random.Generator, ranges: Ranges | None = None) -> Cord:
    """Draw a rope; arguments as in `rope`."""
    share = (ranges or Ranges()).draw(("size", "radius", "stiffness", "mass", "friction"), rng=rng)
    step = between(LENGTH, share["size"]) / SEGMENTS
    bending = STIFFNESS[0] * (STIFFNESS[1] / STIFFNESS[0]) ** share["stiffness"]
    curve = lay_curve(SEGMENTS, step, place, rng=rng)
    color = COLORS[int(rng.integers(len(COLORS)))]
    sizes = step, between(RADIUS, share["radius"]), bending, between(DENSITY, share["mass"])
    material = {name: share[name] for name in MATERIAL}
    return Cord(*sizes, between(FRICTION, share["friction"]), curve, color, material)


def rope(place: np.ndarray, *, rng: np.random.Generator, ranges: Ranges | None = None) -> SoftBody:
    """Draw a rope that lies on the table.

    Args:
        place: [2] where its middle lies, m.
        rng: Draws length, radius, stiffness, density, friction, colour and the curve in which it lies.
        ranges: Where the draws lie; by default the whole usual range.

    Returns:
        The rope, `SEGMENTS` capsules from the first end to the other.
    """
    return rope_of(draw_cord(place, rng=rng, ranges=ranges))


def rope_of(cord: Cord) -> SoftBody:
    """Make the rope that was drawn."""
    geom = f'friction="{cord.friction:.4f} 0.005 0.0002" density="{cord.density:.2f}"'
    faces = tube_faces(SEGMENTS)
    return SoftBody(
        "rope",
        "rope",
        _chain(cord.curve[0], cord.step, cord.radius, cord.bending / cord.step, geom),
        partial(_surface, step=cord.step, radius=cord.radius),
        partial(_lay, headings=cord.curve[:, 2]),
        faces,
        np.tile(np.asarray(cord.color), (len(faces), 1)),
        material=cord.material,
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


def lay_line(line: np.ndarray) -> np.ndarray:
    """The chain [K, 3], as in `lay_curve`, whose links go from each point of a line [K + 1, 2], m, to the next."""
    steps = np.diff(line, axis=0)
    return np.column_stack([line[:-1], np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))])


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
    """A tube about the chain's joints."""
    bodies = np.array([mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, f"rope_{k}") for k in range(SEGMENTS)])

    def vertices(data: Any) -> np.ndarray:
        return tube(data.xpos[bodies], data.xmat[bodies].reshape(-1, 3, 3), step, radius)

    return vertices


def tube(starts: np.ndarray, turns: np.ndarray, step: float, radius: float) -> np.ndarray:
    """Surface [V, 3] of a chain, closed by short cones at both ends, m.

    Args:
        starts: [K, 3] where each segment starts, m.
        turns: [K, 3, 3] their orientations; each lies along its own x.
        step: Their length, m.
        radius: m.
    """
    angles = 2 * np.pi * np.arange(SIDES) / SIDES
    ring = np.column_stack([np.zeros(SIDES), np.cos(angles), np.sin(angles)])
    end = starts[-1] + step * turns[-1, :, 0]
    points = np.vstack([starts, end])
    between = np.concatenate([turns[:1], 0.5 * (turns[1:] + turns[:-1]), turns[-1:]])
    caps = points[0] - radius * turns[0, :, 0], points[-1] + radius * turns[-1, :, 0]
    points = np.vstack([caps[0], points, caps[1]])
    between = np.concatenate([between[:1], between, between[-1:]])
    sizes = np.full(len(points), radius)
    sizes[[0, -1]] = 0.35 * radius
    return (points[:, None] + np.einsum("kij,sj->ksi", between, ring) * sizes[:, None, None]).reshape(-1, 3)


def center_line(vertices: np.ndarray, between: int = 4) -> np.ndarray:
    """The middle of a tube [V, 3] from end to end, `between` points [K, 3] a segment, m."""
    joints = vertices.reshape(-1, SIDES, 3).mean(axis=1)[1:-1]
    at = np.linspace(0, len(joints) - 1, between * (len(joints) - 1) + 1)
    return np.stack([np.interp(at, np.arange(len(joints)), column) for column in joints.T], axis=1)


def tube_faces(segments: int) -> np.ndarray:
    """Triangles [F, 3] of `tube`: between neighbouring rings, and a fan over each end."""
    rings, sides = segments + 3, SIDES
    k, s = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a, b = k * sides + s, k * sides + (s + 1) % sides
    c, d = a + sides, b + sides
    walls = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    fan = np.arange(1, sides - 1)
    first = np.column_stack([np.zeros_like(fan), fan + 1, fan])
    last = (rings - 1) * sides + np.column_stack([np.zeros_like(fan), fan, fan + 1])
    return np.concatenate([walls, first, last])
