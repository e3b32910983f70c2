"""Collision capsules: fitted to link geometry once, then moved with the frames of the arm."""

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from scipy.optimize import minimize
from scipy.spatial import ConvexHull

from armflow.robot.arrays import check_shape
from armflow.robot.meshes import extreme_points

__all__ = ["Capsules", "capsule_ends", "fit_capsules", "segment_distance"]

Capsule = tuple[np.ndarray, np.ndarray, float]
_VOXEL = 0.001  # grain of the points that a fit looks at, m


@dataclass(frozen=True, slots=True)
class Capsules:
    """All capsules of an arm: points within `radius` of the segment from a to b.

    Attributes:
        frame: [C] row of `chain_frames` that carries the capsule; D is the tool, D + 1 the base, which stands still.
        a: [C, 3] one end of the segment, in that frame, m.
        b: [C, 3] other end, m.
        radius: [C] m.
        side: [C] +1 or -1 for a finger that moves along the tool's +y or -y when opening, 0 for everything else.
    """

    frame: np.ndarray
    a: np.ndarray
    b: np.ndarray
    radius: np.ndarray
    side: np.ndarray

    def __post_init__(self) -> None:
        """Check shapes."""
        sizes = check_shape("frame", self.frame, "C")
        for name, shape in (("a", "C 3"), ("b", "C 3"), ("radius", "C"), ("side", "C")):
            sizes = check_shape(name, getattr(self, name), shape, sizes)

    def __len__(self) -> int:
        return len(self.frame)

    def closed_by(self, distance: float) -> "Capsules":
        """The same capsules with each finger moved inwards by `distance` m from fully open."""
        shift = np.zeros((len(self), 3))
        shift[:, 1] = -self.side * distance
        return replace(self, a=self.a + shift, b=self.b + shift)


@njit(cache=True)
def capsule_ends(frames: np.ndarray, frame: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of all capsules in the base frame.

    Args:
        frames: [D + 1, 4, 4] from `chain_frames`.
        frame: [C] as in `Capsules`.
        a: [C, 3] as in `Capsules`, m.
        b: [C, 3] as in `Capsules`, m.

    Returns:
        a_base [C, 3] and b_base [C, 3], m.
    """
    a_base, b_base = a.copy(), b.copy()
    for c in range(len(frame)):
        if frame[c] >= len(frames):
            continue
        T = frames[frame[c]]
        for i in range(3):
            a_base[c, i] = T[i, 0] * a[c, 0] + T[i, 1] * a[c, 1] + T[i, 2] * a[c, 2] + T[i, 3]
            b_base[c, i] = T[i, 0] * b[c, 0] + T[i, 1] * b[c, 1] + T[i, 2] * b[c, 2] + T[i, 3]
    return a_base, b_base


@njit(cache=True)
def segment_distance(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> float:
    """Smallest distance between the segments a-b and c-d, each end [3], m.

    The unconstrained minimum clamped to one segment, then to the other (Ericson 2004, Real-Time Collision Detection,
    section 5.1.9).
    """
    u, v, w = b - a, d - c, a - c
    uu, vv, uv, uw, vw = u @ u, v @ v, u @ v, u @ w, v @ w
    denominator = uu * vv - uv * uv
    s = 0.0
    if denominator > 1e-14:
        s = min(max((uv * vw - uw * vv) / denominator, 0.0), 1.0)
    t = (uv * s + vw) / vv if vv > 1e-14 else 0.0
    t = min(max(t, 0.0), 1.0)
    s = min(max((uv * t - uw) / uu, 0.0), 1.0) if uu > 1e-14 else 0.0
    gap = w + s * u - t * v
    return float(np.sqrt(gap @ gap))


def fit_capsules(points: np.ndarray) -> list[Capsule]:
    """Cover points with one capsule, or with two where that saves a quarter of the volume.

    Args:
        points: [N, 3] m.

    Returns:
        (a [3], b [3], radius) of each capsule, m.
    """
    points = _thin(points)
    single = _fit_one(points, starts=3)
    axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    splits = [_split(points, axis, share) for axis in axes[:2] for share in (0.3, 0.5, 0.7)]
    rough = [sum(_volume(_fit_one(part, starts=1)) for part in parts) for parts in splits]
    pair = [_fit_one(part, starts=3) for part in splits[int(np.argmin(rough))]]
    capsules = pair if sum(map(_volume, pair)) < 0.75 * _volume(single) else [single]
    return [(a, b, radius + _VOXEL) for a, b, radius in capsules]


def _thin(points: np.ndarray) -> np.ndarray:
    """One point of each small cube; every other point is less than the cube's diagonal away."""
    cell = np.floor((points - points.min(axis=0)) / (_VOXEL / np.sqrt(3))).astype(np.int64)
    return points[np.unique(cell @ np.array([1, 1 << 20, 1 << 40]), return_index=True)[1]]


def _split(points: np.ndarray, axis: np.ndarray, share: float) -> list[np.ndarray]:
    """The points on either side of a plane across the axis, with a little overlap."""
    along = points @ axis
    cut = along.min() + share * np.ptp(along)
    parts = [points[along <= cut + 0.006], points[along >= cut - 0.006]]
    return [part if len(part) > 8 else points for part in parts]


def _volume(capsule: Capsule) -> float:
    a, b, r = capsule
    return float(np.pi * r * r * (np.linalg.norm(b - a) + 4 / 3 * r))


def _fit_one(points: np.ndarray, starts: int) -> Capsule:
    """Smallest capsule found around the points, by Nelder-Mead over its line from the first principal directions."""
    corners = points[ConvexHull(points, qhull_options="QJ").vertices]  # holding these, a convex body holds all
    center = (corners.max(axis=0) + corners.min(axis=0)) / 2
    local = extreme_points(corners, 150) - center
    basis = np.linalg.svd(local - local.mean(axis=0), full_matrices=False)[2]
    scale = np.ptp(local, axis=0).max() + 1e-9
    capsules = []
    for start in range(starts):
        turn = np.roll(basis, -start, axis=0)  # the candidate axis comes first
        found = minimize(
            lambda x, rotated=local @ turn.T: _volume(_around_line(rotated, x, scale)),
            np.zeros(4),
            method="Nelder-Mead",
            options={"maxfev": 40 * starts, "initial_simplex": np.vstack([np.zeros(4), np.eye(4) * 0.1])},
        )
        a, b, r = _around_line((corners - center) @ turn.T, found.x, scale)
        capsules.append((a @ turn + center, b @ turn + center, r))
    return min(capsules, key=_volume)


def _around_line(points: np.ndarray, x: np.ndarray, scale: float) -> Capsule:
    """Smallest capsule around points [N, 3] on the line tilted by x[:2] and shifted by x[2:] from the first axis."""
    direction = np.array([1.0, x[0], x[1]]) / np.sqrt(1 + x[0] ** 2 + x[1] ** 2)
    origin = np.array([0.0, x[2], x[3]]) * scale
    away = points - origin
    along = away @ direction
    square = np.maximum(np.einsum("nx,nx->n", away, away) - along**2, 0.0)
    radius = np.sqrt(square.max()) + 1e-6
    reach = np.sqrt(radius**2 - square)
    low, high = (along + reach).min(), (along - reach).max()
    if low > high:
        low = high = (low + high) / 2
    return origin + low * direction, origin + high * direction, float(radius)
