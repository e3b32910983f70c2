"""Rigid registration of observed points with a surface of points and normals: a plain version and a fast one.

Iterative closest points with the point-to-plane distance (Chen and Medioni 1992, doi:10.1016/0262-8856(92)90066-C),
n . (y + w x y + t - m) = 0 for the step (w, t) in the surface's frame. Points off the surface's border pull as points,
which stops the sliding along it; a small damping keeps the motions that the points do not show as they were.
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
from scipy.spatial import cKDTree

__all__ = ["NearestGrid", "register", "register_plain"]

_ROUNDS = 12
_BORDER = 0.0035  # m from the nearest surface point at which a point counts as off the border
_KEEP = 0.85  # share of the points that the residual is taken over


@dataclass(frozen=True, slots=True)
class NearestGrid:
    """A surface with a table of the nearest surface point for each cell of the space around it.

    Attributes:
        surface: [M, 3] m.
        normals: [M, 3] unit.
        nearest: [X, Y, Z] int32 row of the surface point nearest to the cell's centre.
        low: [3] corner of the first cell, m.
        pitch: Side of a cell, m.
    """

    surface: np.ndarray
    normals: np.ndarray
    nearest: np.ndarray
    low: np.ndarray
    pitch: float

    @classmethod
    def build(cls, surface: np.ndarray, normals: np.ndarray, margin: float = 0.03, cells: int = 40000) -> "NearestGrid":
        """Make the table for a surface [M, 3] with normals [M, 3], `margin` m around it, in about `cells` cells."""
        low, high = surface.min(0) - margin, surface.max(0) + margin
        pitch = float(np.cbrt((high - low).prod() / cells))
        counts = np.ceil((high - low) / pitch).astype(int)
        centers = low + pitch * (np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), -1) + 0.5)
        nearest = cKDTree(surface).query(centers.reshape(-1, 3))[1].reshape(counts).astype(np.int32)
        return cls(np.ascontiguousarray(surface), np.ascontiguousarray(normals), nearest, low, pitch)


def register(points: np.ndarray, grid: NearestGrid, T: np.ndarray) -> tuple[np.ndarray, float]:
    """Move a surface so that observed points lie on it; nearest points come from the grid.

    Args:
        points: [N, 3] observed, m, world.
        grid: The surface.
        T: [4, 4] model to world to start from.

    Returns:
        T_world_model [4, 4], and the rms distance of the nearest 85 % of the points from the surface, m.
    """
    inverse, residual = _register(
        np.ascontiguousarray(points), grid.surface, grid.normals, grid.nearest, (grid.low, grid.pitch), np.linalg.inv(T)
    )
    return np.linalg.inv(inverse), float(residual)


@nb.njit(cache=True)
def _look_up(y, surface, normals, nearest, low, pitch, out):
    """Nearest surface point's row, distance, signed distance from its plane of points y [N, 3] into out [N, 3]."""
    shape = nearest.shape
    for i in range(len(y)):
        x0 = min(max(int((y[i, 0] - low[0]) / pitch), 0), shape[0] - 1)
        x1 = min(max(int((y[i, 1] - low[1]) / pitch), 0), shape[1] - 1)
        x2 = min(max(int((y[i, 2] - low[2]) / pitch), 0), shape[2] - 1)
        m = nearest[x0, x1, x2]
        a, b, c = y[i, 0] - surface[m, 0], y[i, 1] - surface[m, 1], y[i, 2] - surface[m, 2]
        out[i, 0] = m
        out[i, 1] = np.sqrt(a * a + b * b + c * c)
        out[i, 2] = a * normals[m, 0] + b * normals[m, 1] + c * normals[m, 2]


@nb.njit(cache=True)
def _normal_equations(y, surface, normals, found, reach):
    """Sums of the Gauss-Newton step about the centre of the points within reach: A [6, 6], b [6], centre [3], count."""
    count = int((found[:, 1] < reach).sum())
    center = (y * (found[:, 1:2] < reach)).sum(0) / max(count, 1)
    A, b, spread = np.zeros((6, 6)), np.zeros(6), 0.0
    J, axes = np.zeros(6), np.eye(3)
    for i in range(len(y)):
        if found[i, 1] >= reach:
            continue
        m = int(found[i, 0])
        p, q, r = y[i, 0] - center[0], y[i, 1] - center[1], y[i, 2] - center[2]
        spread += p * p + q * q + r * r
        _add_row(A, b, J, (p, q, r), normals[m], found[i, 2])
        if found[i, 1] > _BORDER:
            for axis in range(3):
                _add_row(A, b, J, (p, q, r), axes[axis], y[i, axis] - surface[m, axis])
    A += np.triu(A, 1).T
    for k in range(3):
        A[k, k] += 0.02 * spread + 1e-6 * count
        A[k + 3, k + 3] += 0.01 * count
    return A, b, center, count


@nb.njit(cache=True, inline="always")
def _add_row(A, b, J, arm, n, gap):
    """Add the row (arm x n, n) with residual `gap` to the upper half of A and to b; J [6] is room for the row."""
    p, q, r = arm
    J[0], J[1], J[2] = q * n[2] - r * n[1], r * n[0] - p * n[2], p * n[1] - q * n[0]
    J[3], J[4], J[5] = n[0], n[1], n[2]
    for j in range(6):
        b[j] -= J[j] * gap
        for k in range(j, 6):
            A[j, k] += J[j] * J[k]


