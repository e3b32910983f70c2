import numpy as np
import pytest

from armflow.robot.embodiments import ARMS, load_arm
from armflow.robot.errors import RobotError, ShapeError, ValueRangeError
from armflow.robot.limiter import Limiter
from armflow.robot.limiter_fuzz import fuzz_limiter
from armflow.robot.limiter_kernel import slack, stopping_speed

PERIODS = (0.008, 0.04, 0.1)  # s
DEFECTS = ("not finite", "jump", "wrong type", "wrong shape")


def started(name="panda", dt=0.04):
    arm = load_arm(name)
    limiter = Limiter(arm, dt)
    limiter.start(arm.home)
    return arm, limiter


@pytest.mark.parametrize("name", ARMS)
def test_a_million_random_commands_break_no_limit(name):
    arm = load_arm(name)
    for seed, dt in enumerate(PERIODS):
        report = fuzz_limiter(arm, dt, 333_334, rng=np.random.default_rng(seed))
        # Differences of q round at 1e-16 / dt^2, and speeds at 1e-15.
        assert report.worst < 1e-9
        assert report.nonfinite == 0
        assert report.moved > 1000.0
        assert report.counts["not finite"] > 1000
        assert report.counts["jump"] > 1000


@pytest.mark.parametrize("name", ARMS)
def test_random_targets_through_the_public_door_keep_every_limit(name):
    arm, limiter = started(name)
    rng = np.random.default_rng(0)
    targets = np.cumsum(rng.normal(0.0, 0.2, (500, arm.dof)), axis=0) + arm.home
    targets[rng.random(500) < 0.05] = np.nan
    chunk = limiter.limit_many(targets)
    q = np.concatenate([[arm.home, arm.home], chunk.q])
    assert (np.abs(np.diff(q, axis=0)) / 0.04 <= arm.v_max + 1e-9).all()
    assert (np.abs(np.diff(q, 2, axis=0)) / 0.04**2 <= arm.a_max + 1e-9).all()
    assert (arm.q_min <= q).all()
    assert (q <= arm.q_max).all()
    assert sum(limiter.counts[reason] for reason in DEFECTS) == chunk.rejected.sum() > 0
    assert limiter.counts.total() == (chunk.clipped | chunk.rejected).sum()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (None, "wrong type"),
        ("home", "wrong type"),
        (["a"] * 7, "wrong type"),
        ([[0.0], [0.0, 1.0]], "wrong type"),
        (np.full(7, 1j), "wrong type"),
        (np.ones(7, bool), "wrong type"),
        ([10**400] * 7, "wrong type"),
        (object(), "wrong type"),
        (np.zeros(6), "wrong shape"),
        (np.zeros((1, 7)), "wrong shape"),
        (0.0, "wrong shape"),
        ([], "wrong shape"),
        (np.full(7, np.nan), "not finite"),
        (np.full(7, np.inf), "not finite"),
        (np.full(7, 1e300), "jump"),
    ],
)
def test_what_is_no_target_is_rejected_and_counted(command, reason):
    arm, limiter = started()
    answer = limiter.limit(command)
    assert (answer.rejected, answer.clipped, answer.reason) == (True, False, reason)
    assert limiter.counts == {reason: 1}
    np.testing.assert_array_equal(answer.q, arm.home)


@pytest.mark.parametrize("name", ARMS)
def test_a_rejection_brakes_to_rest(name):
    arm, limiter = started(name)
    for _ in range(10):
        limiter.limit(limiter.q + 0.05 * np.sign(arm.q_max + arm.q_min - 2 * limiter.q))
    assert np.abs(limiter.v).max() > 0
    for _ in range(100):
        before = np.abs(limiter.v)
        limiter.limit(None)
        assert (np.abs(limiter.v) <= before).all()
    np.testing.assert_array_equal(limiter.v, 0.0)


def test_a_feasible_target_passes_untouched():
    arm, limiter = started()
    target = arm.home + 0.1 * arm.a_max * 0.04**2
    answer = limiter.limit(target)
    np.testing.assert_allclose(answer.q, target, atol=1e-15)
    assert (answer.clipped, answer.rejected, answer.reason) == (False, False, "")
    assert not limiter.counts


@pytest.mark.parametrize("name", ARMS)
def test_a_goal_is_reached_and_then_held(name):
    arm, limiter = started(name)
    goal = arm.home + 0.2 * np.sign(arm.q_max + arm.q_min - 2 * arm.home)
    limiter.limit_many(np.tile(goal, (200, 1)))
    np.testing.assert_allclose(limiter.q, goal, atol=1e-9)
    np.testing.assert_allclose(limiter.v, 0.0, atol=1e-9)


@pytest.mark.parametrize("name", ARMS)
def test_the_tool_stops_inside_the_workspace(name):
    arm, limiter = started(name)
    down = np.linalg.pinv(arm.jacobian(arm.home))[:, 2]
    lowest = np.inf
    for _ in range(300):
        limiter.limit(limiter.q - 0.9 * down / np.abs(down).max())
        lowest = min(lowest, slack(arm.z_placements, arm.workspace, limiter.q))
    assert lowest >= 0.0
    assert limiter.counts["workspace"] > 0


def test_braking_from_the_stopping_speed_ends_in_the_room_there_is():
    rng = np.random.default_rng(0)
    for room, change, dt in zip(*rng.uniform(0.001, 1.0, (3, 200)), strict=True):
        v, way = stopping_speed(room, change, dt), 0.0
        while v > 0:
            way, v = way + v * dt, v - change
        assert way == pytest.approx(room, rel=1e-9)


def test_brake_is_not_counted():
    _, limiter = started()
    assert limiter.brake().rejected
    assert limiter.counts.total() == 0


def test_start_refuses_what_is_no_place_to_start():
    arm, limiter = load_arm("panda"), Limiter(load_arm("panda"), 0.04)
    with pytest.raises(RobotError, match=r"needs start\(q\)"):
        limiter.limit(arm.home)
    with pytest.raises(ShapeError, match="q must be an array"):
        limiter.start(arm.home[:5])
    with pytest.raises(ShapeError, match="q must be finite"):
        limiter.start(arm.home * np.nan)
    with pytest.raises(ValueRangeError, match="q is"):
        limiter.start(arm.q_max + 0.1)
    behind = arm.home + np.eye(7)[0] * 2.8
    with pytest.raises(ValueRangeError, match="tool at the start"):
        limiter.start(behind)


@pytest.mark.parametrize("options", [{"dt": 0.0}, {"dt": np.nan}, {"dt": 0.04, "max_jump": -1.0}])
def test_periods_and_jumps_must_be_positive(options):
    with pytest.raises(ValueRangeError, match="positive and finite"):
        Limiter(load_arm("panda"), **options)
