"""Interaction with things that bend: points stay with the surface, moves keep their speed."""

import numpy as np
import pytest

from armflow.envs.deformable.tracks import draw_track_points
from armflow.launch.play_deformable import soft_schema
from armflow.launch.play_deformable_script import draw_moves
from armflow.launch.play_episode import PlaySpec
from armflow.robot.errors import ValueRangeError

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def test_track_points_follow_an_affine_motion():
    points = draw_track_points(SQUARE, HALVES, 50, rng=np.random.default_rng(0))
    motion, shift = np.random.default_rng(1).normal(size=(3, 3)), np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(points.at(SQUARE @ motion + shift), points.at(SQUARE) @ motion + shift, atol=1e-12)


def test_track_points_are_even_by_area():
    stretched = SQUARE.copy()
    stretched[3, 1] = 3.0  # the second triangle has three times the area of the first
    points = draw_track_points(stretched, HALVES, 400, rng=np.random.default_rng(0))
    assert (points.corners == HALVES[0]).all(axis=1).sum() == 100


def test_a_surface_without_area_is_refused():
    with pytest.raises(ValueRangeError, match="area"):
        draw_track_points(np.zeros((3, 3)), np.array([[0, 1, 2]]), 5, rng=np.random.default_rng(0))


def test_moves_end_and_keep_above_the_table():
    rng = np.random.default_rng(0)
    line = np.column_stack([np.linspace(0.3, 0.5, 100), np.zeros(100), np.full(100, 0.01)])
    now = np.array([0.42, 0.0, 0.15, 0.0, 1.0, 0.0, 0.0, 1.0])
    for _ in range(20):
        for move in draw_moves(now, line, (0.42, 0.0), rng=rng):
            for _ in range(600):
                after = move.advance(now)
                assert np.linalg.norm(after[:3] - now[:3]) <= move.speed / 30 + 1e-9
                assert after[2] > 0
                now = after
                if move.over:
                    break
            assert move.over


def test_pictures_are_refused_by_name():
    with pytest.raises(ValueRangeError, match="--images"):
        soft_schema(PlaySpec("RopeShape", 0, images=True))
