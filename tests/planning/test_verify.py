from dataclasses import replace

import numpy as np
import pytest

from armflow.perception.flow import Flow3D
from armflow.planning.reach import NO_FREE_AXIS, POSITION_ONLY, chain_of, follow, solve_pose
from armflow.planning.scene import Candidate, Scene
from armflow.planning.verify import GeometricVerifier, GeometryLimits, Monitor
from armflow.robot.errors import ShapeError, ValueRangeError
from armflow.robot.kinematics import chain_tool
from tests.planning.scenes import PlainArm, carry, detection, plain_arm, scene

UP = np.array([0.0, 0.0, 1.0])
PLACE = [0.12 * UP, np.array([0.05, -0.25, 0.12]), np.array([0.05, -0.25, 0.004])]


@pytest.fixture(scope="module")
def arm() -> PlainArm:
    return plain_arm()


@pytest.fixture
def world(arm: PlainArm) -> Scene:
    return scene(detection("block", 0.45, 0.1, 0.3), detection("disc", 0.5, -0.15), q=arm.home)


def judge(world: Scene, candidate: Candidate, arm: PlainArm):
    return GeometricVerifier().judge(world, candidate, arm)


def test_a_good_placement_passes_and_reports_its_figures(world: Scene, arm: PlainArm) -> None:
    verdict = judge(world, carry(world.target, PLACE), arm)
    assert verdict.ok, verdict.reason
    assert verdict.figures["rigidity_m"] < 1e-9
    assert verdict.figures["support_gap_m"] < 0.01


def test_sensor_noise_does_not_refuse_a_good_placement(world: Scene, arm: PlainArm) -> None:
    candidate = carry(world.target, PLACE)
    noise = np.random.default_rng(0).normal(0, 7e-4, candidate.flow.points_world.shape)
    noisy = replace(candidate, flow=replace(candidate.flow, points_world=candidate.flow.points_world + noise))
    assert judge(world, noisy, arm).ok


def test_a_flow_that_bends_the_object_is_refused(world: Scene, arm: PlainArm) -> None:
    candidate = carry(world.target, PLACE)
    points = candidate.flow.points_world.copy()
    half = points[0, :, 0] > np.median(points[0, :, 0])
    points[:, half, 2] += np.linspace(0, 0.03, len(points))[:, None]
    verdict = judge(world, replace(candidate, flow=replace(candidate.flow, points_world=points)), arm)
    assert not verdict.ok
    assert "rigid" in verdict.reason


def test_a_flow_into_the_table_is_refused(world: Scene, arm: PlainArm) -> None:
    verdict = judge(world, carry(world.target, [0.1 * UP, np.array([0.05, -0.1, -0.02])]), arm)
    assert not verdict.ok
    assert "into the table" in verdict.reason
    assert verdict.figures["table_depth_m"] == pytest.approx(0.02, abs=1e-3)


def test_a_flow_through_another_object_is_refused(arm: PlainArm) -> None:
    target, obstacle = detection("block", 0.45, 0.15), detection("cup", 0.45, 0.0)
    world = replace(scene(target, q=arm.home), obstacles_world=obstacle.state.points_world)
    verdict = judge(world, carry(target, [0.03 * UP, np.array([0.0, -0.3, 0.03]), np.array([0, -0.3, 0.0])]), arm)
    assert not verdict.ok
    assert "surroundings" in verdict.reason


def test_stray_points_in_the_way_are_forgiven(world: Scene, arm: PlainArm) -> None:
    stray = world.target.T_world_object.translation + np.array([[0.02, -0.1, 0.12], [0.03, -0.15, 0.12]])
    crowded = replace(world, obstacles_world=np.concatenate([world.obstacles_world, stray]))
    assert judge(crowded, carry(world.target, PLACE), arm).ok


def test_a_release_in_the_air_is_refused(world: Scene, arm: PlainArm) -> None:
    verdict = judge(world, carry(world.target, [0.1 * UP]), arm)
    assert not verdict.ok
    assert "support" in verdict.reason
    assert judge(world, carry(world.target, [0.1 * UP], release=False), arm).ok


def test_a_release_on_top_of_another_object_passes(arm: PlainArm) -> None:
    target, below = detection("block", 0.45, 0.1), detection("block", 0.45, -0.1)
    world = scene(target, below, q=arm.home)
    top = carry(target, [0.12 * UP, np.array([0, -0.2, 0.12]), np.array([0, -0.2, 0.042])])
    assert judge(world, top, arm).ok


def test_a_push_that_lifts_is_refused_and_one_that_slides_passes(world: Scene, arm: PlainArm) -> None:
    slide = carry(world.target, [np.array([0.05, -0.2, 0.0])], contact="push", release=False)
    hop = carry(world.target, [np.array([0.05, -0.1, 0.03])], contact="push", release=False)
    assert judge(world, slide, arm).ok
    assert "leaves the table" in judge(world, hop, arm).reason


def test_a_jump_is_refused(world: Scene, arm: PlainArm) -> None:
    candidate = carry(world.target, PLACE)
    points = candidate.flow.points_world.copy()
    points[5:] += 0.3
    verdict = judge(world, replace(candidate, flow=Flow3D(points, candidate.flow.visible, 0.1)), arm)
    assert not verdict.ok
    assert "jumps" in verdict.reason


