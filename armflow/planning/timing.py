"""Time along a joint path: as fast as the limits allow, at rest at both ends, sampled on the control grid.

The path is a monotone cubic through its rows (Fritsch and Carlson 1980, doi:10.1137/0717021), which never leaves the
range of its neighbours, so position limits carry over. Along it, x = (ds/dt)^2 is found by one backward and one
forward pass over reachable sets as in TOPP-RA (Pham and Pham 2018, doi:10.1109/TRO.2018.2819195).
"""

from itertools import pairwise
from typing import Protocol

import numpy as np
from numba import njit

from armflow.robot.errors import ShapeError
from armflow.robot.kinematics import chain_tool

__all__ = ["MovingArm", "retime", "within_limits"]

GRID_PER_ROW = 12  # nodes of the passes between two rows of the path
MOST_STRETCHES = 60


class MovingArm(Protocol):
    """What timing needs to know of an arm."""

    @property
    def v_max(self) -> np.ndarray:
        """[D] velocity limits, rad/s."""
        ...

    @property
    def a_max(self) -> np.ndarray:
        """[D] acceleration limits, rad/s^2."""
        ...

    @property
    def placements(self) -> np.ndarray:
        """[D + 1, 4, 4] chain, m."""
        ...

    @property
    def axes(self) -> np.ndarray:
        """[D, 3] joint axes."""
        ...


def retime(
    q_path: np.ndarray,
    arm: MovingArm,
    dt: float = 0.04,
    *,
    v_scale: float = 0.95,
    a_scale: float = 0.9,
    tool_speed: float | None = None,
    row_dt: float = 0.0,
) -> np.ndarray:
    """Sample a path on the control grid as fast as the limits allow, at rest at both ends.

    Args:
        q_path: [H, D] joint path, rad, H >= 1.
        arm: The arm's limits and chain.
        dt: Control period, s.
        v_scale: Share of v_max to use.
        a_scale: Share of a_max to use.
        tool_speed: Most speed of the tool's origin, m/s; None for no bound.
        row_dt: Least time between two rows of the path, s.

    Returns:
        q [H', D]: row 0 is the first row of the path, the last row its last, one row every `dt`. First differences
        keep v_scale v_max dt and second ones a_scale a_max dt^2, also those against the rest before and after.

    Raises:
        ShapeError: The path is not [H, D] or not finite.
    """
    q_path = np.asarray(q_path, dtype=float)
    if q_path.ndim != 2 or len(q_path) == 0 or not np.isfinite(q_path).all():
        raise ShapeError("q_path", "a finite array [H, D] with H >= 1", q_path.shape)
    rows, length = _chord_lengths(q_path)
    if len(rows) < 2:
        return q_path[:1].copy()
    v, a = arm.v_max * v_scale, arm.a_max * a_scale
    least = np.diff(length) / np.maximum(row_dt, 1e-9)
    if tool_speed is not None:
        tools = np.array([chain_tool(arm.placements, arm.axes, q)[:3, 3] for q in rows])
        moved = np.linalg.norm(np.diff(tools, axis=0), axis=1)
        least = np.minimum(least, np.diff(length) * tool_speed / np.maximum(moved, 1e-9))
    slopes = _monotone_slopes(length, rows)
    grid, tangents, curvatures, ceiling = _sample_grid(length, rows, slopes, least)
    stamps, rate = _time_nodes(grid, tangents, curvatures, ceiling, v, a)
    stretch = 1.0
    for _ in range(MOST_STRETCHES):
        q = _sample(grid, stamps, rate, length, rows, slopes, dt, stretch)
        excess = _excess(q, v * dt, a * dt * dt)
        if excess <= 1.0:
            return q
        stretch *= max(1.002, min(np.sqrt(excess), 1.5))
    return _creep(rows, v * dt, a * dt * dt)


