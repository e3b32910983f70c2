import numpy as np
import pytest

import armflow.robot
from armflow.robot.cholesky import solve_cholesky
from armflow.robot.lazy import lazy_names
from armflow.robot.stopwatch import timed


@pytest.mark.parametrize("size", [1, 5, 7])
def test_cholesky_gives_what_lapack_gives(size):
    rng = np.random.default_rng(size)
    root, right = rng.normal(size=(size, size)), rng.normal(size=size)
    matrix = root @ root.T + 0.1 * np.eye(size)
    factor, answer = np.tril(matrix), right.copy()
    solve_cholesky(factor, answer)
    np.testing.assert_allclose(answer, np.linalg.solve(matrix, right), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(factor, np.linalg.cholesky(matrix), rtol=1e-9, atol=1e-12)


def test_cholesky_of_a_singular_matrix_stays_finite():
    answer = np.ones(3)
    solve_cholesky(np.zeros((3, 3)), answer)
    assert np.isfinite(answer).all()


def test_cholesky_leaves_what_follows_the_system_alone():
    answer = np.array([2.0, 5.0])
    solve_cholesky(np.array([[4.0]]), answer)
    np.testing.assert_array_equal(answer, [0.5, 5.0])


def test_lazy_names_lead_to_their_modules():
    find = lazy_names("armflow.robot", {"chunk": ("ActionChunk",)})
    assert find("ActionChunk") is armflow.robot.ActionChunk


def test_lazy_names_refuse_a_name_that_no_module_holds():
    with pytest.raises(AttributeError, match=r"'armflow\.robot' has no attribute 'Elbow'"):
        _ = armflow.robot.Elbow  # type: ignore[attr-defined]


def test_timed_appends_and_leaves_out_a_block_that_raises():
    timings = {"look": [1.0]}
    with timed(timings, "look"), timed(timings, "plan"):
        pass
    with pytest.raises(ValueError, match="stop"), timed(timings, "plan"):
        raise ValueError("stop")
    assert [len(timings["look"]), len(timings["plan"])] == [2, 1]
