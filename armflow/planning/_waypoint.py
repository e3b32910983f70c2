"""Inverse kinematics of one waypoint after another: Levenberg-Marquardt on the waypoint's own cost, limits kept."""

import numpy as np
from numba import njit

from armflow.planning._cost import waypoint_terms
from armflow.robot.cholesky import solve_cholesky

__all__ = ["follow_chain", "solve_waypoint"]


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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
    solve_cholesky(A, step)  # the damped matrix is positive definite
    return step


@njit(cache=True, error_model="numpy")
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
