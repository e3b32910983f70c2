"""One tracking problem from arm to checked trajectory: guesses, quadratic programs, timing, checks."""

import time
from dataclasses import dataclass, replace

import numpy as np

from armflow.planning._cost import Gains, Track, clearances, track_errors, trajectory_terms
from armflow.planning._waypoint import follow_chain, solve_waypoint
from armflow.planning.body import Body
from armflow.planning.checks import allowed_distance, check_clearance, dense_path
from armflow.planning.distance import DistanceField
from armflow.planning.sqp import Bounds, QpSolver, project, solve_banded, solve_sqp
from armflow.planning.timing import retime, within_limits
from armflow.planning.tracking import track_scales
from armflow.planning.trajectory import OptimizeConfig, Trajectory
from armflow.robot.model import RobotModel

__all__ = ["Problem", "finish", "hold", "solve_tracking", "take_path"]

COLLISION_GAIN = 3e4  # a hinge pushes harder than tracking pulls
LONGEST_ROW = 2.0  # most time between two rows before tracking gives way to the limits, s
JOIN_SLACK = 0.05  # how far from where the arm stands a path found elsewhere may start, rad


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that stays the same while one trajectory is planned.

    Attributes:
        arm: The arm.
        body: The same for compiled kernels, with what is carried.
        field: The scene.
        config: How to plan.
        began: Clock at the start, s.
    """

    arm: RobotModel
    body: Body
    field: DistanceField
    config: OptimizeConfig
    began: float

    def gains(self, q: np.ndarray, *, follow: bool) -> Gains:
        """Weights of the costs around a guess q [H, D].

        Where the tool has to follow something, that comes before the margin; free motion keeps the whole margin.
        """
        c = self.config
        scene, places, _ = clearances(self.body, self.field, np.ascontiguousarray(q))
        least = (c.clearance + 0.003, c.carried_clearance + 0.002) if follow else (c.margin, c.carried_margin)
        keep = np.ascontiguousarray(allowed_distance(self.body, scene, places, least, c))
        if follow:
            return Gains(COLLISION_GAIN, keep, 20.0, c.margin, c.self_margin, 1e-3, 0.3)
        return Gains(COLLISION_GAIN, keep, 0.0, 0.0, c.self_margin, 0.3, 3.0)

    def gains_of_reaching(self, horizon: int) -> Gains:
        """Weights of the costs without the scene, to find out where a track leads."""
        keep = np.zeros((horizon, len(self.body.sphere_radius)))
        return Gains(0.0, keep, 0.0, 0.0, 0.0, 1e-3, 0.3)


def hold(problem: Problem, q_start: np.ndarray, status: str, reason: str, figures: dict[str, float]) -> Trajectory:
    """Stay at q_start [D], brought within the limits, and say why."""
    arm = problem.arm
    try:
        q = np.nan_to_num(np.asarray(q_start, dtype=float)).reshape(arm.dof)
    except (TypeError, ValueError):
        q = arm.home
    q = np.clip(q, arm.q_min, arm.q_max)
    figures = {**figures, "duration_s": 0.0, "solve_ms": (time.perf_counter() - problem.began) * 1e3}
    return Trajectory(np.stack([q, q]), q[None].copy(), problem.config.dt, status, reason, figures)


def finish(problem: Problem, waypoints: np.ndarray, row_dt: float, figures: dict[str, float]) -> Trajectory:
    """Time waypoints [T, D] that are good, and check the result: limits, then everything it could touch."""
    arm, config = problem.arm, problem.config
    q = retime(
        waypoints, arm, config.dt, v_scale=config.v_scale, a_scale=config.a_scale, tool_speed=config.tool_speed,
        row_dt=row_dt,
    )  # fmt: skip
    inside = bool((q >= arm.q_min - 1e-9).all() and (q <= arm.q_max + 1e-9).all())
    if not (inside and within_limits(q, arm, config.dt)):
        return hold(problem, waypoints[0], "limits", "the timed path does not keep the joint limits", figures)
    clear = check_clearance(problem.body, problem.field, dense_path(q), config)
    figures = {**figures, "clearance_m": clear.scene, "self_clearance_m": clear.own}
    if not clear.ok:
        return hold(problem, waypoints[0], "collision", clear.reason, figures)
    figures["duration_s"] = (len(q) - 1) * config.dt
    figures["solve_ms"] = (time.perf_counter() - problem.began) * 1e3
    return Trajectory(q, waypoints, config.dt, "ok", "reached", figures)


def take_path(
    problem: Problem, q_start: np.ndarray, q_path: np.ndarray, row_dt: float, figures: dict[str, float]
) -> Trajectory:
    """Set out from q_start [D] along a path [T, D] that was found elsewhere: join, time and check it.

    Row 0 of the path gives way to q_start; farther than `JOIN_SLACK` from it, the first step would be another motion.
    """
    apart = float(np.abs(q_path[0] - q_start).max())
    if apart > JOIN_SLACK:
        text = f"the path starts {apart:.3f} rad from where the arm stands (limit {JOIN_SLACK} rad)"
        return hold(problem, q_start, "invalid", text, figures)
    return finish(problem, np.concatenate([q_start[None], q_path[1:]]), row_dt, figures)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One solved start: waypoints, cost, largest errors, programs solved, time between rows."""

    q: np.ndarray
    cost: float
    shift: float
    turn: float
    iterations: int
    row_dt: float

    def reached(self, config: OptimizeConfig) -> bool:
        """Whether all rows are tracked closely enough."""
        return self.shift <= config.position_tolerance and self.turn <= config.angle_tolerance