def test_a_flow_out_of_the_workspace_is_refused(world: Scene, arm: PlainArm) -> None:
    verdict = judge(world, carry(world.target, [0.1 * UP, np.array([0.7, 0.0, 0.1])], release=False), arm)
    assert not verdict.ok
    assert "workspace" in verdict.reason


def test_tool_poses_out_of_reach_are_refused(world: Scene, arm: PlainArm) -> None:
    tools = np.tile(chain_tool(arm.placements, arm.axes, arm.home), (4, 1, 1))
    candidate, verifier = carry(world.target, PLACE), GeometricVerifier()
    assert verifier.judge(world, candidate, arm, Ts_world_tool=tools).ok
    tools[:, 2, 3] += np.linspace(0, 1.2, 4)
    verdict = verifier.judge(world, candidate, arm, Ts_world_tool=tools)
    assert not verdict.ok
    assert "out of reach" in verdict.reason


def test_best_takes_the_highest_score_that_passes_else_counts_the_reasons(world: Scene, arm: PlainArm) -> None:
    verifier = GeometricVerifier()
    good = carry(world.target, PLACE)
    candidates = [
        good,
        replace(good, score=2.0),
        replace(carry(world.target, [0.1 * UP]), score=9.0),
        replace(carry(world.target, [-0.03 * UP]), score=9.0),
    ]
    verdicts = [verifier.judge(world, candidate, arm) for candidate in candidates]
    assert verifier.best(candidates, verdicts).index == 1
    none = verifier.best(candidates[2:], verdicts[2:])
    assert none.candidate is None
    assert "1 leave the object without support" in none.reason
    assert "1 enter the table" in none.reason


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueRangeError, match="step"):
        GeometryLimits(step=0.0)


def test_follow_keeps_to_a_line_and_stops_where_it_leaves_reach(arm: PlainArm) -> None:
    tools = np.tile(chain_tool(arm.placements, arm.axes, arm.home), (20, 1, 1))
    tools[:, 1, 3] += np.linspace(0, 0.2, 20)
    reach = follow(chain_of(arm), tools, arm.home)
    assert reach.ok
    ends = np.stack([chain_tool(arm.placements, arm.axes, q) for q in reach.q_path])
    np.testing.assert_allclose(ends[:, :3, 3], tools[:, :3, 3], atol=5e-4)
    tools[:, 0, 3] += np.linspace(0, 1.5, 20)
    far = follow(chain_of(arm), tools, arm.home)
    assert not far.ok
    assert 0 < far.row < 20


@pytest.mark.parametrize("axis", [NO_FREE_AXIS, np.eye(3)[2], POSITION_ONLY])
def test_solve_pose_meets_the_pose_up_to_its_free_axis(axis: np.ndarray, arm: PlainArm) -> None:
    chain, rng = chain_of(arm), np.random.default_rng(0)
    solved = 0
    for _ in range(20):
        target = chain_tool(arm.placements, arm.axes, arm.home + rng.uniform(-0.4, 0.4, 6))
        q = arm.home.copy()
        solved += solve_pose(chain, target, axis, arm.home, q, 60)
        tool = chain_tool(arm.placements, arm.axes, q)
        np.testing.assert_allclose(tool[:3, 3], target[:3, 3], atol=5e-4)
        if axis[2] < 1.5:
            np.testing.assert_allclose(tool[:3, 2], target[:3, 2], atol=5e-3)
    assert solved == 20


def flow_pair(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).normal(0.4, 0.02, (count, 3)), np.ones(count)


def test_monitor_tolerates_noise_outliers_and_a_late_arm() -> None:
    rng, monitor = np.random.default_rng(1), Monitor(threshold_m=0.02)
    points, visible = flow_pair()
    for k in range(12):
        tracked = points + 0.01 * max(k - 2, 0) * UP + rng.normal(0, 2e-3, points.shape)
        tracked[::4] += 0.5
        verdict = monitor.update(points + 0.01 * k * UP, tracked, visible)
        assert verdict.ok, verdict.reason


def test_monitor_stops_when_the_object_is_knocked_away() -> None:
    monitor = Monitor(threshold_m=0.02, patience=2)
    points, visible = flow_pair()
    assert monitor.update(points, points, visible).ok
    assert monitor.update(points, points + np.array([0.08, 0, 0]), visible).ok
    verdict = monitor.update(points, points + np.array([0.08, 0, 0]), visible)
    assert not verdict.ok
    assert verdict.figures["distance_m"] == pytest.approx(0.08)


def test_monitor_says_when_it_has_lost_sight_and_recovers_after_reset() -> None:
    monitor = Monitor(lost_patience=3)
    points, visible = flow_pair()
    verdicts = [monitor.update(points, np.full_like(points, np.nan), visible) for _ in range(3)]
    assert [verdict.ok for verdict in verdicts] == [True, True, False]
    assert "lost sight" in verdicts[-1].reason
    monitor.reset()
    assert monitor.update(points, points, visible).ok


def test_monitor_refuses_arrays_that_do_not_match() -> None:
    points, visible = flow_pair()
    with pytest.raises(ShapeError, match="tracked"):
        Monitor().update(points, points[:-1], visible)
