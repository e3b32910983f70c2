"""Collision capsules: fitted to link geometry once, then moved with the frames of the arm."""

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from scipy.optimize import minimize

from armflow.robot.arrays import check_shape

__all__ = ["Capsules", "capsule_ends", "fit_capsules", "segment_distance"]


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
    return np.sqrt(gap @ gap)


def fit_capsules(points: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Cover points with one capsule, or with two where that saves a quarter of the volume.

    Args:
        points: [N, 3] m.

    Returns:
        (a [3], b [3], radius) of each capsule, m.
    """
    single = _fit_one(points)
    axis = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    splits = [_fit_split(points, direction, share) for direction in axis[:2] for share in (0.3, 0.5, 0.7)]
    best = min(splits, key=lambda pair: sum(map(_volume, pair)))
    return best if sum(map(_volume, best)) < 0.75 * _volume(single) else [single]


def _fit_split(points: np.ndarray, direction: np.ndarray, share: float) -> list[tuple[np.ndarray, np.ndarray, float]]:
    along = points @ direction
    cut = along.min() + share * np.ptp(along)
    low, high = points[along <= cut + 0.005], points[along >= cut - 0.005]
    return [_fit_one(part if len(part) >= 4 else points) for part in (low, high)]


def _volume(capsule: tuple[np.ndarray, np.ndarray, float]) -> float:
    a, b, r = capsule
    return float(np.pi * r * r * (np.linalg.norm(b - a) + 4 / 3 * r))


def _fit_one(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Smallest capsule found around the points, by Nelder-Mead over the axis line from each principal direction."""
    center = (points.max(axis=0) + points.min(axis=0)) / 2
    local = points - center
    basis = np.linalg.svd(local - local.mean(axis=0), full_matrices=False)[2]
    best = None
    for start in range(3):
        rotated = local @ np.roll(basis, -start, axis=0).T  # the candidate axis comes first
        scale = np.ptp(rotated, axis=0).max() + 1e-9
        found = minimize(
            lambda x, rotated=rotated, scale=scale: _volume(_around_line(rotated, x, scale)),
            np.zeros(4),
            method="Nelder-Mead",
            options={"maxfev": 160, "initial_simplex": np.vstack([np.zeros(4), np.eye(4) * 0.1])},
        )
        if best is None or found.fun < best[0]:
            a, b, r = _around_line(rotated, found.x, scale)
            turn = np.roll(basis, -start, axis=0)
            best = (found.fun, (a @ turn + center, b @ turn + center, r))
    assert best is not None
    return best[1]


def _around_line(points: np.ndarray, x: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, float]:
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
