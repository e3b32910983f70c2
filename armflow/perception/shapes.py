"""Fits of plain shapes to parts of their surface: circle, rectangle, line and lying cylinder."""

from dataclasses import dataclass

import numba as nb
import numpy as np

__all__ = ["Circle", "Line", "Rectangle", "fit_circle", "fit_line", "fit_rectangle", "lying_axis"]


@dataclass(frozen=True, slots=True)
class Circle:
    """Centre [2] m, radius m, and the share of the points within the tolerance."""

    center: np.ndarray
    radius: float
    share: float


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Centre [2] m, yaw of the first side rad, sides [2] m (first >= second), mean distance from its edges m."""

    center: np.ndarray
    yaw: float
    sides: np.ndarray
    error: float


@dataclass(frozen=True, slots=True)
class Line:
    """A point [D] m on a line, its unit direction [D], least and largest coordinate along it m, spread across it m."""

    center: np.ndarray
    direction: np.ndarray
    low: float
    high: float
    spread: float


def fit_circle(
    points: np.ndarray,
    *,
    rng: np.random.Generator,
    radii: tuple[float, float] = (0.012, 0.09),
    tolerance: float = 0.003,
    tries: int = 150,
) -> Circle | None:
    """Circle through most of the points [N, 2]: RANSAC over triples, then Gauss-Newton on the distances.

    Returns:
        The circle, or None where no triple gives a radius within `radii`.
    """
    if len(points) < 6:
        return None
    a, b, c = points[rng.integers(len(points), size=(3, tries))]
    u, v = b - a, c - a
    twice = 2 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    twice = np.where(np.abs(twice) < 1e-9, 1e-9, twice)
    uu, vv = (u**2).sum(1), (v**2).sum(1)
    centers = a + np.stack([v[:, 1] * uu - u[:, 1] * vv, u[:, 0] * vv - v[:, 0] * uu], 1) / twice[:, None]
    radius = np.linalg.norm(centers - a, axis=1)
    good = (radius > radii[0]) & (radius < radii[1])
    if not good.any():
        return None
    centers, radius = centers[good], radius[good]
    sample = points[:: max(1, len(points) // 300)]
    distance = np.linalg.norm(sample[:, None] - centers, axis=2) - radius
    best = int(np.argmax((np.abs(distance) < tolerance).sum(0)))
    center, size = centers[best], float(radius[best])
    for _ in range(6):
        center, size = _circle_step(points, center, size, tolerance)
    share = float((np.abs(np.linalg.norm(points - center, axis=1) - size) < tolerance).mean())
    return Circle(center, size, share) if radii[0] < size < radii[1] else None


def _circle_step(points: np.ndarray, center: np.ndarray, radius: float, tolerance: float) -> tuple[np.ndarray, float]:
    """One Gauss-Newton step on |p - c| - r over the points within twice the tolerance."""
    offset = points - center
    length = np.linalg.norm(offset, axis=1)
    near = np.abs(length - radius) < 2 * tolerance
    if near.sum() < 4:
        return center, radius
    J = np.column_stack([-offset[near] / length[near, None], -np.ones(near.sum())])
    step = np.linalg.lstsq(J, -(length[near] - radius), rcond=None)[0]
    return center + step[:2], radius + float(step[2])


def fit_rectangle(sides: np.ndarray, outline: np.ndarray, border: float) -> Rectangle:
    """Rectangle whose edges carry the points of visible sides and the border of the top face.

    The angle minimises the clipped distance to the nearest edge of the box spanned at that angle, the search-based
    L-shape fitting of Zhang et al. (2017), doi:10.1109/IVS.2017.7995698, on a coarse and then a fine grid.

    Args:
        sides: [N, 2] points on vertical sides seen from above, m (may be empty).
        outline: [M, 2] centres of the outermost pixels of the top face, m.
        border: How far the true edge lies outside those centres, m.

    Returns:
        The rectangle with the longer side first and yaw in [-pi/2, pi/2).
    """
    both = np.concatenate([sides, outline])
    both = both[:: max(1, len(both) // 600)]
    grid = np.linspace(0, np.pi / 2, 46)[:-1]
    yaw = grid[int(np.argmin(_edge_errors(both, grid)[:, 0]))]
    grid = yaw + np.deg2rad(np.linspace(-2, 2, 17))
    fits = _edge_errors(both, grid)
    best = int(np.argmin(fits[:, 0]))
    yaw, low, high = float(grid[best]), fits[best, 1:3], fits[best, 3:5]
    axes = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    low, high = _edges(sides @ axes.T, outline @ axes.T, low, high, border)
    center, size = axes.T @ ((low + high) / 2), high - low
    if size[1] > size[0]:
        size, yaw = size[::-1], yaw + np.pi / 2
    return Rectangle(center, float((yaw + np.pi / 2) % np.pi - np.pi / 2), size, float(fits[best, 0]))


@nb.njit(cache=True)
def _edge_errors(points, yaws):
    """For each angle: mean clipped distance to the nearest edge of the box around the points, its low and high corner.

    The box leaves out 2 % of the points [N, 2] on each side; returns [A, 5].
    """
    out = np.empty((len(yaws), 5))
    count = len(points)
    skip = int(0.02 * (count - 1) + 0.5)
    for a in range(len(yaws)):
        c, s = np.cos(yaws[a]), np.sin(yaws[a])
        u, v = c * points[:, 0] + s * points[:, 1], c * points[:, 1] - s * points[:, 0]
        sorted_u, sorted_v = np.sort(u), np.sort(v)
        left, right = sorted_u[skip], sorted_u[count - 1 - skip]
        down, up = sorted_v[skip], sorted_v[count - 1 - skip]
        total = 0.0
        for i in range(count):
            aside = min(abs(u[i] - left), abs(u[i] - right))
            total += min(aside, abs(v[i] - down), abs(v[i] - up), 0.008)
        out[a, 0], out[a, 1], out[a, 2], out[a, 3], out[a, 4] = total / count, left, down, right, up
    return out


def _edges(
    sides: np.ndarray, outline: np.ndarray, low: np.ndarray, high: np.ndarray, border: float
) -> tuple[np.ndarray, np.ndarray]:
    """Place each edge at the median of the side points on it, or else just outside the top face's border."""
    placed = np.empty((2, 2))
    for row, (bound, sign) in enumerate(((low, -1.0), (high, 1.0))):
        for axis in range(2):
            other = 1 - axis
            middle, half = (low[other] + high[other]) / 2, (high[other] - low[other]) / 2
            near_side, near_top = (
                (np.abs(p[:, axis] - bound[axis]) < 0.005) & (np.abs(p[:, other] - middle) < 0.8 * half)
                for p in (sides, outline)
            )  # the corners belong to the other edges
            if near_side.sum() >= 12:
                placed[row, axis] = np.median(sides[near_side, axis])
            elif near_top.any():
                placed[row, axis] = np.median(outline[near_top, axis]) + sign * border
            else:
                placed[row, axis] = bound[axis] + sign * border
    return placed[0], placed[1]


