"""Free motion between two joint positions: the straight line, optimised detours, then a random tree."""

import numpy as np

from armflow.planning._tree import connect, shorten
from armflow.planning.checks import Clearance, check_clearance, dense_path
from armflow.planning.problem import Problem, finish, hold, qp_solver
from armflow.planning.sqp import Bounds, solve_sqp
from armflow.planning.tracking import free_track
from armflow.planning.trajectory import Trajectory

__all__ = ["solve_free"]

TREE_NODES = 4000


def solve_free(problem: Problem, q_start: np.ndarray, q_goal: np.ndarray, rng: np.random.Generator) -> Trajectory:
    """Plan from q_start [D] to q_goal [D], both within the limits; see `optimize.plan_joint_path`."""
    config = problem.config
    for q, what in ((q_start, "start"), (q_goal, "goal")):
        depth = _depth(problem, q)
        if depth > config.contact_depth:
            return hold(problem, q_start, "collision", f"the {what} is {depth:.3f} m inside something", {})
    line = np.stack([q_start, q_goal])
    if _check(problem, line).ok:
        result = finish(problem, _resample(line, config.rows), 0.0, {"iterations": 0.0})
        if result.ok:
            return result
    solved = 0
    for knots in _detours(problem, q_start, q_goal, rng):
        path, iterations = _improve(problem, _resample(np.stack(knots), config.rows))
        solved += iterations
        if _check(problem, path).ok:
            result = finish(problem, path, 0.0, {"iterations": float(solved)})
            if result.ok:
                return result
    return _by_tree(problem, q_start, q_goal, rng, solved)


def _by_tree(problem: Problem, q_start, q_goal, rng: np.random.Generator, solved: int) -> Trajectory:
    """Connect two random trees, shorten what they found, smooth it if it stays clear."""
    config, body, field = problem.config, problem.body, problem.field
    margins = (config.clearance + 0.003, config.carried_clearance + 0.002, config.self_clearance + 0.002)
    ends = (config.contact_radius, config.contact_depth)
    seed = int(rng.integers(2**31))
    path = connect(body, field, q_start, q_goal, margins, ends, TREE_NODES, seed)
    if len(path) == 0:
        return hold(problem, q_start, "collision", f"no way around found in {TREE_NODES} nodes", {"iterations": solved})
    path = shorten(body, field, path, margins, ends, 60, seed)
    smooth, iterations = _improve(problem, _resample(path, max(config.rows, 4 * len(path))))
    figures = {"iterations": float(solved + iterations)}
    result = finish(problem, smooth, 0.0, figures)
    if result.ok:
        return result
    return finish(problem, _resample(path, 12 * len(path)), 0.0, figures)


def _detours(problem: Problem, q_start: np.ndarray, q_goal: np.ndarray, rng: np.random.Generator):
    """Knots of first guesses: straight, by home, half-way to home, then beside the line."""
    home = np.clip(problem.arm.home, problem.body.q_min, problem.body.q_max)
    middle = 0.5 * (q_start + q_goal)
    yield [q_start, q_goal]
    yield [q_start, 0.5 * (middle + home), q_goal]
    yield [q_start, home, q_goal]
    for _ in range(2):
        aside = middle + rng.normal(0.0, 0.5, len(middle))
        yield [q_start, np.clip(aside, problem.body.q_min, problem.body.q_max), q_goal]


def _improve(problem: Problem, q: np.ndarray) -> tuple[np.ndarray, int]:
    """Push a path [H, D] out of the scene and smooth it; its ends stay. Returns it and the programs solved."""
    c = problem.config
    horizon, dof = q.shape
    high = np.full((3, horizon, dof), np.inf)
    high[0] = problem.body.q_max
    low = -high
    low[0] = problem.body.q_min
    pinned = np.zeros(horizon, dtype=bool)
    pinned[0] = pinned[-1] = True
    gains = problem.gains(q, follow=False)
    bounds, track = Bounds(low, high, pinned), free_track(horizon)
    result = solve_sqp(problem.body, problem.field, track, gains, q, bounds, c.max_iterations, qp_solver(c))
    return result.q, result.iterations


def _check(problem: Problem, q: np.ndarray) -> Clearance:
    """Check a path [H, D] with everything between its rows."""
    return check_clearance(problem.body, problem.field, dense_path(q), problem.config)


def _depth(problem: Problem, q: np.ndarray) -> float:
    """How far the arm at q [D] is inside the scene or itself, m."""
    clear = check_clearance(problem.body, problem.field, q[None], problem.config)
    return -min(clear.scene, clear.own)


def _resample(knots: np.ndarray, count: int) -> np.ndarray:
    """About `count` rows evenly along straight joint lines through knots [K, D]; the knots stay."""
    lengths = np.maximum(np.linalg.norm(np.diff(knots, axis=0), axis=1), 1e-9)
    counts = np.maximum(np.round(lengths / lengths.sum() * (count - 1)).astype(int), 1)
    parts = [a + np.arange(n)[:, None] / n * (b - a) for a, b, n in zip(knots[:-1], knots[1:], counts, strict=True)]
    return np.concatenate([*parts, knots[-1:]])