@nb.njit(cache=True)
def _register(points, surface, normals, nearest, table, inverse):
    """The loop of `register` on the inverse pose [4, 4]."""
    low, pitch = table
    found = np.empty((len(points), 3))
    reach = 0.05
    for index in range(12):
        y = points @ np.ascontiguousarray(inverse[:3, :3].T) + inverse[:3, 3]
        _look_up(y, surface, normals, nearest, low, pitch, found)
        reach = max(0.012, min(reach, 2.5 * np.median(found[:, 1]) + 0.004))
        A, b, center, count = _normal_equations(y, surface, normals, found, reach)
        if count < 6:
            break
        step = np.linalg.solve(A, b)
        angle = np.sqrt((step[:3] ** 2).sum())
        step[:3] *= min(1.0, 0.35 / max(angle, 1e-9))
        angle = min(angle, 0.35)
        w = step[:3]
        t = step[3:] - np.cross(w, center)
        W = np.array([[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]])
        s, c = 1.0, 0.5
        if angle > 1e-9:
            s, c = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
        T = np.eye(4)
        T[:3, :3] += s * W + c * (W @ W)
        T[:3, 3] = t
        inverse = T @ inverse
        if index > 2 and np.abs(step).max() < 2e-4:
            break
    y = points @ np.ascontiguousarray(inverse[:3, :3].T) + inverse[:3, 3]
    _look_up(y, surface, normals, nearest, low, pitch, found)
    distance = np.sort(np.where(found[:, 1] < 0.0045, np.abs(found[:, 2]), found[:, 1]))
    kept = distance[: max(1, int(0.85 * len(distance)))]
    return inverse, np.sqrt((kept**2).mean())


def register_plain(
    points: np.ndarray, surface: np.ndarray, normals: np.ndarray, T: np.ndarray
) -> tuple[np.ndarray, float]:
    """The readable reference of `register`: the same steps with exact nearest points of a surface [M, 3]."""
    tree = cKDTree(surface)
    inverse = np.linalg.inv(T)
    reach = 0.05
    for index in range(_ROUNDS):
        y = points @ inverse[:3, :3].T + inverse[:3, 3]
        distance, nearest = tree.query(y)
        gap, n = y - surface[nearest], normals[nearest]
        reach = max(0.012, min(reach, 2.5 * float(np.median(distance)) + 0.004))
        w = distance < reach
        if w.sum() < 6:
            break
        step = _step(y[w], gap[w], n[w], distance[w] > _BORDER)
        inverse = _exp(step) @ inverse
        if index > 2 and np.abs(step).max() < 2e-4:
            break
    y = points @ inverse[:3, :3].T + inverse[:3, 3]
    distance = np.sort(_distance(y, surface, normals, tree))[: max(1, int(_KEEP * len(y)))]
    return np.linalg.inv(inverse), float(np.sqrt((distance**2).mean()))


def _distance(y: np.ndarray, surface: np.ndarray, normals: np.ndarray, tree: cKDTree) -> np.ndarray:
    """Distance from the surface: to the tangent plane where the nearest point is close, else to the point itself."""
    distance, nearest = tree.query(y)
    plane = np.abs(((y - surface[nearest]) * normals[nearest]).sum(1))
    return np.where(distance < 0.0045, plane, distance)


def _step(y: np.ndarray, gap: np.ndarray, n: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Gauss-Newton step (rotation [3] rad, translation [3] m) about the points' centre, moved to the frame's origin."""
    center = y.mean(0)
    arm = y - center
    J = np.hstack([np.cross(arm, n), n])
    A = J.T @ J
    b = -J.T @ (gap * n).sum(1)
    if border.any():
        outer, pull = arm[border], gap[border]
        A[3:, 3:] += len(outer) * np.eye(3)
        b[3:] -= pull.sum(0)
        b[:3] -= np.cross(outer, pull).sum(0)
        A[:3, :3] += (outer**2).sum() * np.eye(3) - outer.T @ outer
        A[:3, 3:] += _skew(outer.sum(0))
        A[3:, :3] += _skew(outer.sum(0)).T
    spread = float((arm**2).sum()) / len(y)
    A += len(y) * np.diag([0.02 * spread + 1e-6] * 3 + [0.01] * 3)
    step = np.linalg.solve(A, b)
    step[:3] *= min(1.0, 0.35 / max(float(np.linalg.norm(step[:3])), 1e-9))
    step[3:] -= np.cross(step[:3], center)
    return step


def _skew(v: np.ndarray) -> np.ndarray:
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def _exp(step: np.ndarray) -> np.ndarray:
    """Motion [4, 4] of a small step: rotation by Rodrigues' formula, then the translation."""
    angle = float(np.linalg.norm(step[:3]))
    W = _skew(step[:3])
    s, c = (1.0, 0.5) if angle < 1e-9 else (np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2)
    T = np.eye(4)
    T[:3, :3] += s * W + c * W @ W
    T[:3, 3] = step[3:]
    return T
