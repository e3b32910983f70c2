import numpy as np
import pytest

from armflow.planning.timing import retime, within_limits
from armflow.robot.embodiments import load_arm
from armflow.robot.errors import ShapeError
from armflow.robot.kinematics import chain_tool
from armflow.robot.limiter import Limiter

ARM = load_arm("panda")


def random_path(rng: np.random.Generator, rows: int) -> np.ndarray:
    return np.clip(ARM.home + np.cumsum(rng.normal(0.0, 0.15, (rows, ARM.dof)), axis=0), ARM.q_min, ARM.q_max)


def test_retime_keeps_limits_to_the_last_digit():
    rng = np.random.default_rng(0)
    for _ in range(60):
        q = retime(random_path(rng, int(rng.integers(2, 30))), ARM)
        assert within_limits(q, ARM, 0.04)
        assert (q >= ARM.q_min).all()
        assert (q <= ARM.q_max).all()


def test_retime_starts_and_ends_on_the_path():
    path = random_path(np.random.default_rng(1), 12)
    q = retime(path, ARM)
    np.testing.assert_array_equal(q[[0, -1]], path[[0, -1]])


def test_retime_uses_the_limits_on_a_long_line():
    path = np.linspace(ARM.home, ARM.home + 2.0 * np.eye(7)[6], 20)
    q = retime(path, ARM, v_scale=1.0, a_scale=1.0)
    v, a = ARM.v_max[6], ARM.a_max[6]
    fastest = 2.0 / v + v / a  # a trapezoid from rest to rest
    assert (len(q) - 1) * 0.04 < fastest + 0.12


def test_retime_keeps_the_tool_slow():
    path = np.linspace(ARM.home, ARM.home + 0.5, 20).clip(ARM.q_min, ARM.q_max)
    q = retime(path, ARM, tool_speed=0.1)
    tools = np.array([chain_tool(ARM.placements, ARM.axes, row)[:3, 3] for row in q])
    assert np.linalg.norm(np.diff(tools, axis=0), axis=1).max() < 0.1 * 0.04 * 1.1  # arcs between rows


def test_retime_of_no_motion_stays():
    assert len(retime(np.repeat(ARM.home[None], 5, axis=0), ARM)) == 1


def test_retime_waits_for_the_rows():
    path = np.linspace(ARM.home, ARM.home + 0.01, 11).clip(ARM.q_min, ARM.q_max)
    assert (len(retime(path, ARM, row_dt=0.2)) - 1) * 0.04 >= 2.0 - 0.04


def test_limiter_has_nothing_to_clip():
    rng = np.random.default_rng(2)
    for _ in range(10):
        path = ARM.home + np.cumsum(rng.normal(0.0, 0.03, (8, ARM.dof)), axis=0)
        limiter = Limiter(ARM, 0.04)
        limiter.start(path[0])
        for row in retime(path, ARM)[1:]:
            sent = limiter.limit(row)
            assert not sent.clipped, sent.reason
            assert not sent.rejected, sent.reason
            np.testing.assert_allclose(sent.q, row, atol=1e-9)


def test_retime_refuses_what_is_not_finite():
    with pytest.raises(ShapeError, match="finite"):
        retime(np.full((3, 7), np.nan), ARM)
