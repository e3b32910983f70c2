import numpy as np
import pytest

from armflow.perception.detection import TablePlane
from armflow.perception.flow import Flow3D
from armflow.planning._cost import Gains, trajectory_terms
from armflow.planning.body import make_body
from armflow.planning.distance import build_field
from armflow.planning.optimize import (
    OptimizeConfig,
    check_joint_path,
    line_poses,
    optimize,
    plan_joint_path,
    plan_pose_path,
)
from armflow.planning.timing import within_limits
from armflow.planning.tracking import flow_track, pose_track
from armflow.robot.embodiments import load_arm
from armflow.robot.errors import ChoiceError, ValueRangeError
from tests.planning.motions import moved_cloud, pillar

ARM = load_arm("panda")
TABLE = TablePlane(normal=np.array([0.0, 0.0, 1.0]), offset=0.0)
BOX = ARM.workspace + np.array([[-0.1], [0.1]])
HOME = ARM.tool(ARM.home).as_matrix()


@pytest.fixture(scope="module")
def field():
    return build_field(pillar(0.5, 0.0, np.random.default_rng(0)), TABLE, BOX)


def assert_executable(result, arm=ARM):
    assert np.isfinite(result.q).all()
    assert (result.q >= arm.q_min - 1e-9).all()
    assert (result.q <= arm.q_max + 1e-9).all()
    assert within_limits(result.q, arm, result.dt)


def test_gradient_of_the_cost_matches_differences(field):
    rng = np.random.default_rng(1)
    body = make_body(ARM, rng.uniform(-0.02, 0.02, (10, 3)))
    q = ARM.home + rng.normal(0.0, 0.3, (3, 7))
    track = pose_track(np.repeat(HOME[None], 3, axis=0), None)
    gains = Gains(3e4, np.full((3, len(body.sphere_radius)), 0.05), 20.0, 0.08, 0.1, 0.0, 0.0)
    _, gradient, _ = trajectory_terms(body, field, track, gains, q, True)
    direction, step = rng.normal(size=q.shape), 1e-7
    ends = [trajectory_terms(body, field, track, gains, q + s * direction, False)[0] for s in (step, -step)]
    np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), (gradient * direction).sum(), rtol=1e-3)


def test_tracking_cost_is_the_sum_over_points():
    rng = np.random.default_rng(2)
    flow = moved_cloud(HOME, np.array([0.1, 0.0, 0.1]), 3, rng)
    track, _ = flow_track(flow, np.linalg.inv(HOME), None)
    points = flow.points_world[0] @ np.linalg.inv(HOME)[:3, :3].T + np.linalg.inv(HOME)[:3, 3]
    q = ARM.home + rng.normal(0.0, 0.1, 7)
    T = ARM.tool(q).as_matrix()
    exact = 0.5e4 * ((points @ T[:3, :3].T + T[:3, 3] - flow.points_world[2]) ** 2).sum(1).mean()
    extent = 0.5 * 2e4 * 1e-4 * (3 - np.trace(T[:3, :3].T @ HOME[:3, :3]))  # the centimetre that holds lines
    body = make_body(ARM)
    nothing = Gains(0.0, np.zeros((1, len(body.sphere_radius))), 0.0, 0.0, 0.0, 0.0, 0.0)
    last = type(track)(*(part[2:] for part in track))
    none = build_field(np.zeros((0, 3)), None, BOX, voxel=0.1)
    np.testing.assert_allclose(trajectory_terms(body, none, last, nothing, q[None], False)[0], exact + extent)


@pytest.mark.parametrize("solver", ["banded", "cvxpy"])
def test_optimize_follows_a_flow(solver):
    flow = moved_cloud(HOME, np.array([0.05, 0.15, -0.1]), 8, np.random.default_rng(3))
    result = optimize(ARM, flow, np.eye(4), ARM.home, config=OptimizeConfig(solver=solver))
    assert result.ok, result.reason
    assert result.figures["residual_m"] < 0.002
    shift = ARM.tool(result.q[-1]).as_matrix()[:3, 3] - HOME[:3, 3]
    np.testing.assert_allclose(shift, [0.05, 0.15, -0.1], atol=0.003)
    assert result.duration >= 0.7 - 1e-9  # not ahead of the flow's own time
    assert_executable(result)


