"""Several views of one object as one cloud."""

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.frame import RGBDFrame
from armflow.perception.fuse import find_things, fuse_views
from tests.perception import scenes

K = np.array([[100.0, 0, 39.5], [0, 100.0, 29.5], [0, 0, 1]])
CLEAR = np.zeros((60, 80), bool)
OBJECT = np.array([[0.0, 0.0, 0.05]])
EYES = (scenes.camera(azimuth=0.0), scenes.camera(azimuth=1.0))


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


def things(*bodies: scenes.Body, eyes: tuple[RigidTransform, ...] = EYES) -> list[np.ndarray]:
    frames = [scenes.render(bodies, eye, rng=np.random.default_rng(0))[0] for eye in eyes]
    nothing = [np.zeros(frame.depth.shape, bool) for frame in frames]
    return find_things(frames, nothing, 0.0, rng=np.random.default_rng(0))


def test_one_thing_in_two_views_is_one_thing_seen_from_more_sides():
    (alone,) = things(scenes.block(0.5, 0.0), eyes=EYES[:1])
    (both,) = things(scenes.block(0.5, 0.0))
    assert len(both) > 1.5 * len(alone)
    assert np.abs(both[:, :2].mean(0) - [0.5, 0.0]).max() < 0.01


def test_parts_of_two_colours_that_touch_are_one_thing_and_others_are_not():
    found = things(
        scenes.block(0.5, 0.0), scenes.block(0.5, 0.045, color="blue"), scenes.block(0.5, -0.12, color="green")
    )
    assert len(found) == 2
    assert np.ptp(found[0][:, 1]) > 0.08 > 0.06 > np.ptp(found[1][:, 1])


def test_an_empty_table_shows_no_things():
    assert things() == []


def test_without_any_reading_there_are_no_things():
    frame = scenes.render([scenes.block(0.5, 0.0)], EYES[0], rng=np.random.default_rng(0))[0]
    blind = RGBDFrame(frame.rgb, np.full(frame.depth.shape, np.nan), frame.K, frame.T_world_camera, 0.0)
    assert find_things([blind], [np.zeros(frame.depth.shape, bool)], 0.0, rng=np.random.default_rng(0)) == []
