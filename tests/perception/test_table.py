"""The table's plane: right, the same in any world and from any camera, and refused where there is none."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.cloud import DepthError, back_project, project, robot_mask
from armflow.perception.frame import RGBDFrame
from armflow.perception.table import PlaneError, find_table, level_frame
from tests.perception.scenes import block, camera, cup, render

BODIES = [block(0.5, 0.1), cup(0.45, -0.1)]


def look(**view: float) -> RGBDFrame:
    return render(BODIES, camera(**view), rng=np.random.default_rng(0))[0]


@pytest.mark.parametrize(("elevation", "azimuth", "distance"), [(0.75, 0.0, 0.85), (0.5, 0.6, 0.9), (1.2, -0.4, 0.7)])
def test_find_table_is_right_from_any_camera(elevation: float, azimuth: float, distance: float) -> None:
    frame = look(elevation=elevation, azimuth=azimuth, distance=distance)
    plane = find_table(frame, rng=np.random.default_rng(0))
    assert np.arccos(min(1, plane.normal[2])) < np.deg2rad(0.3)
    assert abs(plane.height(np.array([[0.5, 0, 0]]))[0]) < 0.001  # noise of 1 mm, averaged over the table


def test_find_table_turns_with_the_world() -> None:
    frame = look()
    T = RigidTransform.from_components([0.3, -0.2, 0.5], Rotation.from_rotvec([0.3, -0.5, 0.4]))
    moved = replace(frame, T_world_camera=T * frame.T_world_camera)
    first = find_table(frame, rng=np.random.default_rng(0))
    second = find_table(moved, rng=np.random.default_rng(0), up=T.rotation.apply([0, 0, 1.0]))
    np.testing.assert_allclose(second.normal, T.rotation.apply(first.normal), atol=1e-6)
    assert second.offset == pytest.approx(first.offset + second.normal @ T.translation, abs=1e-6)


def test_find_table_without_up_faces_the_camera() -> None:
    frame = look()
    assert find_table(frame, rng=np.random.default_rng(0), up=None).normal[2] > 0.999


def test_level_frame_puts_the_surface_at_zero() -> None:
    frame = replace(look(), T_world_camera=RigidTransform.identity())
    plane = find_table(frame, rng=np.random.default_rng(0), up=None)
    level = find_table(level_frame(frame, plane), rng=np.random.default_rng(0))
    np.testing.assert_allclose([*level.normal, level.offset], [0, 0, 1, 0], atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, 0.0, np.inf, -1.0])
def test_find_table_refuses_frames_without_depth(value: float) -> None:
    frame = look()
    empty = replace(frame, depth=np.full_like(frame.depth, value))
    with pytest.raises(DepthError, match="0 depth readings"):
        find_table(empty, rng=np.random.default_rng(0))


def test_find_table_refuses_clouds_without_a_plane() -> None:
    frame = look()
    noise = replace(frame, depth=np.random.default_rng(0).uniform(0.3, 3.0, frame.depth.shape))
    with pytest.raises(PlaneError, match="no table"):
        find_table(noise, rng=np.random.default_rng(0))


def test_project_undoes_back_project() -> None:
    frame = look()
    points = back_project(frame)[20::40, 20::40].reshape(-1, 3)
    seen = np.isfinite(points[:, 0])
    uv, z = project(points, frame.K, frame.T_world_camera.as_matrix())
    rows, columns = np.mgrid[20:240:40, 20:320:40]
    expected = np.column_stack([columns.ravel(), rows.ravel()])
    np.testing.assert_allclose(uv[seen], expected[seen], atol=1e-6)
    np.testing.assert_allclose(z[seen], frame.depth[20::40, 20::40].ravel()[seen], atol=1e-9)


def test_robot_mask_covers_a_capsule_around_an_object_only() -> None:
    frame, label = render(BODIES, camera(), rng=np.random.default_rng(0))
    end = np.array([[0.5, 0.1, 0.05]])
    mask = robot_mask(frame, np.array([[0.5, 0.1, 0.0]]), end, np.array([0.04]))
    assert (mask & (label == 0)).sum() > 0.8 * (label == 0).sum()
    assert not (mask & (label == 1)).any()
