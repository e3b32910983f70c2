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


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
def _pin(band: np.ndarray, pinned: np.ndarray, dof: int) -> None:
    """Cut pinned rows out of a band matrix, leaving ones on its diagonal."""
    n, width = band.shape[0], band.shape[1] - 1
    for i in range(n):
        for j in range(max(0, i - width), i + 1):
            if pinned[i // dof] or pinned[j // dof]:
                band[i, j - i + width] = 1.0 if i == j else 0.0


@njit(cache=True)
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


@njit(cache=True)
def _step_length(value: np.ndarray, change: np.ndarray, active: np.ndarray) -> float:
    """Longest step in 0..1 that keeps the active values positive."""
    length = 1.0
    for k in range(value.size):
        if active.flat[k] and change.flat[k] < 0.0:
            length = min(length, -value.flat[k] / change.flat[k])
    return length


@njit(cache=True)
def _inside(rows: np.ndarray, low: np.ndarray, high: np.ndarray, active: np.ndarray) -> bool:
    """Whether the active rows keep their bounds."""
    for k in range(rows.size):
        if active.flat[k] and not (low.flat[k] <= rows.flat[k] <= high.flat[k]):
            return False
    return True


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
def _start(rows: np.ndarray, low: np.ndarray, high: np.ndarray, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slacks to both bounds, kept off zero."""
    below, above = np.ones(rows.shape), np.ones(rows.shape)
    for k in range(rows.size):
        if active.flat[k]:
            least = 0.05 * (high.flat[k] - low.flat[k])
            below.flat[k] = max(rows.flat[k] - low.flat[k], least)
            above.flat[k] = max(high.flat[k] - rows.flat[k], least)
    return below, above


@njit(cache=True)
def _interior_point(band, gradient, q, low, high, setting):  # noqa: PLR0915 - one loop, printed as in the paper
    """Mehrotra's loop; `setting` is (active, free, pinned, tolerance)."""
    active, free, pinned, tolerance = setting
    mask = active.astype(np.float64)
    count = 2.0 * mask.sum()
    step = np.zeros_like(q)
    lo, hi = np.where(active, low, 0.0), np.where(active, high, 0.0)
    rows = differences(q) * mask
    s_low, s_high = _start(rows, lo, hi, active)
    mu = max(1e-6, 0.1 * np.abs(gradient * free).max() * np.mean(s_low + s_high))
    z_low, z_high = mask * mu / s_low, mask * mu / s_high
    for iteration in range(1, 61):
        product = band_multiply(band, step)
        objective = 0.5 * (step * product).sum() + (gradient * step).sum()
        dual = (product + gradient - differences_adjoint(z_low) + differences_adjoint(z_high)) * free
        r_low, r_high = (rows - lo - s_low) * mask, (hi - rows - s_high) * mask
        mu = ((s_low * z_low * mask).sum() + (s_high * z_high * mask).sum()) / count
        primal = max(np.abs(r_low).max(), np.abs(r_high).max())
        scale = 1.0 + abs(objective)
        if primal < 1e-10 and mu * count < tolerance * scale and np.abs(dual).max() < 1e-2 * tolerance**0.5 * scale:
            return step, True, iteration
        w_low, w_high = mask * z_low / s_low, mask * z_high / s_high
        factor = band.copy()
        _add_weighted(factor, w_low + w_high)
        _pin(factor, pinned, q.shape[1])
        if not band_cholesky(factor):
            break
        c_low, c_high = -s_low * z_low, -s_high * z_high
        for phase in range(2):
            rhs = (
                -dual
                + differences_adjoint(mask * (c_low / s_low - w_low * r_low - c_high / s_high + w_high * r_high)) * free
            )
            flat = rhs.reshape(-1)
            band_solve(factor, flat)
            change = flat.reshape(q.shape)
            change_rows = differences(change) * mask
            d_low, d_high = change_rows + r_low, -change_rows + r_high
            dz_low = mask * (c_low - z_low * d_low) / s_low
            dz_high = mask * (c_high - z_high * d_high) / s_high
            primal_step = min(_step_length(s_low, d_low, active), _step_length(s_high, d_high, active))
            dual_step = min(_step_length(z_low, dz_low, active), _step_length(z_high, dz_high, active))
            if phase == 0:
                ahead = ((s_low + primal_step * d_low) * (z_low + dual_step * dz_low) * mask).sum()
                ahead += ((s_high + primal_step * d_high) * (z_high + dual_step * dz_high) * mask).sum()
                target = mu * max(1e-4, (ahead / count / mu)) ** 3
                c_low = target - s_low * z_low - d_low * dz_low
                c_high = target - s_high * z_high - d_high * dz_high
        length = min(0.99 * min(primal_step, dual_step), 1.0) if min(primal_step, dual_step) < 1.0 else 1.0
        step = step + length * change
        rows = rows + length * change_rows
        s_low, s_high = s_low + length * d_low, s_high + length * d_high
        z_low, z_high = z_low + length * dz_low, z_high + length * dz_high
    return step, False, 60