def solve_tracking(
    problem: Problem,
    track: Track,
    q_start: np.ndarray,
    row_dt: float,
    rng: np.random.Generator,
    known: np.ndarray | None = None,
) -> Trajectory:
    """Find joint waypoints that follow a track whose row 0 is q_start, then time and check them.

    The first start follows the track row by row. Where its result is not tracked or not clear, further starts go
    straight to other solutions of the last row. Where all fail, a known path has to pass the same checks.

    Args:
        problem: Arm, scene and configuration.
        track: [H] rows; row 0 costs nothing.
        q_start: [D] within the limits, rad.
        row_dt: Time between rows that the flow asks for, s; 0 where it does not matter.
        rng: Source of further starts.
        known: [H, D] a joint path that follows the track already, rad, or None.
    """
    config, gains = problem.config, problem.gains_of_reaching(len(track.target))
    guess = follow_chain(problem.body, problem.field, track, gains, q_start, False)
    best = _attempt(problem, track, q_start, guess, row_dt)
    result = _conclude(problem, best, q_start)
    for _ in range(config.restarts):
        if result.ok:
            break
        guess = _other_guess(problem, track, q_start, rng)
        attempt = _attempt(problem, track, q_start, guess, row_dt)
        if attempt.reached(config) or attempt.cost < best.cost:
            other = _conclude(problem, attempt, q_start)
            if other.ok or not best.reached(config):
                best, result = attempt, other
    if result.ok or known is None:
        return result
    other = _conclude(problem, _Attempt(known, np.inf, *errors(problem.body, track, known), 0, row_dt), q_start)
    answer = "took" if other.ok else "refused"
    return replace(other, reason=f"{result.reason}; {answer} the known path ({other.reason})")


def _conclude(problem: Problem, attempt: _Attempt, q_start: np.ndarray) -> Trajectory:
    """Time and check an attempt from q_start [D], or hold where it does not follow."""
    figures = {
        "residual_m": attempt.shift, "residual_rad": attempt.turn, "iterations": float(attempt.iterations),
    }  # fmt: skip
    if not attempt.reached(problem.config):
        text = f"tracking leaves {attempt.shift:.3f} m and {attempt.turn:.2f} rad"
        return hold(problem, q_start, "unreachable", text, figures)
    return take_path(problem, q_start, attempt.q, attempt.row_dt if problem.config.keep_timing else 0.0, figures)