def fit_line(points: np.ndarray, rounds: int = 4) -> Line:
    """Main axis of points [N, D], N >= 2, with outliers across it trimmed."""
    keep = np.ones(len(points), bool)
    for _ in range(rounds):
        center = points[keep].mean(0)
        offset = points - center
        values, vectors = np.linalg.eigh(offset[keep].T @ offset[keep] / keep.sum())
        direction = vectors[:, -1]
        across = np.linalg.norm(offset - np.outer(offset @ direction, direction), axis=1)
        keep = across <= max(2.5 * np.median(across[keep]), 1e-4)
    along = offset[keep] @ direction
    low, high = np.quantile(along, [0.005, 0.995])
    return Line(center, direction, float(low), float(high), float(np.sqrt(max(values[:-1].sum(), 0))))


def lying_axis(across: np.ndarray, height: np.ndarray, radius: float) -> float:
    """Sideways position of a lying cylinder's axis from the part of its round surface that is seen.

    Gauss-Newton on sqrt((across - s)^2 + (height - radius)^2) = radius in s.

    Args:
        across: [N] sideways coordinates, m.
        height: [N] heights above the table, m.
        radius: Of the cylinder, m.
    """
    s = float(np.median(across))
    for _ in range(8):
        offset = across - s
        length = np.maximum(np.hypot(offset, height - radius), 1e-6)
        J = -offset / length
        weight = (np.abs(length - radius) < 0.6 * radius) & (height > 0.4 * radius)
        s -= float((weight * J * (length - radius)).sum() / max((weight * J * J).sum(), 1e-9))
    return s
