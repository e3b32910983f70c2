"""Particles followed by pictures: a patterned plate that slides, turns and stretches under one or two cameras."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.cloud import pixel_rays
from armflow.perception.frame import RGBDFrame
from armflow.perception.image_motion import Sight, changed_share, follow_pictures
from armflow.robot.errors import ShapeError

K = np.array([[260.0, 0, 79.5], [0, 260.0, 59.5], [0, 0, 1]])
SHAPE = (120, 160)
HEIGHT = 0.03  # m, of the plate over the table
HALF = 0.09  # m, of its sides
ABOVE = RigidTransform.from_components([0.0, 0.0, 0.6], Rotation.from_euler("x", np.pi))
ASLANT = RigidTransform.from_components([0.0, -0.25, 0.55], Rotation.from_euler("x", np.pi + 0.45))
STILL = np.eye(2), np.zeros(2)


def plate(T_world_camera: RigidTransform, matrix: np.ndarray, shift: np.ndarray) -> RGBDFrame:
    """A plate whose material point m [2] is at matrix m + shift."""
    rays = T_world_camera.rotation.apply(pixel_rays(K, SHAPE).reshape(-1, 3))
    eye = T_world_camera.translation
    top, table = (HEIGHT - eye[2]) / rays[:, 2], -eye[2] / rays[:, 2]
    spot = ((eye + rays * top[:, None])[:, :2] - shift) @ np.linalg.inv(matrix).T
    on_it = (np.abs(spot) < HALF).all(axis=1)
    x, y = spot.T * 90
    shade = 128 + 50 * np.sin(x) * np.cos(1.3 * y + 0.4) + 40 * np.sin(0.6 * x - 0.8 * y)
    rgb = np.where(on_it, shade, 90.0).reshape(*SHAPE, 1).repeat(3, axis=2).astype(np.uint8)
    return RGBDFrame(rgb, np.where(on_it, top, table).reshape(SHAPE), K, T_world_camera, 0.0)


def sight(*frames: RGBDFrame) -> Sight:
    return Sight(frames, tuple(np.zeros(SHAPE, bool) for _ in frames))


def material(count: int = 150) -> np.ndarray:
    """Points of the plate, away from its edges."""
    spots = np.random.default_rng(0).uniform(-0.8 * HALF, 0.8 * HALF, (count, 2))
    return np.column_stack([spots, np.full(count, HEIGHT)])


def moved(points: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return np.column_stack([points[:, :2] @ matrix.T + shift, points[:, 2]])


def turned(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize(
    ("matrix", "shift"),
    [
        (np.eye(2), np.array([0.012, -0.007])),
        (turned(0.08), np.array([0.004, 0.006])),
        (np.diag([1.06, 0.97]), np.zeros(2)),
    ],
    ids=["slides", "turns", "stretches"],
)
@pytest.mark.parametrize("cameras", [(ABOVE,), (ABOVE, ASLANT)], ids=["one", "two"])
def test_every_point_of_a_moved_plate_is_followed(cameras, matrix, shift):
    before = sight(*(plate(camera, *STILL) for camera in cameras))
    now = sight(*(plate(camera, matrix, shift) for camera in cameras))
    places, known = follow_pictures(material(), before, now)
    assert known.mean() > 0.9
    off = np.linalg.norm(places - moved(material(), matrix, shift), axis=1)
    assert off[known].mean() < 0.0012  # half a pixel


def test_a_lifted_plate_is_followed_by_its_depth():
    before = plate(ABOVE, *STILL)
    higher = RigidTransform.from_components([0.0, 0.0, 0.59], ABOVE.rotation)  # 1 cm nearer is a plate 1 cm higher
    now = replace(plate(higher, *STILL), T_world_camera=ABOVE)
    places, known = follow_pictures(material(), sight(before), sight(now))
    assert known.mean() > 0.9
    np.testing.assert_allclose(places[known].mean(0) - material()[known].mean(0), [0, 0, 0.01], atol=0.0012)


def test_moving_the_world_moves_the_places():
    far = RigidTransform.from_components([0.4, -0.2, 0.1], Rotation.from_euler("z", 0.7))
    before, now = plate(ABOVE, *STILL), plate(ABOVE, np.eye(2), np.array([0.01, 0.0]))
    here, known = follow_pictures(material(), sight(before), sight(now))
    there, also = follow_pictures(
        far.apply(material()), *(sight(replace(f, T_world_camera=far * ABOVE)) for f in (before, now))
    )
    assert (known == also).all()
    np.testing.assert_allclose(there, far.apply(here), atol=1e-6)


def test_what_a_robot_covers_stays_unknown_and_where_it_was():
    before, now = plate(ABOVE, *STILL), plate(ABOVE, np.eye(2), np.array([0.01, 0.0]))
    cover = np.zeros(SHAPE, bool)
    cover[:, :80] = True
    places, known = follow_pictures(material(), sight(before), Sight((now,), (cover,)))
    assert not known[material()[:, 0] < -0.02].any()
    np.testing.assert_array_equal(places[~known], material()[~known])


def test_without_depth_nothing_is_known():
    blind = replace(plate(ABOVE, *STILL), depth=np.full(SHAPE, np.nan))
    places, known = follow_pictures(material(), sight(plate(ABOVE, *STILL)), sight(blind))
    assert not known.any()
    np.testing.assert_array_equal(places, material())


def test_a_shadow_on_a_plate_at_rest_is_no_change_and_a_slide_is_one():
    before = plate(ABOVE, *STILL)
    shadow = before.rgb.copy()
    shadow[:, 60:90] //= 2
    assert changed_share(material(), sight(before), sight(replace(before, rgb=shadow)), 0.0) == 0.0
    slid = plate(ABOVE, np.eye(2), np.array([0.01, 0.0]))
    assert changed_share(material(), sight(before), sight(slid), 0.0) > 0.03


def test_frames_need_masks_of_their_size():
    frame = plate(ABOVE, *STILL)
    with pytest.raises(ShapeError):
        Sight((), ())
    with pytest.raises(ShapeError):
        Sight((frame,), (np.zeros((3, 4), bool),))


@pytest.mark.parametrize("points", [np.full((4, 3), np.nan), np.zeros((4, 2))])
def test_points_that_are_none_are_refused(points):
    both = sight(plate(ABOVE, *STILL))
    with pytest.raises(ShapeError):
        follow_pictures(points, both, both)
