"""Synthetic RGB-D pictures for the tests: triangle meshes of the bench's objects and a plain z-buffer.

Independent of `envs`, so that perception is held against a second renderer; truth comes with each picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numba as nb
import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.frame import RGBDFrame

Mesh = np.ndarray  # [F, 3, 3] corners of triangles, m

PALETTE = {
    "red": (0.80, 0.12, 0.12), "green": (0.12, 0.60, 0.18), "blue": (0.12, 0.25, 0.80), "yellow": (0.92, 0.80, 0.10),
    "orange": (0.95, 0.50, 0.08), "purple": (0.50, 0.18, 0.65), "cyan": (0.10, 0.72, 0.75), "white": (0.94, 0.94, 0.94),
    "black": (0.07, 0.07, 0.07), "brown": (0.42, 0.24, 0.12), "pink": (0.95, 0.50, 0.68), "gray": (0.45, 0.45, 0.46),
}  # fmt: skip
TABLE = (0.72, 0.66, 0.58)


@dataclass(frozen=True)
class Body:
    """One object: triangles per part in the world frame with their colour, and the true pose of its object frame."""

    kind: str
    color: str
    parts: tuple[tuple[Mesh, tuple[float, float, float]], ...]
    T_world_object: RigidTransform
    size: np.ndarray
    facts: dict[str, np.ndarray] = field(default_factory=dict)


def pose(x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> RigidTransform:
    """A pose that only turns about the vertical."""
    return RigidTransform.from_components(np.array([x, y, z]), Rotation.from_euler("z", yaw))


def box(size: Sequence[float], T: RigidTransform) -> Mesh:
    """Twelve triangles of a box centred on its frame."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.asarray(size) / 2
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    quads = T.apply(corners)[np.array(faces)]
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def ring_mesh(profile: np.ndarray, T: RigidTransform, segments: int = 40) -> Mesh:
    """Turn a profile [P, 2] of (radius, height) about z."""
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    grid = np.stack([
        profile[:, None, 0] * np.cos(angle), profile[:, None, 0] * np.sin(angle),
        np.broadcast_to(profile[:, None, 1], (len(profile), len(angle))),
    ], -1)  # fmt: skip
    grid = T.apply(grid.reshape(-1, 3)).reshape(grid.shape)
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    return np.concatenate([np.stack([a, b, c], 2), np.stack([a, c, d], 2)]).reshape(-1, 3, 3)


def rod(start: np.ndarray, end: np.ndarray, radius: float) -> Mesh:
    """A closed cylinder between two points."""
    along = np.asarray(end) - start
    length = np.linalg.norm(along)
    turn = Rotation.align_vectors(along[None] / length, [[0, 0, 1.0]])[0] if length > 0 else Rotation.identity()
    profile = np.array([[0, 0], [radius, 0], [radius, length], [0, length]])
    return ring_mesh(profile, RigidTransform.from_components(np.asarray(start), turn), 16)


def block(
    x: float, y: float, yaw: float = 0.0, size: Sequence[float] = (0.045, 0.045, 0.045), color: str = "red"
) -> Body:
    T = pose(x, y, size[2] / 2, yaw)
    return Body("block", color, ((box(size, T), PALETTE[color]),), T, np.asarray(size))


def disc(x: float, y: float, color: str = "green", radius: float = 0.05) -> Body:
    mesh = ring_mesh(np.array([[radius, 0], [radius, 0.004], [0, 0.004]]), pose(x, y))
    return Body("disc", color, ((mesh, PALETTE[color]),), pose(x, y, 0.004), np.array([2 * radius, 2 * radius, 0.004]))


def cylinder(x: float, y: float, color: str = "purple", radius: float = 0.025, height: float = 0.06) -> Body:
    mesh = rod(np.array([x, y, 0]), np.array([x, y, height]), radius)
    return Body(
        "unknown", color, ((mesh, PALETTE[color]),), pose(x, y, height / 2), np.array([2 * radius, 2 * radius, height])
    )