def _attempt(problem: Problem, track: Track, q_start: np.ndarray, guess: np.ndarray, row_dt: float) -> _Attempt:
    """Bring a guess [H, D] within the limits and solve from there; hold still where even that fails."""
    config = problem.config
    guess[0] = q_start
    gains = problem.gains(guess, follow=True)
    step = config.row_dt or min(max(row_dt, 1.05 * least_row_dt(guess, problem.arm, config)), max(LONGEST_ROW, row_dt))
    bounds = row_bounds(problem, len(guess), step)
    q, ok = project(guess, bounds)
    if not ok:
        q = np.repeat(q_start[None], len(guess), axis=0)
    result = solve_sqp(problem.body, problem.field, track, gains, q, bounds, config.max_iterations, qp_solver(config))
    shift, turn = errors(problem.body, track, result.q)
    return _Attempt(result.q, result.cost, shift, turn, result.iterations, row_dt)


def qp_solver(config: OptimizeConfig) -> QpSolver:
    """The solver that the configuration names."""
    if config.solver == "banded":
        return solve_banded
    from armflow.planning.reference import solve_cvxpy

    return solve_cvxpy


def errors(body: Body, track: Track, q: np.ndarray) -> tuple[float, float]:
    """Largest tracking error over all rows of q [H, D] but the first: m and rad."""
    shift, turn_cost = track_errors(body, track, q)
    turn = np.sqrt(turn_cost / track_scales(track))
    return float(shift[1:].max(initial=0.0)), float(turn[1:].max(initial=0.0))


def least_row_dt(q: np.ndarray, arm: RobotModel, config: OptimizeConfig) -> float:
    """Shortest time between rows at which q [H, D] keeps the velocity and acceleration limits, s."""
    first = np.diff(q, axis=0, prepend=q[:1], append=q[-1:])
    second = np.diff(first, axis=0)
    by_velocity = (np.abs(first) / (arm.v_max * config.v_scale)).max()
    by_acceleration = np.sqrt((np.abs(second) / (arm.a_max * config.a_scale)).max())
    return float(max(by_velocity, by_acceleration, 1e-3))


def row_bounds(problem: Problem, horizon: int, step: float) -> Bounds:
    """Limits for rows `step` seconds apart."""
    arm, config = problem.arm, problem.config
    high = np.empty((3, horizon, arm.dof))
    high[0], high[1], high[2] = problem.body.q_max, arm.v_max * config.v_scale * step, 0.0
    high[2] = arm.a_max * config.a_scale * step**2
    low = -high
    low[0] = problem.body.q_min
    pinned = np.zeros(horizon, dtype=bool)
    pinned[0] = horizon > 1  # the solver needs a row that it may move
    return Bounds(low, high, pinned)


def _other_guess(problem: Problem, track: Track, q_start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A straight joint line to another solution of the last row, or the track followed backwards from there."""
    body, last = problem.body, len(track.target) - 1
    gains = problem.gains_of_reaching(last + 1)
    best, least = q_start, np.inf
    for _ in range(4):
        seed = rng.uniform(body.q_min, body.q_max)
        q, cost = solve_waypoint(body, problem.field, track, gains, last, seed, 60)
        cost += 1e-3 * float(((q - q_start) ** 2).sum())
        if cost < least:
            best, least = q, cost
    backwards = follow_chain(body, problem.field, Track(*(part[::-1].copy() for part in track)), gains, best, True)
    line = q_start + np.linspace(0.0, 1.0, last + 1)[:, None] * (best - q_start)
    guesses = (np.ascontiguousarray(backwards[::-1]), line)
    return min(guesses, key=lambda q: trajectory_terms(body, problem.field, track, gains, q, False)[0])
