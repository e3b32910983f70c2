"""Several views of one object as one cloud."""

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.frame import RGBDFrame
from armflow.perception.fuse import Thing, find_things, fuse_views, thing_colors
from armflow.perception.gaussian_masks import ObjectColors
from tests.perception import scenes

K = np.array([[100.0, 0, 39.5], [0, 100.0, 29.5], [0, 0, 1]])
CLEAR = np.zeros((60, 80), bool)
NO_COLORS = ObjectColors(np.zeros((48, 48, 16), bool))
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
    cloud = fuse_views([above(0.0), above(0.1)], [CLEAR, CLEAR], OBJECT, 0.0, NO_COLORS)
    assert np.allclose(cloud[:, 2], 0.05)
    assert np.abs(cloud[:, 0]).max() < 0.05 + 1e-9


def test_more_views_add_no_second_copy():
    one, two = (fuse_views([above(0.0)] * n, [CLEAR] * n, OBJECT, 0.0, NO_COLORS) for n in (1, 2))
    assert np.allclose(one, two)


def test_masked_pixels_give_no_points():
    assert fuse_views([above(0.0)], [~CLEAR], OBJECT, 0.0, NO_COLORS).shape == (0, 3)


def things(*bodies: scenes.Body, eyes: tuple[RigidTransform, ...] = EYES) -> list[Thing]:
    frames = [scenes.render(bodies, eye, rng=np.random.default_rng(0))[0] for eye in eyes]
    nothing = [np.zeros(frame.depth.shape, bool) for frame in frames]
    return find_things(frames, nothing, 0.0)


def test_one_thing_in_two_views_is_one_thing_seen_from_more_sides():
    (alone,) = things(scenes.block(0.5, 0.0), eyes=EYES[:1])
    (both,) = things(scenes.block(0.5, 0.0))
    assert len(both.points) > 1.5 * len(alone.points)
    assert np.abs(both.points[:, :2].mean(0) - [0.5, 0.0]).max() < 0.01


def test_parts_of_two_colours_that_touch_are_one_thing_and_others_are_not():
    found = things(
        scenes.block(0.5, 0.0), scenes.block(0.5, 0.045, color="blue"), scenes.block(0.5, -0.12, color="green")
    )
    assert len(found) == 2
    assert np.ptp(found[0].points[:, 1]) > 0.08 > 0.06 > np.ptp(found[1].points[:, 1])


def test_an_empty_table_shows_no_things():
    assert things() == []


def test_without_any_reading_there_are_no_things():
    frame = scenes.render([scenes.block(0.5, 0.0)], EYES[0], rng=np.random.default_rng(0))[0]
    blind = RGBDFrame(frame.rgb, np.full(frame.depth.shape, np.nan), frame.K, frame.T_world_camera, 0.0)
    assert find_things([blind], [np.zeros(frame.depth.shape, bool)], 0.0) == []


def test_what_lies_flat_is_seen_by_its_colour_and_the_table_about_it_is_not():
    frame, truth = scenes.render([scenes.disc(0.5, 0.0)], EYES[0], rng=np.random.default_rng(0))
    nothing = np.zeros(truth.shape, bool)
    (disc,) = find_things([frame], [nothing], 0.0)
    colors = thing_colors([frame], disc, 0.0)
    cloud = fuse_views([frame], [nothing], disc.points, 0.0, colors)
    reach = np.linalg.norm(cloud[:, :2] - [0.5, 0.0], axis=1)
    assert len(cloud) > 0.8 * np.pi * 0.05**2 / 0.004**2  # one point for each cell of the disc, 4 mm high
    assert np.quantile(reach, 0.98) < 0.053


def test_the_first_cloud_is_what_is_seen_when_nothing_has_moved():
    frames = [scenes.render([scenes.block(0.5, 0.0)], eye, rng=np.random.default_rng(0))[0] for eye in EYES]
    nothing = [np.zeros(frame.depth.shape, bool) for frame in frames]
    (block,) = find_things(frames, nothing, 0.0)
    colors = thing_colors(frames, block, 0.0)
    first = fuse_views(frames, [~mask for mask in block.masks], block.points, 0.0, colors)
    again = fuse_views(frames, nothing, first, 0.0, colors)
    assert cKDTree(again).query(first)[0].max() < 0.004
    assert len(again) < 1.1 * len(first)
