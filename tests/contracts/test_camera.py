"""What every `Camera` keeps."""

import numpy as np
import pytest

from armflow.envs.sensor import DepthSensor
from armflow.envs.sim_camera import SimCamera, bench_camera
from armflow.perception.frame import Camera

SENSORS = {"SimCamera": DepthSensor(), "SimCamera without noise": None}


@pytest.fixture(params=SENSORS)
def camera(request, world):
    return SimCamera(world.world, bench_camera(world.arm.model), SENSORS[request.param])


def test_a_camera_has_the_method(camera):
    assert isinstance(camera, Camera)


def test_depth_is_metres_or_nan(camera):
    depth = camera.read().depth
    seen = depth[np.isfinite(depth)]
    assert seen.size > 0.7 * depth.size
    assert not np.isinf(depth).any()
    assert ((seen > 0.1) & (seen < 10.0)).all()


def test_the_pose_is_rigid_and_the_middle_is_in_the_picture(camera):
    frame = camera.read()
    R = frame.T_world_camera.rotation.as_matrix()
    height, width = frame.depth.shape
    assert np.allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) > 0
    assert 0 < frame.K[0, 2] < width
    assert 0 < frame.K[1, 2] < height


def test_a_read_leaves_earlier_frames_alone(camera):
    first = camera.read()
    copy = first.depth.copy()
    camera.read()
    assert np.array_equal(first.depth, copy, equal_nan=True)


def test_time_does_not_run_back(camera):
    assert camera.read().stamp <= camera.read().stamp
