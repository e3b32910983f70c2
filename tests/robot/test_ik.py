import numpy as np
import pytest

from armflow.robot.embodiments import ARMS, load_arm
from armflow.robot.errors import ChoiceError, ShapeError
from armflow.robot.ik import solve_ik, solve_ik_batch


def reachable(arm, count, rng):
    """Joint positions [B, D] and the tool poses [B, 4, 4] there."""
    q = rng.uniform(np.maximum(arm.q_min, -np.pi), np.minimum(arm.q_max, np.pi), (count, arm.dof))
    return q, np.stack([arm.tool(row).as_matrix() for row in q])


def turned(T, axis, angle):
    """Turn a pose [4, 4] about one of its own axes."""
    R = np.eye(4)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R[i, i] = R[j, j] = np.cos(angle)
    R[j, i], R[i, j] = np.sin(angle), -np.sin(angle)
    return T @ R


@pytest.mark.parametrize("name", ARMS)
def test_reachable_poses_are_reached_within_the_limits(name):
    arm, rng = load_arm(name), np.random.default_rng(0)
    _, Ts = reachable(arm, 300, rng)
    results = solve_ik_batch(arm, Ts, np.tile(arm.home, (300, 1)), rng=rng)
    assert np.mean([result.ok for result in results]) >= 0.999
    for T, result in zip(Ts, results, strict=True):
        assert (arm.q_min <= result.q).all()
        assert (result.q <= arm.q_max).all()
        np.testing.assert_allclose(arm.tool(result.q).as_matrix(), T, atol=2e-4)  # the tolerances of the solver


@pytest.mark.parametrize("name", ARMS)
def test_an_unreachable_pose_says_how_far_off_the_closest_is(name):
    arm, rng = load_arm(name), np.random.default_rng(0)
    T = arm.tool(arm.home).as_matrix()
    T[:3, 3] = [3.0, 0.0, 0.5]
    result = solve_ik(arm, T, arm.home, rng=rng, restarts=3)
    assert not result.ok
    assert result.reason.startswith("closest pose found is ")
    gap = np.linalg.norm(arm.tool(result.q).translation - T[:3, 3])
    assert result.position_error == pytest.approx(gap, abs=1e-2)
    assert (arm.q_min <= result.q).all()
    assert (result.q <= arm.q_max).all()


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_a_free_axis_stays_where_it_should_whatever_the_turn_about_it(axis):
    arm, rng = load_arm("so101"), np.random.default_rng(1)  # five joints need the freedom
    column = "xyz".index(axis)
    q, Ts = reachable(arm, 30, rng)
    for seed, T in zip(q, Ts, strict=True):
        T = turned(T, column, rng.uniform(-np.pi, np.pi))
        result = solve_ik(arm, T, seed, rng=rng, axis_free=axis)
        assert result.ok
        np.testing.assert_allclose(arm.tool(result.q).as_matrix()[:3, [column, 3]], T[:3, [column, 3]], atol=2e-4)


def test_all_axes_free_asks_for_the_position_alone():
    arm, rng = load_arm("so101"), np.random.default_rng(2)
    T = np.eye(4)
    T[:3, 3] = arm.tool(arm.home).translation + np.array([0.0, 0.02, 0.01])
    result = solve_ik(arm, T, arm.home, rng=rng, axis_free="all")
    assert result.ok
    np.testing.assert_allclose(arm.tool(result.q).translation, T[:3, 3], atol=2e-5)


def test_a_met_pose_asks_for_no_motion():
    arm = load_arm("iiwa")
    result = solve_ik(arm, arm.tool(arm.home), arm.home, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(result.q, arm.home)


def test_a_close_seed_gives_a_close_answer():
    arm, rng = load_arm("ur5"), np.random.default_rng(3)
    q = arm.home + rng.uniform(-0.05, 0.05, arm.dof)
    result = solve_ik(arm, arm.tool(q), arm.home, rng=rng, restarts=0)
    assert result.ok
    np.testing.assert_allclose(result.q, q, atol=2e-3)


def test_a_batch_equals_a_loop_when_nothing_is_drawn():
    arm, rng = load_arm("xarm6"), np.random.default_rng(4)
    q, Ts = reachable(arm, 10, rng)
    seeds = np.clip(q + 0.02, arm.q_min, arm.q_max)
    batch = solve_ik_batch(arm, Ts, seeds, rng=rng, restarts=0)
    loop = [solve_ik(arm, T, seed, rng=rng, restarts=0) for T, seed in zip(Ts, seeds, strict=True)]
    np.testing.assert_array_equal([result.q for result in batch], [result.q for result in loop])


def test_same_seed_same_answer():
    arm = load_arm("panda")
    _, Ts = reachable(arm, 20, np.random.default_rng(5))
    seeds = np.tile(arm.home, (20, 1))
    first, second = (solve_ik_batch(arm, Ts, seeds, rng=np.random.default_rng(6)) for _ in range(2))
    np.testing.assert_array_equal([result.q for result in first], [result.q for result in second])


def test_wrong_input_is_refused():
    arm, rng = load_arm("panda"), np.random.default_rng(0)
    T = arm.tool(arm.home).as_matrix()
    with pytest.raises(ShapeError, match="q_seed must be"):
        solve_ik(arm, T, arm.home[:4], rng=rng)
    with pytest.raises(ShapeError, match="T_world_tool must be finite"):
        solve_ik(arm, T * np.nan, arm.home, rng=rng)
    with pytest.raises(ShapeError, match="a rotation"):
        solve_ik(arm, 2.0 * T, arm.home, rng=rng)
    with pytest.raises(ChoiceError, match="no free axis 'w'"):
        solve_ik(arm, T, arm.home, rng=rng, axis_free="w")  # type: ignore[arg-type]