def cup(
    x: float, y: float, color: str = "blue", radius: float = 0.032, height: float = 0.09, wall: float = 0.003
) -> Body:
    profile = np.array(
        [[0, 0], [radius, 0], [radius, height], [radius - wall, height], [radius - wall, wall], [0, wall]]
    )
    size = np.array([2 * radius, 2 * radius, height])
    return Body("cup", color, ((ring_mesh(profile, pose(x, y)), PALETTE[color]),), pose(x, y), size)


def holder(x: float, y: float, color: str = "gray", radius: float = 0.035, height: float = 0.08) -> Body:
    made = cup(x, y, color, radius, height)
    return Body("holder", color, made.parts, made.T_world_object, made.size)


def mug(
    x: float, y: float, yaw: float = 0.0, color: str = "yellow", radius: float = 0.033, height: float = 0.09
) -> Body:
    body = cup(x, y, color, radius, height)
    T = pose(x, y, 0, yaw)
    tube, reach, low, high = 0.005, radius + 0.033, height / 2 - 0.027, height / 2 + 0.027
    path = T.apply(np.array([[radius, 0, low], [reach, 0, low], [reach, 0, high], [radius, 0, high]]))
    handle = np.concatenate([rod(a, b, tube) for a, b in pairwise(path)])
    parts = ((np.concatenate([body.parts[0][0], handle]), PALETTE[color]),)
    return Body("mug", color, parts, T, np.array([2 * radius, 2 * radius, height]))


def pen(x: float, y: float, yaw: float = 0.0, color: str = "blue", length: float = 0.14, radius: float = 0.008) -> Body:
    T = pose(x, y, radius, yaw)
    ends = T.apply(np.array([[-length / 2, 0, 0], [length / 2, 0, 0]]))
    return Body(
        "pen", color, ((rod(ends[0], ends[1], radius), PALETTE[color]),), T, np.array([length, 2 * radius, 2 * radius])
    )


def rack(x: float, y: float, yaw: float = 0.0, color: str = "brown", height: float = 0.22, tilt: float = 0.3) -> Body:
    base = pose(x, y, 0, yaw)
    root = np.array([0.01, 0, height - 0.03])
    along = np.array([np.cos(tilt), 0, np.sin(tilt)])
    tip = root + 0.10 * along
    plate = box((0.12, 0.12, 0.012), base * pose(0, 0, 0.006))
    post = box((0.02, 0.02, height), base * pose(0, 0, height / 2))
    peg = rod(base.apply(root), base.apply(tip), 0.0055)
    turn = Rotation.from_matrix(np.column_stack([along, [0, 1, 0], np.cross(along, [0, 1, 0])]))
    T = base * RigidTransform.from_components(root, turn)
    mesh = np.concatenate([plate, post, peg])
    return Body("rack", color, ((mesh, PALETTE[color]),), T, np.array([0.10, 0.011, 0.011]), {"tip": base.apply(tip)})


def drawer(x: float, y: float, yaw: float = 0.0, color: str = "brown", handle: str = "black", out: float = 0.0) -> Body:
    T = pose(x, y, 0, yaw)
    cabinet = box((0.2, 0.25, 0.12), T * pose(0, 0, 0.06))
    front = box((0.012, 0.23, 0.09), T * pose(0.107 + out, 0, 0.06))
    bar_x = 0.113 + 0.035 + out
    bar = [rod(T.apply([bar_x, -0.05, 0.06]), T.apply([bar_x, 0.05, 0.06]), 0.005)]
    bar += [rod(T.apply([0.11 + out, s, 0.06]), T.apply([bar_x, s, 0.06]), 0.004) for s in (-0.045, 0.045)]
    parts = ((cabinet, PALETTE[color]), (front, PALETTE[color]), (np.concatenate(bar), PALETTE[handle]))
    return Body("drawer", color, parts, T * pose(bar_x, 0, 0.06), np.array([0.01, 0.1, 0.01]))


def camera(
    distance: float = 0.85, elevation: float = 0.75, azimuth: float = 0.0, target: Sequence[float] = (0.5, 0, 0.03)
) -> RigidTransform:
    """A camera that looks at `target` from the far side (+x) of the bench."""
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    forward = -direction
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    axes = np.column_stack([right, np.cross(forward, right), forward])
    return RigidTransform.from_components(np.asarray(target) + distance * direction, Rotation.from_matrix(axes))


