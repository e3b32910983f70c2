import numpy as np
import pytest

from armflow.perception.flow import Flow3D
from armflow.planning.rigid import DegenerateFitError, fit_rigid, rigid_path
from armflow.robot.errors import ShapeError
from tests.planning.motions import random_pose


def test_fit_rigid_recovers_random_motions():
    rng = np.random.default_rng(0)
    for _ in range(50):
        T, points = random_pose(rng), rng.normal(size=(20, 3))
        np.testing.assert_allclose(fit_rigid(points, points @ T[:3, :3].T + T[:3, 3]), T, atol=1e-12)


def test_fit_rigid_never_returns_a_reflection():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(20, 3))
    T = fit_rigid(points, points * [1.0, 1.0, -1.0])
    np.testing.assert_allclose(np.linalg.det(T[:3, :3]), 1.0, atol=1e-12)


def test_fit_rigid_follows_the_weights():
    rng = np.random.default_rng(2)
    T, points = random_pose(rng), rng.normal(size=(20, 3))
    target = points @ T[:3, :3].T + T[:3, 3]
    target[10:] += 5.0
    np.testing.assert_allclose(fit_rigid(points, target, np.r_[np.ones(10), np.zeros(10)]), T, atol=1e-12)


def test_fit_rigid_moves_with_the_world():
    rng = np.random.default_rng(3)
    G, source, target = random_pose(rng), rng.normal(size=(8, 3)), rng.normal(size=(8, 3))
    moved = fit_rigid(source, target @ G[:3, :3].T + G[:3, 3])
    np.testing.assert_allclose(moved, G @ fit_rigid(source, target), atol=1e-10)


@pytest.mark.parametrize("points", [np.zeros((2, 3)), np.outer(np.arange(5.0), [1, 2, 3]), np.ones((5, 3))])
def test_fit_rigid_refuses_points_that_leave_the_rotation_open(points):
    with pytest.raises(DegenerateFitError, match="no rigid fit"):
        fit_rigid(points, points)


def test_fit_rigid_refuses_what_is_not_finite():
    with pytest.raises(ShapeError, match="finite"):
        fit_rigid(np.full((5, 3), np.nan), np.ones((5, 3)))


def test_rigid_path_says_how_far_from_rigid_a_flow_is():
    rng = np.random.default_rng(4)
    points = rng.normal(size=(200, 3))
    paths = np.stack([points, points + 1.0 + rng.normal(0.0, 0.01, points.shape)])
    path = rigid_path(Flow3D(paths, np.ones(paths.shape[:2], dtype=bool), 0.1))
    assert path.residual[0] < 1e-12
    np.testing.assert_allclose(path.residual[1], 0.01 * np.sqrt(3), rtol=0.1)  # three axes of 1 cm noise