def test_both_solvers_give_the_same_waypoints():
    flow = moved_cloud(HOME, np.array([0.1, 0.2, -0.15]), 8, np.random.default_rng(4))
    fast, reference = (
        optimize(ARM, flow, np.eye(4), ARM.home, config=OptimizeConfig(solver=s)) for s in ("banded", "cvxpy")
    )
    assert fast.ok
    assert np.abs(fast.waypoints - reference.waypoints).max() < 1e-3


def test_optimize_follows_a_line_of_points():
    flow = moved_cloud(HOME, np.array([0.05, 0.1, 0.0]), 6, np.random.default_rng(5))
    line = flow.points_world.copy()
    line[:, :, 1:] = line[:, :1, 1:]  # all points on one line along x
    result = optimize(ARM, Flow3D(line, flow.visible, flow.dt), np.eye(4), ARM.home)
    assert result.ok, result.reason
    np.testing.assert_allclose(ARM.tool(result.q[-1]).as_matrix()[:3, :3], HOME[:3, :3], atol=0.03)


def test_optimize_stays_where_a_flow_is_out_of_reach():
    flow = moved_cloud(HOME, np.array([2.0, 0.0, 0.0]), 6, np.random.default_rng(6))
    result = optimize(ARM, flow, np.eye(4), ARM.home)
    assert result.status == "unreachable"
    np.testing.assert_array_equal(result.q, np.repeat(ARM.home[None], len(result.q), axis=0))


def test_pose_path_goes_straight(field):
    goal = HOME.copy()
    goal[:3, 3] += [0.05, 0.25, -0.2]
    result = plan_pose_path(ARM, ARM.home, line_poses(HOME, goal), field=field)
    assert result.ok, result.reason
    tools = np.array([ARM.tool(q).as_matrix()[:3, 3] for q in result.q]) - HOME[:3, 3]
    along = (goal - HOME)[:3, 3] / np.linalg.norm((goal - HOME)[:3, 3])
    assert np.linalg.norm(tools - np.outer(tools @ along, along), axis=1).max() < 0.003
    assert_executable(result)


def test_pose_path_leaves_a_free_axis_free():
    arm = load_arm("so101")
    here = arm.tool(arm.home).as_matrix()
    goal = here.copy()
    goal[:3, 3] += [0.0, 0.04, 0.0]
    result = plan_pose_path(arm, arm.home, line_poses(here, goal), weights6=np.array([1.0, 1, 1, 0, 0, 0]))
    assert result.ok, result.reason
    assert_executable(result, arm)


def known_path(shift):
    """A flow of a held object and a joint path that follows it where nothing stands in the way."""
    flow = moved_cloud(HOME, np.array(shift), 8, np.random.default_rng(9))
    return flow, optimize(ARM, flow, np.eye(4), ARM.home).waypoints


HURRIED = OptimizeConfig(row_dt=0.01, restarts=0)  # rows so close in time that the solver cannot follow


def test_a_known_path_is_taken_where_the_solver_fails():
    flow, known = known_path([0.05, 0.15, -0.1])
    assert optimize(ARM, flow, np.eye(4), ARM.home, config=HURRIED).status == "unreachable"
    result = optimize(ARM, flow, np.eye(4), ARM.home, config=HURRIED, known=known)
    assert result.ok, result.reason
    assert "tracking leaves" in result.reason
    np.testing.assert_array_equal(result.waypoints, known)
    assert_executable(result)


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        (lambda known: known + 0.2, "unreachable", "refused the known path"),  # leads elsewhere
        (
            lambda known: np.vstack([known[:1] + 0.2, known[1:]]),
            "invalid",
            "starts 0.200 rad from where the arm stands",
        ),
        (lambda known: known[:-1], "invalid", "must have 8 rows of 7 finite numbers"),
        (lambda known: np.where(known == known[3, 2], np.nan, known), "invalid", "finite"),
    ],
)
def test_a_known_path_that_does_not_fit_is_refused(change, status, reason):
    flow, known = known_path([0.05, 0.15, -0.1])
    result = optimize(ARM, flow, np.eye(4), ARM.home, config=HURRIED, known=change(known))
    assert result.status == status
    assert reason in result.reason
    np.testing.assert_array_equal(result.q, np.repeat(ARM.home[None], len(result.q), axis=0))


