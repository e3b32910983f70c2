"""Registration: exact on noiseless surfaces, the fast kernel against the plain one, damping of what is not seen."""

import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.registration import NearestGrid, register, register_plain
from armflow.perception.surface import box_surface, tube_surface

SIZE = np.array([0.05, 0.04, 0.06])


def _moved(shift: np.ndarray, turn: np.ndarray) -> np.ndarray:
    return RigidTransform.from_components(shift, Rotation.from_rotvec(turn)).as_matrix()


def _corner(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A box's surface, and three of its faces with 1 mm of noise as a camera would see them."""
    points, normals = box_surface(SIZE, 0.004)
    seen = points[(normals @ [0.5, 0.6, 0.6]) > 0]
    return points, normals, seen + 0.001 * rng.standard_normal(seen.shape)


@pytest.mark.parametrize("seed", range(6))
def test_register_finds_a_small_motion_of_three_faces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, normals, seen = _corner(rng)
    truth = _moved(0.02 * rng.uniform(-1, 1, 3), 0.25 * rng.uniform(-1, 1, 3))
    T, residual = register(seen @ truth[:3, :3].T + truth[:3, 3], NearestGrid.build(points, normals), np.eye(4))
    assert np.abs(T[:3, 3] - truth[:3, 3]).max() < 1e-3
    assert np.rad2deg(Rotation.from_matrix(T[:3, :3].T @ truth[:3, :3]).magnitude()) < 2.0
    assert residual < 1.2e-3


@pytest.mark.parametrize("seed", range(4))
def test_register_agrees_with_the_plain_version(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, normals, seen = _corner(rng)
    truth = _moved(0.01 * rng.uniform(-1, 1, 3), 0.15 * rng.uniform(-1, 1, 3))
    world = seen @ truth[:3, :3].T + truth[:3, 3]
    fast, error = register(world, NearestGrid.build(points, normals), np.eye(4))
    plain, plain_error = register_plain(world, points, normals, np.eye(4))
    # The grid knows the surface point nearest to a cell's centre, not to the point; cells are some 3 mm wide.
    assert np.abs(fast - plain)[:3, 3].max() < 5e-4
    assert np.abs(fast - plain)[:3, :3].max() < 0.03
    assert abs(error - plain_error) < 2e-4


def test_register_moves_with_the_world() -> None:
    points, normals, seen = _corner(np.random.default_rng(0))
    grid = NearestGrid.build(points, normals)
    shift = _moved(np.array([0.3, -0.2, 0.5]), np.array([0.4, 1.0, -0.3]))
    start = _moved(np.array([0.005, 0.002, -0.004]), np.array([0.05, 0.0, 0.08]))
    T, _ = register(seen, grid, start)
    moved, _ = register(seen @ shift[:3, :3].T + shift[:3, 3], grid, shift @ start)
    np.testing.assert_allclose(moved, shift @ T, atol=1e-6)


def test_turns_about_an_axis_of_symmetry_stay_as_they_were() -> None:
    points, normals = tube_surface(0.03, 0.09, 0.004)
    seen = points[normals[:, 0] > 0] + np.array([0.01, 0.0, 0.005])
    T, _ = register(seen, NearestGrid.build(points, normals), np.eye(4))
    assert np.abs(T[:2, 3] - [0.01, 0.0]).max() < 1e-3
    assert abs(np.arctan2(T[1, 0], T[0, 0])) < 0.1


def test_register_shuffles_nothing() -> None:
    rng = np.random.default_rng(3)
    points, normals, seen = _corner(rng)
    grid = NearestGrid.build(points, normals)
    order = rng.permutation(len(seen))
    np.testing.assert_allclose(register(seen, grid, np.eye(4))[0], register(seen[order], grid, np.eye(4))[0], atol=1e-9)
