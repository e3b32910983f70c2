"""The tracker: still, moved, hidden and found again, knocked away; and honest about what it sees."""

import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.cloud import project
from armflow.perception.detection import Detection
from armflow.perception.frame import RGBDFrame
from armflow.perception.registration import NearestGrid, register, register_plain
from armflow.perception.segment import perceive
from armflow.perception.surface import box_surface
from armflow.perception.track import PointTracker, TrackerConfig, TrackerError
from tests.perception.scenes import Body, block, camera, cup, pose, render

AWAY = cup(0.35, -0.25)


def shot(*bodies: Body, seed: int = 1) -> RGBDFrame:
    return render([*bodies, AWAY], camera(), rng=np.random.default_rng(seed))[0]


def red(frame: RGBDFrame) -> Detection:
    found = perceive(frame, rng=np.random.default_rng(0)).detections
    return next(d for d in found if d.color == "red")


def started(*bodies: Body) -> PointTracker:
    frame = shot(*bodies, seed=0)
    tracker = PointTracker()
    tracker.start(frame, red(frame))
    return tracker


def wall() -> Body:
    return block(0.57, 0.0, 0.0, (0.02, 0.16, 0.14), "green")  # between the camera and the block


def moved_points(tracker: PointTracker, before: RigidTransform, after: RigidTransform) -> np.ndarray:
    return (after * before.inv()).apply(tracker.points_start)


def test_still_objects_stay() -> None:
    errors = []
    for yaw in (0.0, 0.3, 0.5, 0.7, 1.1):
        tracker = started(block(0.5, 0, yaw))
        for seed in range(1, 4):
            tracked = tracker.update(shot(block(0.5, 0, yaw), seed=seed))
        assert not tracked.lost
        assert tracked.visible.mean() > 0.6
        errors.append(np.linalg.norm(tracked.points_world - tracker.points_start, axis=1).max())
    assert np.median(errors) < 0.003
    assert max(errors) < 0.010  # where the size was found 5 mm too large, the block may slide within it


@pytest.mark.parametrize("step", [(0.05, 0.0, 0.0), (-0.035, 0.035, 0.0), (0.0, 0.05, 0.3)])
def test_a_jump_of_5_cm_is_followed(step: tuple[float, float, float]) -> None:
    first, second = block(0.5, 0, 0.7), block(0.5 + step[0], step[1], 0.7 + step[2])
    tracker = started(first)
    tracked = tracker.update(shot(second))
    expected = moved_points(tracker, first.T_world_object, second.T_world_object)
    assert not tracked.lost
    assert np.median(np.linalg.norm(tracked.points_world - expected, axis=1)) < 0.006  # two pixels of 2.8 mm


def test_a_steady_motion_is_followed_to_its_end() -> None:
    tracker, first = started(block(0.45, -0.1)), block(0.45, -0.1)
    for k in range(1, 21):
        last = block(0.45 + 0.005 * k, -0.1 + 0.01 * k, 0.04 * k)
        tracked = tracker.update(shot(last, seed=k))
    expected = moved_points(tracker, first.T_world_object, last.T_world_object)
    assert np.median(np.linalg.norm(tracked.points_world - expected, axis=1)) < 0.005


def test_a_hidden_object_is_lost_and_found_again() -> None:
    tracker = started(block(0.5, 0, 0.3))
    hidden = tracker.update(shot(block(0.5, 0, 0.3), wall()))
    assert hidden.lost
    assert not hidden.visible.any()
    assert np.isnan(hidden.residual)
    back = tracker.update(shot(block(0.46, 0.12, 0.5), seed=2))
    assert not back.lost
    assert np.linalg.norm(back.T_world_object[:2, 3] - [0.46, 0.12]) < 0.005


def test_an_object_knocked_far_away_is_found() -> None:
    tracker = started(block(0.5, 0, 0.3))
    tracked = tracker.update(shot(block(0.62, 0.24, 1.0)))
    assert not tracked.lost
    assert np.linalg.norm(tracked.T_world_object[:2, 3] - [0.62, 0.24]) < 0.005


def test_a_removed_object_is_lost() -> None:
    assert started(block(0.5, 0, 0.3)).update(shot()).lost


def test_visible_points_lie_on_the_object_in_the_picture() -> None:
    tracker, body = started(block(0.5, 0, 0.3)), block(0.52, 0.02, 0.4)
    half = block(0.58, -0.075, 0.0, (0.02, 0.16, 0.14), "green")
    frame, label = render([body, half, AWAY], camera(), rng=np.random.default_rng(1))
    tracked = tracker.update(frame)
    uv, _ = project(tracked.points_world, frame.K, frame.T_world_camera.as_matrix())
    column, row = np.round(uv).astype(int).T
    on_object = label[row, column] == 0
    assert 0.1 < tracked.visible.mean() < 0.95
    assert on_object[tracked.visible].mean() > 0.95
    assert not tracked.visible[label[row, column] == 1].any()


def test_points_inside_the_robot_are_not_the_object() -> None:
    tracker, body = started(block(0.5, 0, 0.3)), block(0.5, 0, 0.3)
    capsules = (np.array([[0.5, 0, 0.0]]), np.array([[0.5, 0, 0.05]]), np.array([0.06]))
    assert tracker.update(shot(body), capsules).lost


def test_a_prediction_is_kept_while_nothing_is_seen() -> None:
    tracker = started(block(0.5, 0, 0.3))
    predicted = pose(0.4, 0.3, 0.1).as_matrix()
    tracked = tracker.update(shot(), predicted=predicted)
    np.testing.assert_allclose(tracked.T_world_object, predicted)


def test_no_more_points_than_asked_are_followed() -> None:
    frame = shot(block(0.5, 0))
    tracker = PointTracker(TrackerConfig(points=40))
    tracker.start(frame, red(frame))
    assert len(tracker.points_start) <= 40


def test_update_before_start_is_refused() -> None:
    with pytest.raises(TrackerError, match="call start"):
        PointTracker().update(shot())


def test_register_matches_its_plain_reference() -> None:
    surface, normals = box_surface(np.array([0.05, 0.04, 0.045]), 0.004)
    T = RigidTransform.from_components([0.004, -0.003, 0.002], Rotation.from_rotvec([0.05, -0.03, 0.08]))
    seen = T.apply(surface[(normals @ [0.5, 0.3, 0.8]) > 0.2])
    grid = NearestGrid.build(surface, normals)
    fast, error = register(seen, grid, np.eye(4))
    plain, _ = register_plain(seen, surface, normals, np.eye(4))
    np.testing.assert_allclose(fast[:3, 3], plain[:3, 3], atol=1.5e-3)  # the grid rounds to its cells
    assert error < 0.003
