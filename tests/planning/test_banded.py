import numpy as np
import pytest

from armflow.planning.banded import assemble, band_cholesky, band_multiply, band_solve, differences, differences_adjoint
from armflow.planning.reference import solve_cvxpy
from armflow.planning.sqp import Bounds, Subproblem, largest_excess, project, smooth_weights, solve_banded


def random_subproblem(seed: int, horizon: int = 8, dof: int = 7) -> Subproblem:
    """A program whose velocity, acceleration and position limits matter."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(horizon, dof, 6))
    q = np.repeat(rng.uniform(-0.5, 0.5, (1, dof)), horizon, axis=0)
    high = np.stack([np.full(q.shape, bound) for bound in (0.7, 0.12, 0.05)])
    pinned = np.arange(horizon) == 0
    blocks = np.tril(factors @ factors.transpose(0, 2, 1))
    gradient = rng.normal(0.0, 2.0, q.shape)
    return Subproblem(blocks, smooth_weights(0.01, 0.3, q), 1e-3, gradient, q, Bounds(-high, high, pinned))


def test_band_solver_matches_dense_algebra():
    sub = random_subproblem(0)
    band = assemble(sub.blocks, sub.weights, 1.0)
    n = len(band)
    dense = np.stack([band_multiply(band, e.reshape(8, 7)).ravel() for e in np.eye(n)])
    x = np.random.default_rng(1).normal(size=n)
    b = dense @ x
    assert band_cholesky(band)
    band_solve(band, b)
    np.testing.assert_allclose(b, x, rtol=1e-9)


def test_band_cholesky_reports_what_is_not_positive():
    assert not band_cholesky(np.full((6, 3), -1.0))


def test_adjoint_of_differences_is_its_transpose():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(3, 6, 3))
    y[1, -1] = 0.0  # that row does not exist
    np.testing.assert_allclose((differences(x) * y).sum(), (x * differences_adjoint(y)).sum())


@pytest.mark.parametrize("seed", range(5))
def test_fast_program_agrees_with_cvxpy(seed):
    sub = random_subproblem(seed)
    fast, ok = solve_banded(sub)
    reference, optimal = solve_cvxpy(sub)
    assert ok
    assert optimal
    assert np.abs(fast - reference).max() < 1e-3  # rad; both stop at a duality gap


@pytest.mark.parametrize("seed", range(20))
def test_program_keeps_its_bounds_hard(seed):
    sub = random_subproblem(seed)
    step, ok = solve_banded(sub)
    assert ok
    assert np.abs(step[0]).max() == 0.0
    assert largest_excess(sub.q + step, sub.bounds) <= 1e-9


def test_project_brings_an_infeasible_start_inside():
    sub = random_subproblem(3)
    wild = sub.q + np.random.default_rng(4).normal(0.0, 1.0, sub.q.shape) * ~sub.bounds.pinned[:, None]
    assert largest_excess(wild, sub.bounds) > 0.1
    q, ok = project(wild, sub.bounds)
    assert ok
    assert largest_excess(q, sub.bounds) <= 1e-9