def test_a_known_path_through_the_scene_is_refused(field):
    flow, known = known_path([0.2, 0.0, -0.4])  # down into the pillar
    result = optimize(ARM, flow, np.eye(4), ARM.home, config=HURRIED, field=field, known=known)
    assert result.status == "collision"
    assert "of the scene" in result.reason
    np.testing.assert_array_equal(result.q, np.repeat(ARM.home[None], len(result.q), axis=0))


def test_a_checked_joint_path_is_timed_and_joined_to_the_start(field):
    _, known = known_path([0.05, 0.15, 0.0])
    here = ARM.home + 0.03
    result = check_joint_path(ARM, here, known, field=field)
    assert result.ok, result.reason
    np.testing.assert_allclose(result.q[0], here)
    np.testing.assert_allclose(result.q[-1], known[-1])
    assert_executable(result)


def test_a_checked_joint_path_is_refused_for_what_it_touches_and_where_it_starts(field):
    _, known = known_path([0.2, 0.0, -0.4])
    assert check_joint_path(ARM, ARM.home, known, field=field).status == "collision"
    assert check_joint_path(ARM, ARM.home + 0.1, known).status == "invalid"
    assert check_joint_path(ARM, ARM.home, known[:1]).status == "invalid"


def test_joint_path_goes_around_a_pillar(field):
    sides = []
    for y in (-0.25, 0.25):
        T = np.diag([1.0, -1.0, -1.0, 1.0])
        T[:3, 3] = [0.5, y, 0.1]
        sides.append(plan_pose_path(ARM, ARM.home, line_poses(HOME, T)).q[-1])
    assert not plan_pose_path(ARM, sides[0], ARM.tool(sides[1]).as_matrix()[None], field=field).ok
    result = plan_joint_path(ARM, sides[0], sides[1], field=field)
    assert result.ok, result.reason
    assert result.figures["clearance_m"] >= 0.0
    np.testing.assert_allclose(result.q[-1], sides[1], atol=1e-9)
    assert_executable(result)


def test_joint_path_repeats_with_the_seed(field):
    goal = ARM.home + np.array([1.2, 0.6, 0.0, 0.2, 0.0, 0.3, 0.0])
    first, second = (plan_joint_path(ARM, ARM.home, goal, field=field, rng=np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.q, second.q)


def test_joint_path_refuses_a_goal_inside_the_scene(field):
    T = np.diag([1.0, -1.0, -1.0, 1.0])
    T[:3, 3] = [0.5, 0.0, 0.12]
    inside = plan_pose_path(ARM, ARM.home, line_poses(HOME, T)).q[-1]
    result = plan_joint_path(ARM, ARM.home, inside, field=field)
    assert result.status == "collision"
    assert "goal" in result.reason


@pytest.mark.parametrize("q", [np.full(7, np.nan), np.zeros(6), np.full(7, 50.0), ["a"] * 7])
def test_a_start_that_makes_no_sense_is_answered(q):
    for result in (plan_joint_path(ARM, q, ARM.home), plan_pose_path(ARM, q, HOME[None])):
        assert result.status == "invalid"
        assert_executable(result)


def test_random_problems_never_raise_and_end_feasible(field):
    rng = np.random.default_rng(8)
    seen = set()
    for trial in range(400):
        near = rng.random() < 0.5
        q = ARM.home + rng.normal(0.0, 0.2, 7) if near else rng.uniform(ARM.q_min, ARM.q_max)
        if trial % 5 == 1:
            q = np.where(rng.random(7) < 0.5, ARM.q_min, ARM.q_max)  # locked in its limits
        if trial % 5 == 2:
            q = np.zeros(7).clip(ARM.q_min, ARM.q_max)  # stretched out, singular
        shift = rng.normal(0.0, rng.choice([0.05, 0.3, 2.0]), 3)
        flow = moved_cloud(ARM.tool(q).as_matrix(), shift, int(rng.integers(2, 8)), rng)
        config = OptimizeConfig(restarts=0)
        result = optimize(ARM, flow, np.eye(4), q, field=field if trial % 2 else None, config=config, rng=rng)
        assert_executable(result)
        seen.add(result.status)
    assert {"ok", "unreachable"} <= seen


def test_config_refuses_unknown_solvers_and_ranges():
    with pytest.raises(ChoiceError, match="banded, cvxpy"):
        OptimizeConfig(solver="magic")
    with pytest.raises(ValueRangeError, match="v_scale"):
        OptimizeConfig(v_scale=1.5)
