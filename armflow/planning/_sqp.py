"""Sequential quadratic programming over a joint trajectory, and Levenberg-Marquardt for one waypoint.

Limits are linear in the trajectory, so every step between two feasible trajectories is feasible, and a line search
on the cost alone keeps them hard (Nocedal and Wright 2006, chapters 10 and 18).
"""

import numpy as np
from numba import njit

from armflow.planning._cost import smooth_cost, trajectory_cost, trajectory_terms, waypoint_terms
from armflow.planning.banded import active_rows, assemble, differences, differences_adjoint, solve_band_qp

__all__ = ["follow_chain", "project", "smooth_weights", "solve_sqp", "solve_waypoint"]


@njit(cache=True)
def smooth_weights(velocity: float, acceleration: float, horizon: int, dof: int) -> np.ndarray:
    """Weights [3, H, D] of positions (none), first and second differences."""
    weights = np.zeros((3, horizon, dof))
    weights[1, : horizon - 1] = velocity
    weights[2] = acceleration
    return weights


@njit(cache=True)
def largest_excess(q: np.ndarray, low: np.ndarray, high: np.ndarray, pinned: np.ndarray) -> float:
    """Largest distance by which q [H, D] leaves its bounds, rad."""
    rows, active = differences(q), active_rows(high, pinned)
    excess = 0.0
    for k in range(rows.size):
        if active.flat[k]:
            excess = max(excess, rows.flat[k] - high.flat[k], low.flat[k] - rows.flat[k])
    return excess


@njit(cache=True)
def project(q: np.ndarray, low: np.ndarray, high: np.ndarray, pinned: np.ndarray) -> tuple[np.ndarray, bool]:
    """Nearest trajectory [H, D] within the bounds, and whether one was found."""
    horizon, dof = q.shape
    if largest_excess(q, low, high, pinned) <= 0.0:
        return q.copy(), True
    band = assemble(np.zeros((horizon, dof, dof)), smooth_weights(0.0, 0.1, horizon, dof), 1.0)
    step, ok, _ = solve_band_qp(band, np.zeros((horizon, dof)), q, low, high, pinned, 1e-8)
    moved = q + step
    return moved, ok and largest_excess(moved, low, high, pinned) <= 1e-9


@njit(cache=True)
def solve_sqp(body, field, track, gains, q, bounds, max_iterations):
    """Improve a feasible trajectory until it stops moving.

    Args:
        body: The arm.
        field: The scene.
        track: What to follow.
        gains: Weights of the costs.
        q: [H, D] feasible start, rad.
        bounds: low [3, H, D], high [3, H, D], pinned [H], see `banded.solve_band_qp`.
        max_iterations: Most quadratic programs to solve.

    Returns:
        q [H, D], its cost, programs solved, and whether it came to rest.
    """
    low, high, pinned = bounds
    horizon, dof = q.shape
    weights = smooth_weights(gains.velocity, gains.acceleration, horizon, dof)
    cost, gradient, blocks = trajectory_terms(body, field, track, gains, q)
    cost += smooth_cost(gains, q)
    damping = 1e-6
    for iteration in range(1, max_iterations + 1):
        rows = differences(q) * weights
        total = gradient + differences_adjoint(rows)
        band = assemble(blocks, weights, damping)
        step, ok, _ = solve_band_qp(band, total, q, low, high, pinned, 1e-7)
        moved = np.abs(step).max()
        if not ok and largest_excess(q + step, low, high, pinned) > 1e-9:
            return q, cost, iteration, False
        if moved < 1e-5:
            return q, cost, iteration, True
        slope = (total * step).sum()
        length, lower = 1.0, cost
        while length > 0.02:
            lower = trajectory_cost(body, field, track, gains, q + length * step)
            if lower <= cost + 1e-3 * length * slope:
                break
            length *= 0.4
        if length <= 0.02:
            if damping > 1e3:
                return q, cost, iteration, False
            damping = max(damping * 30.0, 1e-2)
            continue
        damping = max(damping * (0.1 if length == 1.0 else 3.0), 1e-6)
        q = q + length * step
        settled = cost - lower < 1e-5 * (1e-3 + abs(cost)) or length * moved < 1e-4
        cost, gradient, blocks = trajectory_terms(body, field, track, gains, q)
        cost += smooth_cost(gains, q)
        if settled:
            return q, cost, iteration, True
    return q, cost, max_iterations, False


@njit(cache=True)
def solve_waypoint(body, field, track, gains, h, q, max_iterations):
    """Levenberg-Marquardt on one waypoint within the position limits, from q [D].

    Returns:
        q [D] and its cost.
    """
    dof = len(q)
    q = np.minimum(np.maximum(q, body.q_min), body.q_max)
    none, nothing = np.zeros(dof), np.zeros((dof, dof))
    gradient, block = np.zeros(dof), np.zeros((dof, dof))
    cost = waypoint_terms(body, field, track, gains, h, q, gradient, block, True)
    damping = 1e-3
    for _ in range(max_iterations):
        if cost < 1e-9 or damping > 1e6:
            break
        step = _bounded_step(body, q, gradient, block, damping)
        longest = np.abs(step).max()
        if longest > 0.5:
            step *= 0.5 / longest
        trial = np.minimum(np.maximum(q + step, body.q_min), body.q_max)
        lower = waypoint_terms(body, field, track, gains, h, trial, none, nothing, False)
        if lower < cost:
            rested = cost - lower < 1e-6 * cost
            q, damping = trial, max(damping * 0.2, 1e-6)
            gradient[:] = 0.0
            block[:] = 0.0
            cost = waypoint_terms(body, field, track, gains, h, q, gradient, block, True)
            if rested:
                break
        else:
            damping *= 8.0
    return q, cost


@njit(cache=True)
def _bounded_step(body, q, gradient, block, damping):
    """Damped Newton step [D] with joints at a limit and pushed against it held still."""
    dof = len(q)
    held = ((q <= body.q_min) & (gradient > 0.0)) | ((q >= body.q_max) & (gradient < 0.0))
    A, step = np.zeros((dof, dof)), np.zeros(dof)
    for a in range(dof):
        step[a] = 0.0 if held[a] else -gradient[a]
        for b in range(a + 1):
            A[a, b] = 0.0 if held[a] or held[b] else block[a, b]
        A[a, a] += damping * (1.0 + block[a, a])
    for i in range(dof):  # Cholesky; the damped matrix is positive definite
        for j in range(i + 1):
            total = A[i, j]
            for k in range(j):
                total -= A[i, k] * A[j, k]
            A[i, j] = np.sqrt(max(total, 1e-12)) if i == j else total / A[j, j]
    for i in range(dof):
        for k in range(i):
            step[i] -= A[i, k] * step[k]
        step[i] /= A[i, i]
    for i in range(dof - 1, -1, -1):
        for k in range(i + 1, dof):
            step[i] -= A[k, i] * step[k]
        step[i] /= A[i, i]
    return step


@njit(cache=True)
def follow_chain(body, field, track, gains, q_start, free_first):
    """Solve the waypoints one after another, each from the one before.

    Returns:
        q [H, D]; row 0 is `q_start` unless `free_first`.
    """
    horizon = len(track.target)
    out = np.empty((horizon, len(q_start)))
    q = q_start.copy()
    for h in range(horizon):
        if h > 0 or free_first:
            q, _ = solve_waypoint(body, field, track, gains, h, q, 30)
        out[h] = q
    return out