@nb.njit(cache=True)
def _raster(triangles, labels, shades, H, W, K):
    """Draw camera-frame triangles [F, 3, 3] with a z-buffer; returns depth, label and shade index images."""
    depth, label = np.full((H, W), np.inf), np.full((H, W), -1)
    for f in range(len(triangles)):
        t = triangles[f]
        if t[0, 2] < 0.05 or t[1, 2] < 0.05 or t[2, 2] < 0.05:
            continue
        u = K[0, 0] * t[:, 0] / t[:, 2] + K[0, 2]
        v = K[1, 1] * t[:, 1] / t[:, 2] + K[1, 2]
        area = (u[1] - u[0]) * (v[2] - v[0]) - (u[2] - u[0]) * (v[1] - v[0])
        if abs(area) < 1e-9:
            continue
        for r in range(max(0, int(np.floor(v.min()))), min(H, int(np.ceil(v.max())) + 1)):
            for c in range(max(0, int(np.floor(u.min()))), min(W, int(np.ceil(u.max())) + 1)):
                w0 = ((u[1] - c) * (v[2] - r) - (u[2] - c) * (v[1] - r)) / area
                w1 = ((u[2] - c) * (v[0] - r) - (u[0] - c) * (v[2] - r)) / area
                w2 = 1 - w0 - w1
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                z = 1 / (w0 / t[0, 2] + w1 / t[1, 2] + w2 / t[2, 2])
                if z < depth[r, c]:
                    depth[r, c], label[r, c] = z, f
    return depth, label


def _noisy(depth: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Depth noise growing with z squared, half of the edge pixels dropped, 0.5 mm steps."""
    out = depth + noise * depth**2 * rng.standard_normal(depth.shape)
    step = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        edge = np.abs(np.diff(depth, axis=axis)) > 0.012
        index = [slice(None), slice(None)]
        for part in (slice(None, -1), slice(1, None)):
            index[axis] = part
            step[tuple(index)] |= edge
    out[step & (rng.random(depth.shape) < 0.5)] = np.nan
    return np.round(out / 0.0005) * 0.0005


def render(
    bodies: Sequence[Body], T_world_camera: RigidTransform, *, rng: np.random.Generator,
    shape: tuple[int, int] = (240, 320), noise: float = 0.001,
) -> tuple[RGBDFrame, np.ndarray]:  # fmt: skip
    """Picture of bodies on the table.

    Returns:
        The frame, and the true index of the body at each pixel [H, W] (-1 for the table).
    """
    H, W = shape
    K = np.array([[0.95 * W, 0, (W - 1) / 2], [0, 0.95 * W, (H - 1) / 2], [0, 0, 1.0]])
    table = box((1.2, 1.6, 0.05), pose(0.45, 0, -0.025))
    parts = [(-1, table, TABLE)] + [(i, mesh, color) for i, b in enumerate(bodies) for mesh, color in b.parts]
    triangles = np.concatenate([mesh for _, mesh, _ in parts])
    owner = np.concatenate([np.full(len(mesh), i) for i, mesh, _ in parts])
    base = np.concatenate([np.tile(color, (len(mesh), 1)) for _, mesh, color in parts])
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    T_camera_world = T_world_camera.inv()
    toward = T_world_camera.translation - triangles.mean(1)
    normals *= np.where((normals * toward).sum(1, keepdims=True) < 0, -1, 1)
    light = np.array([0.35, 0.25, 0.9]) / np.linalg.norm([0.35, 0.25, 0.9])
    shade = 0.55 + 0.45 * np.clip(normals @ light, 0, 1)
    in_camera = T_camera_world.apply(triangles.reshape(-1, 3)).reshape(-1, 3, 3)
    depth, face = _raster(in_camera, owner, shade, H, W, K)
    seen = face >= 0
    label = np.where(seen, owner[face], -1)
    rgb = np.where(seen[..., None], base[face] * shade[face][..., None], 0.35)
    rgb = np.clip(255 * rgb + 3 * rng.standard_normal(rgb.shape), 0, 255).astype(np.uint8)
    depth = np.where(seen, _noisy(np.where(seen, depth, 3.0), noise, rng), np.nan)
    return RGBDFrame(rgb, depth, K, T_world_camera, 0.0), label
