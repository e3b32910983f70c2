"""Particles of things that bend, followed from cloud to cloud."""

import numpy as np
import pytest

from armflow.perception.cloud import farthest_points
from armflow.perception.shape_track import ShapeTracker, ShapeTrackerConfig
from armflow.robot.errors import ShapeError, ValueRangeError

SMALL = ShapeTrackerConfig(count=120)


def strip(bend: float = 0.0, count: int = 900, seed: int = 0) -> np.ndarray:
    """Points of a strip 0.3 m long and 0.02 m wide on the table, bent to an arc of `bend` rad; rows are material."""
    rng = np.random.default_rng(seed)
    along, across = rng.uniform(-0.15, 0.15, count), rng.uniform(-0.01, 0.01, count)
    if bend == 0.0:
        return np.column_stack([along, across, np.full(count, 0.01)])
    radius = 0.3 / bend
    angle = along / radius
    return np.column_stack(
        [(radius - across) * np.sin(angle), radius - (radius - across) * np.cos(angle), np.full(count, 0.01)]
    )


def moved(cloud: np.ndarray, yaw: float, shift: list[float]) -> np.ndarray:
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    return cloud @ turn.T + shift


def material(cloud: np.ndarray) -> np.ndarray:
    """Rows of the cloud that became particles."""
    return farthest_points(cloud, SMALL.count)


def test_what_does_not_move_stays():
    cloud = strip()
    tracker = ShapeTracker(cloud, SMALL)
    assert tracker.follow(cloud) < 0.004  # half the distance between particles
    assert np.linalg.norm(tracker.points - tracker.rest, axis=1).mean() < 0.002


def test_a_moved_strip_is_followed_particle_by_particle():
    cloud = strip()
    tracker = ShapeTracker(cloud, SMALL)
    for share in np.linspace(0.2, 1.0, 5):
        tracker.follow(moved(strip(seed=9), 0.3 * share, [0.0, 0.05 * share, 0.0]))
    truth = moved(cloud, 0.3, [0.0, 0.05, 0.0])[material(cloud)]
    assert (
        np.linalg.norm(tracker.points - truth, axis=1).mean() < 0.008
    )  # how far it slid along itself shows at its ends only


def test_a_bending_strip_is_followed_particle_by_particle():
    tracker = ShapeTracker(strip(), SMALL)
    for bend in np.linspace(0.2, 1.2, 6):
        tracker.follow(strip(bend, seed=9))
    truth = strip(1.2)[material(strip())]
    assert np.linalg.norm(tracker.points - truth, axis=1).mean() < 0.006


def test_the_object_does_not_stretch_to_a_cloud_that_is_too_long():
    tracker = ShapeTracker(strip(), SMALL)
    tracker.follow(strip() * [1.3, 1.0, 1.0])
    assert np.ptp(tracker.points[:, 0]) < 1.05 * np.ptp(tracker.rest[:, 0])


def test_what_the_hand_hides_goes_with_the_hand():
    tracker = ShapeTracker(strip(), SMALL)
    T = np.eye(4)
    T[:3, 3] = [0.14, 0.0, 0.01]
    assert tracker.hold(T) > 0
    before = tracker.points.copy()
    T[:3, 3] += [0.0, 0.04, 0.02]
    cloud = strip()
    held = np.linalg.norm(before - [0.14, 0.0, 0.01], axis=1) < SMALL.grip
    tracker.follow(cloud[cloud[:, 0] < 0.05], hidden=before[:, 0] > 0.05, T_world_tip=T)
    np.testing.assert_allclose(tracker.points[held], before[held] + [0.0, 0.04, 0.02], atol=1e-9)


def test_moving_the_world_moves_the_particles():
    here, there = ShapeTracker(strip(), SMALL), ShapeTracker(moved(strip(), 0.7, [0.3, -0.2, 0.0]), SMALL)
    here.follow(strip(0.3, seed=9))
    there.follow(moved(strip(0.3, seed=9), 0.7, [0.3, -0.2, 0.0]))
    np.testing.assert_allclose(there.points, moved(here.points, 0.7, [0.3, -0.2, 0.0]), atol=1e-6)


def test_nothing_sinks_below_the_floor():
    tracker = ShapeTracker(strip(), SMALL)
    tracker.follow(strip() - [0.0, 0.0, 0.03], floor=0.004)
    assert tracker.points[:, 2].min() >= 0.004


@pytest.mark.parametrize("cloud", [np.zeros((0, 3)), np.zeros((1, 3)), np.full((5, 3), np.nan), np.zeros((4, 2))])
def test_a_cloud_without_shape_is_refused(cloud):
    with pytest.raises(ShapeError):
        ShapeTracker(cloud)
    with pytest.raises(ShapeError):
        ShapeTracker(strip(), SMALL).follow(cloud)


@pytest.mark.parametrize("wrong", [{"count": 1}, {"pull": 0.0}, {"rounds": 0}, {"grip": -0.01}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueRangeError):
        ShapeTrackerConfig(**wrong)


def test_a_hand_that_closed_on_nothing_pushes_what_it_touches_later():
    tracker = ShapeTracker(strip(), SMALL)
    away, touching = np.eye(4), np.eye(4)
    away[:3, 3], touching[:3, 3] = [0.0, 0.3, 0.01], [0.14, 0.0, 0.01]
    assert tracker.hold(away) == 0
    assert tracker.hold(touching) == 0
    tracker.release()
    assert tracker.hold(touching) > 0


def test_what_is_seen_where_the_hand_is_not_has_slipped_out_of_it():
    tracker = ShapeTracker(strip(), SMALL)
    T = np.eye(4)
    T[:3, 3] = [0.14, 0.0, 0.01]
    assert tracker.hold(T) > 0
    T[:3, 3] += [0.0, 0.2, 0.1]
    assert tracker.follow(strip(seed=9), T_world_tip=T) < SMALL.lost
    assert not tracker.holds
    assert np.linalg.norm(tracker.points - tracker.rest, axis=1).mean() < 0.004


def test_particles_out_of_sight_go_as_those_near_them():
    tracker = ShapeTracker(strip(), SMALL)
    known = tracker.points[:, 0] < 0.05
    before, shift = tracker.points.copy(), np.array([0.03, 0.01, 0.0])
    tracker.carry(before + np.where(known[:, None], shift, 9.0), known)
    np.testing.assert_allclose(tracker.points, before + shift, atol=1e-12)


def test_places_that_are_none_are_refused():
    tracker = ShapeTracker(strip(), SMALL)
    with pytest.raises(ShapeError):
        tracker.carry(np.full_like(tracker.points, np.nan), np.ones(len(tracker.points), bool))
    with pytest.raises(ShapeError):
        tracker.carry(tracker.points[:-1], np.ones(len(tracker.points) - 1, bool))
