"""Quadratic programs over a whole joint trajectory, solved by a primal-dual interior-point method on band matrices.

The program is, for a step d [H, D] away from the trajectory q [H, D],

    minimise    1/2 d^T B d + g^T d
    subject to  low <= A (q + d) <= high,    d[h] = 0 for pinned rows h,

where A stacks positions, first and second differences over time. B holds one block [D, D] per row plus penalties on
first and second differences, so every matrix here has 2 D diagonals below the main one, and one Newton step costs
O(H D^3). Mehrotra (1992), doi:10.1137/0802028, gives the predictor and the corrector.
"""

import numpy as np
from numba import njit

__all__ = [
    "active_rows",
    "assemble",
    "band_cholesky",
    "band_solve",
    "differences",
    "differences_adjoint",
    "solve_band_qp",
]

MOST_NEWTON = 60


@njit(cache=True, fastmath={"contract", "reassoc"})
def band_cholesky(band: np.ndarray) -> bool:
    """Factor a positive definite band matrix in place; False where it is not positive definite.

    Args:
        band: [n, w + 1]; entry (i, j) of the lower triangle lies at band[i, j - i + w].
    """
    n, width = band.shape[0], band.shape[1] - 1
    for i in range(n):
        first = max(0, i - width)
        row = band[i]
        for j in range(first, i):
            other = band[j]
            total = row[j - i + width]
            for k in range(first, j):
                total -= row[k - i + width] * other[k - j + width]
            row[j - i + width] = total * other[width]
        total = row[width]
        for k in range(first, i):
            total -= row[k - i + width] * row[k - i + width]
        if not total > 1e-14:
            return False
        row[width] = 1.0 / np.sqrt(total)  # the inverse: dividing is what costs
    return True


@njit(cache=True, fastmath={"contract", "reassoc"})
def band_solve(band: np.ndarray, x: np.ndarray) -> None:
    """Solve L L^T x = b in place for the factor of `band_cholesky`; x [n] holds b on entry."""
    n, width = band.shape[0], band.shape[1] - 1
    for i in range(n):
        total = x[i]
        for k in range(max(0, i - width), i):
            total -= band[i, k - i + width] * x[k]
        x[i] = total * band[i, width]
    for i in range(n - 1, -1, -1):
        value = x[i] * band[i, width]
        x[i] = value
        for k in range(max(0, i - width), i):
            x[k] -= band[i, k - i + width] * value


@njit(cache=True, error_model="numpy")
def differences(x: np.ndarray) -> np.ndarray:
    """A x: positions, first and second differences of x [H, D], as [3, H, D].

    The path rests before its first and after its last row, so the second differences at the ends are
    x[1] - x[0] and x[H-2] - x[H-1]. The last row of first differences is zero.
    """
    horizon, dof = x.shape
    out = np.zeros((3, horizon, dof))
    for h in range(horizon):
        for d in range(dof):
            out[0, h, d] = x[h, d]
            after = x[h + 1, d] - x[h, d] if h + 1 < horizon else 0.0
            before = x[h, d] - x[h - 1, d] if h > 0 else 0.0
            out[1, h, d] = after
            out[2, h, d] = after - before
    return out


@njit(cache=True, error_model="numpy")
def differences_adjoint(y: np.ndarray) -> np.ndarray:
    """A^T y for y [3, H, D], as [H, D]."""
    _, horizon, dof = y.shape
    out = np.empty((horizon, dof))
    for h in range(horizon):
        for d in range(dof):
            total = y[0, h, d]
            if h + 1 < horizon:
                total += -y[1, h, d] + y[2, h + 1, d] - y[2, h, d]
            if h > 0:
                total += y[1, h - 1, d] + y[2, h - 1, d] - y[2, h, d]
            out[h, d] = total
    return out


