"""Several views of one object as one cloud."""

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.frame import RGBDFrame
from armflow.perception.fuse import fuse_views

K = np.array([[100.0, 0, 39.5], [0, 100.0, 29.5], [0, 0, 1]])
CLEAR = np.zeros((60, 80), bool)
OBJECT = np.array([[0.0, 0.0, 0.05]])


def above(x: float) -> RGBDFrame:
    """A camera 1 m above x that looks straight down on a flat thing 0.05 m high and 0.1 m wide, and the table."""
    rays = (np.arange(80) - K[0, 2]) / K[0, 0]
    on_it = np.abs(x + 0.95 * rays) < 0.05
    depth = np.tile(np.where(on_it, 0.95, 1.0), (60, 1))
    pose = RigidTransform.from_components([x, 0.0, 1.0], Rotation.from_euler("x", np.pi))
    return RGBDFrame(np.zeros((60, 80, 3), np.uint8), depth, K, pose, 0.0)


def test_views_agree_and_the_table_stays_out():
    cloud = fuse_views([above(0.0), above(0.1)], [CLEAR, CLEAR], OBJECT, 0.0)
    assert np.allclose(cloud[:, 2], 0.05)
    assert np.abs(cloud[:, 0]).max() < 0.05 + 1e-9


def test_more_views_add_no_second_copy():
    one, two = (fuse_views([above(0.0)] * n, [CLEAR] * n, OBJECT, 0.0) for n in (1, 2))
    assert np.allclose(one, two)


def test_masked_pixels_give_no_points():
    assert fuse_views([above(0.0)], [~CLEAR], OBJECT, 0.0).shape == (0, 3)
