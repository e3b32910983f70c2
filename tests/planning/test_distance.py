import numpy as np
import pytest
from scipy.spatial import cKDTree

from armflow.perception.detection import TablePlane
from armflow.planning.distance import build_field, empty_field
from armflow.robot.errors import ValueRangeError

TABLE = TablePlane(normal=np.array([0.0, 0.0, 1.0]), offset=0.0)
BOX = np.array([[0.0, -0.3, -0.05], [0.6, 0.3, 0.5]])


def test_field_matches_the_nearest_point():
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(0.2, 0.3, (4000, 2)) - [0.0, 0.25], np.full(4000, 0.1)])
    field = build_field(points, None, BOX, thickness=0.0)
    places = rng.uniform([0.15, -0.1, 0.02], [0.35, 0.1, 0.19], (500, 3))
    exact = cKDTree(points).query(places)[0]
    found = field.distance(places)
    known = exact < 0.09
    # the cloud is thinned to one point a voxel and interpolated between nodes 1 cm apart
    assert np.abs(found[known] - exact[known]).max() < 0.008
    assert np.abs(found[known] - exact[known]).mean() < 0.004


def test_field_gradient_matches_differences():
    rng = np.random.default_rng(1)
    field = build_field(rng.uniform([0.2, -0.1, 0.0], [0.4, 0.1, 0.2], (300, 3)), TABLE, BOX)
    places = rng.uniform([0.1, -0.2, 0.03], [0.5, 0.2, 0.3], (200, 3))
    step = 1e-7
    numeric = np.stack([(field.distance(places + e) - field.distance(places - e)) for e in step * np.eye(3)], 1)
    worst = np.abs(numeric / (2 * step) - field.gradient(places)).max(1)
    assert np.quantile(worst, 0.98) < 1e-4  # a difference may straddle two cells


def test_table_is_exact_everywhere():
    field = build_field(np.zeros((0, 3)), TABLE, BOX)
    np.testing.assert_allclose(field.distance(np.array([[0.3, 0.0, -0.02], [9.0, 9.0, -0.5]])), [-0.02, -0.5])
    np.testing.assert_allclose(field.gradient(np.array([[0.3, 0.0, -0.02]])), [[0.0, 0.0, 1.0]])


def test_empty_field_is_free():
    assert (empty_field().distance(np.random.default_rng(2).normal(size=(50, 3))) > 0.5).all()


def test_field_ignores_points_that_are_not_finite():
    field = build_field(np.array([[np.nan, 0.0, 0.0], [0.3, 0.0, 0.1]]), TABLE, BOX)
    assert np.isfinite(field.values).all()


def test_field_refuses_a_box_too_large():
    with pytest.raises(ValueRangeError, match="nodes"):
        build_field(np.zeros((1, 3)), TABLE, np.array([[0.0, 0.0, 0.0], [100.0, 100.0, 100.0]]))
