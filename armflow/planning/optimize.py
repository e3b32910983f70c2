"""From flows, tool poses and joint goals to checked joint trajectories on the control grid.

Nothing here raises on a problem that cannot be solved: it returns a `Trajectory` that stays where the arm is and says
why. The idea of going from flow to action by rigid fits is 3DFlowAction's (arXiv:2506.06199); ReKep
(arXiv:2409.01652) solves the like with general-purpose solvers in seconds.
"""

import time

import numpy as np

from armflow.perception.flow import Flow3D
from armflow.planning.body import make_body
from armflow.planning.distance import DistanceField, empty_field
from armflow.planning.free import solve_free
from armflow.planning.problem import Problem, hold, solve_tracking, take_path
from armflow.planning.tracking import flow_track, line_poses, loosen_first, pose_track
from armflow.planning.trajectory import OptimizeConfig, Trajectory
from armflow.robot.errors import StackError
from armflow.robot.kinematics import chain_tool
from armflow.robot.model import RobotModel

__all__ = [
    "OptimizeConfig",
    "Trajectory",
    "check_joint_path",
    "line_poses",
    "optimize",
    "plan_joint_path",
    "plan_pose_path",
]

START_SLACK = 0.05  # a measured start may be this far outside its limits; it is brought back, rad


def optimize(  # noqa: PLR0913 - all but four by name
    arm: RobotModel,
    flow: Flow3D,
    T_tool_object: np.ndarray,
    q_start: np.ndarray,
    *,
    field: DistanceField | None = None,
    config: OptimizeConfig | None = None,
    carried_points: np.ndarray | None = None,
    T_world_object: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    known: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> Trajectory:
    """Move a held object so that its points follow a flow.

    Args:
        arm: The arm.
        flow: Paths of the object's points; row 0 is where they are now.
        T_tool_object: [4, 4] the grasp, m.
        q_start: [D] present joint positions, rad.
        field: The scene without the object and the arm; None for an empty one.
        config: How to plan.
        carried_points: [M, 3] points of the object in the tool frame that must stay clear of the scene, m.
        T_world_object: [4, 4] pose of the object's frame at row 0; None where the hand holds it already, so that it
            follows from q_start and the grasp.
        weights: [N] or [T, N] weights of the points.
        known: [T, D] a joint path that is known to follow the flow, rad, such as the one that proved a grasp; taken
            where nothing else is found, if it passes the same checks.
        rng: Source of further starts.

    Returns:
        A trajectory with one waypoint per row of the flow; row 0 is q_start.
    """
    problem = _problem(arm, field, config, carried_points)
    fault = _fault(arm, q_start, T_tool_object)
    if known is not None and not fault:
        fault = _path_fault(arm, known, len(flow.points_world))
    if fault:
        return hold(problem, q_start, "invalid", fault, {})
    q = np.clip(np.asarray(q_start, dtype=float), problem.body.q_min, problem.body.q_max)
    if T_world_object is None:
        T_world_object = chain_tool(arm.placements, arm.axes, q) @ T_tool_object
    try:
        track, fit = flow_track(flow, T_tool_object @ np.linalg.inv(T_world_object), weights)
    except (StackError, ValueError, np.linalg.LinAlgError) as error:
        return hold(problem, q, "invalid", str(error), {})
    result = solve_tracking(problem, loosen_first(track), q, flow.dt, _rng(rng), known)
    result.figures["fit_m"] = float(fit.max())
    return result


def plan_pose_path(  # noqa: PLR0913 - all but three by name
    arm: RobotModel,
    q_start: np.ndarray,
    Ts_world_tool: np.ndarray,
    *,
    field: DistanceField | None = None,
    config: OptimizeConfig | None = None,
    weights6: np.ndarray | None = None,
    row_dt: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Trajectory:
    """Take the tool through poses, such as the straight lines of `line_poses`.

    Args:
        arm: The arm.
        q_start: [D] present joint positions, rad.
        Ts_world_tool: [T, 4, 4] poses after the present one, m.
        field: The scene; None for an empty one.
        config: How to plan.
        weights6: [6] or [T, 6] weights of position along and rotation about the target's axes, see `pose_track`;
            (1, 1, 1, 1, 1, 0) leaves the turn about the approach direction free.
        row_dt: Least time between poses, s.
        rng: Source of further starts.

    Returns:
        A trajectory with T + 1 waypoints, the first one q_start.
    """
    problem = _problem(arm, field, config)
    Ts = np.asarray(Ts_world_tool, dtype=float)
    fault = _fault(arm, q_start, Ts)
    if fault or Ts.ndim != 3 or Ts.shape[1:] != (4, 4) or len(Ts) == 0:
        return hold(problem, q_start, "invalid", fault or f"poses have shape {Ts.shape}, not [T, 4, 4]", {})
    q = np.clip(np.asarray(q_start, dtype=float), problem.body.q_min, problem.body.q_max)
    w = np.broadcast_to(np.ones(6) if weights6 is None else np.asarray(weights6, dtype=float), (len(Ts), 6))
    here = chain_tool(arm.placements, arm.axes, q)[None]
    track = loosen_first(pose_track(np.concatenate([here, Ts]), np.concatenate([w[:1], w])))
    return solve_tracking(problem, track, q, row_dt, _rng(rng))


def plan_joint_path(
    arm: RobotModel,
    q_start: np.ndarray,
    q_goal: np.ndarray,
    *,
    field: DistanceField | None = None,
    config: OptimizeConfig | None = None,
    rng: np.random.Generator | None = None,
) -> Trajectory:
    """Move freely from q_start to q_goal, clear of the scene.

    Tries the straight joint line, then optimised detours, then a random tree.

    Args:
        arm: The arm.
        q_start: [D] present joint positions, rad.
        q_goal: [D] wanted ones, rad.
        field: The scene; None for an empty one.
        config: How to plan.
        rng: Source of detours.
    """
    problem = _problem(arm, field, config)
    fault = _fault(arm, q_start, np.zeros(0)) or _fault(arm, q_goal, np.zeros(0))
    if fault:
        return hold(problem, q_start, "invalid", fault, {})
    body = problem.body
    start, goal = (np.clip(np.asarray(q, dtype=float), body.q_min, body.q_max) for q in (q_start, q_goal))
    return solve_free(problem, start, goal, _rng(rng))


def check_joint_path(
    arm: RobotModel,
    q_start: np.ndarray,
    q_path: np.ndarray,
    *,
    field: DistanceField | None = None,
    config: OptimizeConfig | None = None,
) -> Trajectory:
    """Set out along a joint path that was found elsewhere: timed, and checked like any other.

    Args:
        arm: The arm.
        q_start: [D] present joint positions, rad.
        q_path: [T, D] the path, rad, T >= 2; it starts near q_start, which takes the place of its row 0.
        field: The scene; None for an empty one.
        config: How to plan.

    Returns:
        A trajectory with T waypoints, the first one q_start; it stays there where a check fails.
    """
    problem = _problem(arm, field, config)
    fault = _fault(arm, q_start, np.zeros(0)) or _path_fault(arm, q_path, None)
    if fault:
        return hold(problem, q_start, "invalid", fault, {})
    q = np.clip(np.asarray(q_start, dtype=float), problem.body.q_min, problem.body.q_max)
    return take_path(problem, q, q_path, 0.0, {})


def _problem(
    arm: RobotModel, field: DistanceField | None, config: OptimizeConfig | None, carried: np.ndarray | None = None
) -> Problem:
    """Gather what all planners need."""
    began, config = time.perf_counter(), config or OptimizeConfig()
    body = make_body(arm, carried, opening=config.opening)
    return Problem(arm, body, empty_field() if field is None else field, config, began)


def _fault(arm: RobotModel, q: np.ndarray, other: np.ndarray) -> str:
    """What is wrong with joint positions and a second array, or nothing."""
    try:
        q = np.asarray(q, dtype=float)
    except (TypeError, ValueError):
        return "joint positions are not numbers"
    if q.shape != (arm.dof,) or not np.isfinite(q).all():
        return f"joint positions must be {arm.dof} finite numbers; got {q}"
    over = np.maximum(arm.q_min - q, q - arm.q_max)
    if over.max() > START_SLACK:
        joint = int(np.argmax(over))
        return f"joint {arm.joint_names[joint]} at {q[joint]:.3f} rad is {over[joint]:.3f} rad outside its limits"
    if not np.isfinite(other).all():
        return "a pose is not finite"
    return ""


def _path_fault(arm: RobotModel, q_path: np.ndarray, rows: int | None) -> str:
    """What is wrong with a joint path of so many rows (None: two or more), or nothing."""
    wanted = "two or more" if rows is None else str(rows)
    fits = (
        q_path.ndim == 2 and q_path.shape[1] == arm.dof and (len(q_path) >= 2 if rows is None else len(q_path) == rows)
    )
    if fits and np.isfinite(q_path).all():
        return ""
    return f"a joint path must have {wanted} rows of {arm.dof} finite numbers; got {q_path.shape}"


def _rng(rng: np.random.Generator | None) -> np.random.Generator:
    """The generator given, or one that repeats."""
    return np.random.default_rng(0) if rng is None else rng
