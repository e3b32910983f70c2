"""Sequential quadratic programming over a joint trajectory.

Limits are linear in the trajectory, so every step between two feasible trajectories is feasible, and a line search
on the cost alone keeps them hard (Nocedal and Wright 2006, chapters 10 and 18). The costs and the quadratic programs
are compiled; the loop around them is not, and takes any solver for the programs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from armflow.planning._cost import Gains, Track, trajectory_terms
from armflow.planning.banded import active_rows, assemble, differences, differences_adjoint, solve_band_qp
from armflow.planning.body import Body
from armflow.planning.distance import DistanceField

__all__ = ["Bounds", "SqpResult", "Subproblem", "largest_excess", "project", "solve_banded", "solve_sqp"]

SETTLED = 1e-4  # a decrease of the cost that no longer matters: a tenth of a millimetre of tracking error
SHORTEST = 0.02  # step length at which the line search gives up


class Bounds(NamedTuple):
    """Hard limits of a trajectory [H, D].

    Attributes:
        low: [3, H, D] lower bounds of positions, first and second differences; -inf where there is none.
        high: [3, H, D] upper bounds.
        pinned: [H] bool rows that stay.
    """

    low: np.ndarray
    high: np.ndarray
    pinned: np.ndarray


class Subproblem(NamedTuple):
    """One quadratic program: the step from q that lowers the model of the cost most within the bounds.

    Attributes:
        blocks: [H, D, D] Gauss-Newton blocks, lower triangles.
        weights: [3, H, D] smoothness weights of positions, first and second differences.
        damping: Added to the diagonal.
        gradient: [H, D] of the whole cost.
        q: [H, D] present trajectory, rad.
        bounds: Hard limits.
    """

    blocks: np.ndarray
    weights: np.ndarray
    damping: float
    gradient: np.ndarray
    q: np.ndarray
    bounds: Bounds


QpSolver = Callable[[Subproblem], tuple[np.ndarray, bool]]


@dataclass(frozen=True, slots=True)
class SqpResult:
    """Trajectory [H, D], its cost, programs solved, and whether it came to rest."""

    q: np.ndarray
    cost: float
    iterations: int
    settled: bool


def solve_banded(sub: Subproblem) -> tuple[np.ndarray, bool]:
    """Solve one program by the interior-point method of `banded`: the step [H, D], and whether it is optimal."""
    band = assemble(sub.blocks, sub.weights, sub.damping)
    step, ok, _ = solve_band_qp(band, sub.gradient, sub.q, *sub.bounds, 1e-7)
    return step, ok


def largest_excess(q: np.ndarray, bounds: Bounds) -> float:
    """Largest distance by which q [H, D] leaves its bounds, rad; negative inside."""
    active = active_rows(bounds.high, bounds.pinned)
    rows = differences(q)
    excess = np.maximum(rows - bounds.high, bounds.low - rows)
    return float(excess.max(initial=-np.inf, where=active))


def project(q: np.ndarray, bounds: Bounds) -> tuple[np.ndarray, bool]:
    """Nearest trajectory [H, D] within the bounds, and whether one was found."""
    if largest_excess(q, bounds) <= 0.0:
        return q.copy(), True
    horizon, dof = q.shape
    blocks = np.zeros((horizon, dof, dof))
    step, ok = solve_banded(Subproblem(blocks, smooth_weights(0.0, 0.1, q), 1.0, np.zeros_like(q), q, bounds))
    return q + step, ok and largest_excess(q + step, bounds) <= 1e-9


def smooth_weights(velocity: float, acceleration: float, q: np.ndarray) -> np.ndarray:
    """Weights [3, H, D] of positions (none), first and second differences."""
    weights = np.zeros((3, *q.shape))
    weights[1, :-1] = velocity
    weights[2] = acceleration
    return weights


def solve_sqp(  # noqa: PLR0913 - a problem, its start and its solver
    body: Body,
    field: DistanceField,
    track: Track,
    gains: Gains,
    q: np.ndarray,
    bounds: Bounds,
    max_iterations: int,
    solve: QpSolver = solve_banded,
) -> SqpResult:
    """Improve a feasible trajectory until it stops moving.

    Args:
        body: The arm.
        field: The scene.
        track: What to follow.
        gains: Weights of the costs.
        q: [H, D] feasible start, rad.
        bounds: Hard limits.
        max_iterations: Most quadratic programs to solve.
        solve: Solver of these programs.
    """
    weights = smooth_weights(gains.velocity, gains.acceleration, q)

    def evaluate(x: np.ndarray, derive: bool) -> tuple[float, np.ndarray, np.ndarray]:
        rows = differences(x)
        cost, gradient, blocks = trajectory_terms(body, field, track, gains, x, derive)
        return (
            float(cost) + 0.5 * float((weights * rows**2).sum()),
            gradient + differences_adjoint(weights * rows),
            blocks,
        )

    cost, gradient, blocks = evaluate(q, True)
    damping = 1e-6
    for iteration in range(1, max_iterations + 1):
        step, ok = solve(Subproblem(blocks, weights, damping, gradient, q, bounds))
        if not ok and not largest_excess(q + step, bounds) <= 1e-9:
            return SqpResult(q, cost, iteration, False)
        slope, small = float((gradient * step).sum()), SETTLED + 1e-3 * abs(cost)
        if -0.5 * slope < small:
            return SqpResult(q, cost, iteration, True)
        length, lower = _line_search(lambda x: evaluate(x, False)[0], q, step, cost, slope)
        if length < SHORTEST:
            if damping > 1e3:
                return SqpResult(q, cost, iteration, False)
            damping = max(damping * 30.0, 1e-2)
            continue
        damping = max(damping * (0.1 if length == 1.0 else 3.0), 1e-6)
        q = q + length * step
        if cost - lower < small:
            return SqpResult(q, lower, iteration, True)
        cost, gradient, blocks = evaluate(q, True)
    return SqpResult(q, cost, max_iterations, False)


def _line_search(
    evaluate: Callable[[np.ndarray], float], q: np.ndarray, step: np.ndarray, cost: float, slope: float
) -> tuple[float, float]:
    """Step length that lowers the cost enough (Armijo), below `SHORTEST` where none does, and the cost there."""
    length = 1.0
    while length >= SHORTEST:
        lower = evaluate(q + length * step)
        if lower <= cost + 1e-3 * length * slope:
            return length, lower
        length *= 0.4
    return 0.0, cost