@njit(cache=True, error_model="numpy")
def _add_weighted(band: np.ndarray, w: np.ndarray) -> None:
    """Add A^T diag(w) A to a band matrix, w [3, H, D]."""
    _, horizon, dof = w.shape
    width = 2 * dof
    for h in range(horizon):
        for d in range(dof):
            i = h * dof + d
            first, second = w[1, h, d], w[2, h, d]
            inner_after, inner_before = h + 1 < horizon, h > 0
            middle = -1.0 * inner_after - 1.0 * inner_before
            band[i, width] += w[0, h, d] + second * middle * middle
            if inner_after:
                band[i, width] += first
                band[i + dof, width] += first + second
                band[i + dof, width - dof] += -first + second * middle
            if inner_before:
                band[i - dof, width] += second
                band[i, width - dof] += second * middle
            if inner_after and inner_before:
                band[i + dof, 0] += second


@njit(cache=True, error_model="numpy")
def _pin(band: np.ndarray, pinned: np.ndarray, dof: int) -> None:
    """Cut pinned rows out of a band matrix, leaving ones on its diagonal."""
    n, width = band.shape[0], band.shape[1] - 1
    for i in range(n):
        for j in range(max(0, i - width), i + 1):
            if pinned[i // dof] or pinned[j // dof]:
                band[i, j - i + width] = 1.0 if i == j else 0.0


@njit(cache=True, error_model="numpy")
def assemble(blocks: np.ndarray, smooth: np.ndarray, damping: float) -> np.ndarray:
    """Band matrix of B: blocks [H, D, D], smooth [3, H, D] weights on A's rows, damping on the diagonal."""
    horizon, dof, _ = blocks.shape
    band = np.zeros((horizon * dof, 2 * dof + 1))
    for h in range(horizon):
        for a in range(dof):
            for b in range(a + 1):
                band[h * dof + a, 2 * dof + b - a] = blocks[h, a, b]
            band[h * dof + a, 2 * dof] += damping
    _add_weighted(band, smooth)
    return band


@njit(cache=True, fastmath={"contract", "reassoc"})
def band_multiply(band: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Product of a symmetric band matrix with x [H, D]."""
    n, width = band.shape[0], band.shape[1] - 1
    flat = x.reshape(-1)
    out = np.zeros(n)
    for i in range(n):
        out[i] += band[i, width] * flat[i]
        for j in range(max(0, i - width), i):
            out[i] += band[i, j - i + width] * flat[j]
            out[j] += band[i, j - i + width] * flat[i]
    return out.reshape(x.shape)


@njit(cache=True, error_model="numpy")
def _inside(rows: np.ndarray, low: np.ndarray, high: np.ndarray, active: np.ndarray) -> bool:
    """Whether the active rows keep their bounds."""
    values, least, most, counts = rows.reshape(-1), low.reshape(-1), high.reshape(-1), active.reshape(-1)
    for k in range(values.size):  # noqa: SIM110 - compiled
        if counts[k] and not (least[k] <= values[k] <= most[k]):
            return False
    return True


@njit(cache=True, error_model="numpy")
def active_rows(high: np.ndarray, pinned: np.ndarray) -> np.ndarray:
    """Rows of A that a bound and a free waypoint touch, [3, H, D] bool."""
    _, horizon, dof = high.shape
    active = np.zeros(high.shape, dtype=np.bool_)
    for h in range(horizon):
        before = not pinned[h - 1] if h > 0 else False
        after = not pinned[h + 1] if h + 1 < horizon else False
        for d in range(dof):
            active[0, h, d] = not pinned[h] and np.isfinite(high[0, h, d])
            active[1, h, d] = h + 1 < horizon and (after or not pinned[h]) and np.isfinite(high[1, h, d])
            active[2, h, d] = (before or after or not pinned[h]) and np.isfinite(high[2, h, d])
    return active


@njit(cache=True, error_model="numpy")
def solve_band_qp(
    band: np.ndarray,
    gradient: np.ndarray,
    q: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    pinned: np.ndarray,
    tolerance: float,
) -> tuple[np.ndarray, bool, int]:
    """Solve the program of this module.

    Args:
        band: [H D, 2 D + 1] the matrix B, see `assemble`.
        gradient: [H, D] g.
        q: [H, D] present trajectory, rad; it may lie outside the bounds.
        low: [3, H, D] lower bounds of positions, first and second differences; not finite where there is none.
        high: [3, H, D] upper bounds.
        pinned: [H] bool rows that stay.
        tolerance: Duality gap at which to stop, relative to the objective.

    Returns:
        The step d [H, D]; whether it is optimal and within the bounds; Newton steps taken.
    """
    horizon, dof = q.shape
    active = active_rows(high, pinned)
    factor = band.copy()
    _pin(factor, pinned, dof)
    free = np.ones((horizon, dof))
    for h in range(horizon):
        if pinned[h]:
            free[h] = 0.0
    rhs = (-gradient * free).reshape(-1)
    if not band_cholesky(factor):
        return np.zeros_like(q), False, 0
    band_solve(factor, rhs)
    step = rhs.reshape(q.shape)
    if _inside(differences(q + step), low, high, active):
        return step, True, 0
    return _interior_point(band, gradient, q, low, high, (active, free, pinned, tolerance))


@njit(cache=True, error_model="numpy")
def _start(rows, low, high, active, mu_scale):
    """Slacks and multipliers to the lower and upper bounds, [4, n], kept off zero; below, room for their changes."""
    state = np.ones((8, rows.size))
    total = 0.0
    count = 0
    for k in range(rows.size):
        if active[k]:
            least = 0.05 * (high[k] - low[k])
            state[0, k] = max(rows[k] - low[k], least)
            state[1, k] = max(high[k] - rows[k], least)
            total += state[0, k] + state[1, k]
            count += 2
    mu = max(1e-6, 0.1 * mu_scale * total / max(count, 1))
    for k in range(rows.size):
        state[2, k] = mu / state[0, k] if active[k] else 0.0
        state[3, k] = mu / state[1, k] if active[k] else 0.0
    return state, count


@njit(cache=True, error_model="numpy")
def _measure(rows, low, high, active, state):
    """Sum of slack times multiplier, and the largest distance of the slacks from the truth."""
    gap, primal = 0.0, 0.0
    for k in range(rows.size):
        if active[k]:
            gap += state[0, k] * state[2, k] + state[1, k] * state[3, k]
            primal = max(primal, abs(rows[k] - low[k] - state[0, k]), abs(high[k] - rows[k] - state[1, k]))
    return gap, primal


@njit(cache=True, error_model="numpy")
def _centre(rows, low, high, active, state, target, second, push):  # noqa: PLR0913
    """Right-hand side on A's rows for the aim s z = target, with Mehrotra's second-order part if `second`."""
    for k in range(rows.size):
        push[k] = 0.0
        if active[k]:
            s, t, y, z = state[0, k], state[1, k], state[2, k], state[3, k]
            c, d = target - s * y, target - t * z
            if second:
                c -= state[4, k] * state[6, k]
                d -= state[5, k] * state[7, k]
            push[k] = (c - y * (rows[k] - low[k] - s)) / s - (d - z * (high[k] - rows[k] - t)) / t


@njit(cache=True, error_model="numpy")
def _changes(rows, low, high, active, state, target, second, moved):  # noqa: PLR0913
    """Fill in the changes of slacks and multipliers that go with A d = moved; return the longest steps for each."""
    primal, dual = 1.0, 1.0
    for k in range(rows.size):
        if not active[k]:
            continue
        s, t, y, z = state[0, k], state[1, k], state[2, k], state[3, k]
        c, d = target - s * y, target - t * z
        if second:
            c -= state[4, k] * state[6, k]
            d -= state[5, k] * state[7, k]
        ds, dt = moved[k] + rows[k] - low[k] - s, high[k] - rows[k] - t - moved[k]
        dy, dz = (c - y * ds) / s, (d - z * dt) / t
        primal = min(primal, -s / ds if ds < 0.0 else 1.0, -t / dt if dt < 0.0 else 1.0)
        dual = min(dual, -y / dy if dy < 0.0 else 1.0, -z / dz if dz < 0.0 else 1.0)
        state[4, k], state[5, k], state[6, k], state[7, k] = ds, dt, dy, dz
    return primal, dual


@njit(cache=True, error_model="numpy")
def _gap_ahead(active, state, primal, dual):
    """Sum of slack times multiplier after the predicted step."""
    gap = 0.0
    for k in range(active.size):
        if active[k]:
            gap += (state[0, k] + primal * state[4, k]) * (state[2, k] + dual * state[6, k])
            gap += (state[1, k] + primal * state[5, k]) * (state[3, k] + dual * state[7, k])
    return gap


@njit(cache=True, error_model="numpy")
def _barrier_matrix(band, state, active, pinned, shape):
    """Factor of B + A^T diag(z / s) A; False where it is not positive definite."""
    horizon, dof = shape
    w = np.zeros(active.size)
    for k in range(active.size):
        if active[k]:
            w[k] = state[2, k] / state[0, k] + state[3, k] / state[1, k]
    factor = band.copy()
    _add_weighted(factor, w.reshape((3, horizon, dof)))
    _pin(factor, pinned, dof)
    return factor, band_cholesky(factor)


@njit(cache=True, error_model="numpy")
def _interior_point(band, gradient, q, low, high, setting):  # noqa: C901 - one loop, as in the paper
    """Mehrotra's loop; `setting` is (active, free, pinned, tolerance)."""
    active, free, pinned, tolerance = setting[0].reshape(-1), setting[1], setting[2], setting[3]
    lo, hi, shape = low.reshape(-1), high.reshape(-1), q.shape
    step, moved = np.zeros_like(q), np.zeros(lo.size)
    rows, push, force = differences(q).reshape(-1), np.empty(lo.size), np.empty(lo.size)
    state, count = _start(rows, lo, hi, active, np.abs(gradient * free).max())
    for iteration in range(1, MOST_NEWTON + 1):
        product = band_multiply(band, step)
        objective = 0.5 * (step * product).sum() + (gradient * step).sum()
        for k in range(lo.size):
            force[k] = state[3, k] - state[2, k]
        dual = (product + gradient + differences_adjoint(force.reshape(low.shape))) * free
        gap, primal = _measure(rows, lo, hi, active, state)
        scale = tolerance * (1.0 + abs(objective))
        if primal < 1e-10 and gap < scale and np.abs(dual).max() < 1e-2 * tolerance**0.5 * (1.0 + abs(objective)):
            return step, True, iteration
        factor, ok = _barrier_matrix(band, state, active, pinned, shape)
        if not ok:
            return step, False, iteration
        target, longest = 0.0, 1.0
        for phase in range(2):
            _centre(rows, lo, hi, active, state, target, phase == 1, push)
            change = (differences_adjoint(push.reshape(low.shape)) * free - dual).reshape(-1)
            band_solve(factor, change)
            moved = differences(change.reshape(shape)).reshape(-1)
            alpha, beta = _changes(rows, lo, hi, active, state, target, phase == 1, moved)
            longest = min(alpha, beta)
            if phase == 0:
                ahead = _gap_ahead(active, state, alpha, beta)
                target = gap / count * min(1.0, max(1e-4, ahead / gap)) ** 3
        length = 0.99 * longest if longest < 1.0 else 1.0
        step += length * change.reshape(shape)
        for k in range(lo.size):
            rows[k] += length * moved[k]
            if active[k]:
                for i in range(4):
                    state[i, k] += length * state[i + 4, k]
    return step, False, MOST_NEWTON