def within_limits(q: np.ndarray, arm: MovingArm, dt: float, tolerance: float = 1e-9) -> bool:
    """Whether q [H, D] on a grid of `dt` keeps velocity and acceleration limits, from rest to rest."""
    v, a = arm.v_max * dt + tolerance, arm.a_max * dt * dt + tolerance
    return bool(np.isfinite(q).all()) and _excess(q, v, a) <= 1.0


def _creep(rows: np.ndarray, v_step: np.ndarray, a_step: np.ndarray) -> np.ndarray:
    """The same straight segments one by one with a stop at each row, slow enough for any limit, [H', D]."""
    parts = [rows[:1]]
    for start, end in pairwise(rows):
        change = np.abs(end - start)
        steps = int(np.ceil(max((2.0 * change / v_step).max(), np.sqrt((6.2 * change / a_step).max()), 2.0)))
        u = np.arange(1, steps + 1)[:, None] / steps
        parts.append(start + (3 * u**2 - 2 * u**3) * (end - start))
    return np.concatenate(parts)


def _excess(q: np.ndarray, v_step: np.ndarray, a_step: np.ndarray) -> float:
    """Largest ratio of a first or second difference of q [H, D] to its bound; the path rests before and after."""
    first = np.diff(q, axis=0, prepend=q[:1], append=q[-1:])
    second = np.diff(first, axis=0)
    return float(max((np.abs(first) / v_step).max(), (np.abs(second) / a_step).max()))


def _chord_lengths(q_path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that differ from the one before, [H', D], and the joint-space length up to each, [H'] rad."""
    keep, last = [0], q_path[0]
    for h in range(1, len(q_path)):
        if np.linalg.norm(q_path[h] - last) > 1e-5:
            keep.append(h)
            last = q_path[h]
    rows = q_path[keep]
    if len(rows) > 1:
        rows[-1] = q_path[-1]
    steps = np.linalg.norm(np.diff(rows, axis=0), axis=1)
    return rows, np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-6))])


@njit(cache=True, error_model="numpy")
def _monotone_slopes(s: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Slopes [H, D] of the monotone cubic through rows [H, D] at s [H]: weighted harmonic means, zero at extremes."""
    horizon, dof = rows.shape
    slopes = np.zeros((horizon, dof))
    for d in range(dof):
        for h in range(1, horizon - 1):
            before, after = s[h] - s[h - 1], s[h + 1] - s[h]
            left, right = (rows[h, d] - rows[h - 1, d]) / before, (rows[h + 1, d] - rows[h, d]) / after
            if left * right > 0.0:
                slopes[h, d] = 3.0 * (before + after) / ((2 * after + before) / left + (after + 2 * before) / right)
        slopes[0, d] = (rows[1, d] - rows[0, d]) / (s[1] - s[0])
        slopes[horizon - 1, d] = (rows[-1, d] - rows[-2, d]) / (s[-1] - s[-2])
    return slopes


@njit(cache=True, error_model="numpy")
def _cubic(s, rows, slopes, h, at, q, tangent, curvature):  # noqa: PLR0913
    """Value, slope and second derivative [D] of the cubic of piece h at `at`."""
    width = s[h + 1] - s[h]
    u = (at - s[h]) / width
    for d in range(rows.shape[1]):
        a, b = rows[h, d], rows[h + 1, d]
        m, n = slopes[h, d] * width, slopes[h + 1, d] * width
        c2, c3 = 3.0 * (b - a) - 2.0 * m - n, 2.0 * (a - b) + m + n
        q[d] = a + u * (m + u * (c2 + u * c3))
        tangent[d] = (m + u * (2.0 * c2 + 3.0 * u * c3)) / width
        curvature[d] = (2.0 * c2 + 6.0 * u * c3) / (width * width)


@njit(cache=True, error_model="numpy")
def _sample_grid(s, rows, slopes, least):
    """Nodes [M + 1]; tangents and curvatures [M, D] at the middles between them; fastest ds/dt [M] allowed there."""
    pieces, dof = len(s) - 1, rows.shape[1]
    count = pieces * GRID_PER_ROW
    grid = np.empty(count + 1)
    tangents, curvatures, ceiling = np.empty((count, dof)), np.empty((count, dof)), np.empty(count)
    q = np.empty(dof)
    for h in range(pieces):
        width = (s[h + 1] - s[h]) / GRID_PER_ROW
        for k in range(GRID_PER_ROW):
            m = h * GRID_PER_ROW + k
            grid[m] = s[h] + k * width
            _cubic(s, rows, slopes, h, grid[m] + 0.5 * width, q, tangents[m], curvatures[m])
            ceiling[m] = least[h]
    grid[count] = s[pieces]
    return grid, tangents, curvatures, ceiling


@njit(cache=True, error_model="numpy")
def _rates(tangent, curvature, a, x, low, high):
    """Interval of u = d2s/dt2 within low..high that keeps |q' u + q'' x| <= a."""
    for d in range(len(a)):
        bend = curvature[d] * x
        slope = tangent[d]
        if abs(slope) < 1e-12:
            if abs(bend) > a[d]:
                return 1.0, -1.0
            continue
        first, second = (-a[d] - bend) / slope, (a[d] - bend) / slope
        low, high = max(low, min(first, second)), min(high, max(first, second))
    return low, high


@njit(cache=True, error_model="numpy")
def _time_nodes(grid, tangents, curvatures, ceiling, v, a):
    """Time [M + 1] at each node, and ds/dt there."""
    count = len(grid) - 1
    most = np.empty(count + 1)
    most[count] = 0.0
    for m in range(count - 1, -1, -1):
        fastest = ceiling[m]
        for d in range(len(v)):
            fastest = min(fastest, v[d] / max(abs(tangents[m, d]), 1e-12))
        most[m + 1] = min(most[m + 1], fastest * fastest)
        two_ds = 2.0 * (grid[m + 1] - grid[m])
        low, high = 0.0, fastest * fastest
        for _ in range(30):  # the largest x from which the next set can be reached
            x = high if _ == 0 else 0.5 * (low + high)
            least, largest = _rates(tangents[m], curvatures[m], a, x, -x / two_ds, (most[m + 1] - x) / two_ds)
            if least <= largest:
                low = x
                if _ == 0:
                    break
            else:
                high = x
        most[m] = low
    rate, stamps = np.zeros(count + 1), np.zeros(count + 1)
    x = 0.0
    for m in range(count):
        two_ds = 2.0 * (grid[m + 1] - grid[m])
        least, largest = _rates(tangents[m], curvatures[m], a, x, -x / two_ds, (most[m + 1] - x) / two_ds)
        u = largest if least <= largest else (most[m + 1] - x) / two_ds
        x = min(max(x + two_ds * u, 0.0), most[m + 1])
        rate[m + 1] = np.sqrt(x)
        stamps[m + 1] = stamps[m] + two_ds / max(rate[m] + rate[m + 1], 1e-6)
    return stamps, rate


@njit(cache=True, error_model="numpy")
def _sample(grid, stamps, rate, s, rows, slopes, dt, stretch):  # noqa: PLR0913
    """Path [H', D] every `dt`, slowed down by `stretch` and a little more so that it ends on the grid."""
    steps = max(2, int(np.ceil(stamps[-1] * stretch / dt - 1e-9)))
    tick = stamps[-1] / steps
    out = np.empty((steps + 1, rows.shape[1]))
    tangent, curvature = np.empty(rows.shape[1]), np.empty(rows.shape[1])
    m = h = 0
    for k in range(steps):
        t = k * tick
        while m < len(stamps) - 2 and stamps[m + 1] <= t:
            m += 1
        span, passed = stamps[m + 1] - stamps[m], t - stamps[m]
        u = (rate[m + 1] - rate[m]) / max(span, 1e-12)
        at = min(max(grid[m] + rate[m] * passed + 0.5 * u * passed * passed, grid[m]), grid[m + 1])
        while h < len(s) - 2 and s[h + 1] <= at:
            h += 1
        _cubic(s, rows, slopes, h, at, out[k], tangent, curvature)
    out[0], out[steps] = rows[0], rows[-1]
    return out
