"""Interaction with things that bend: points stay with the surface, moves keep their speed."""

import numpy as np
import pytest

from armflow.envs.deformable.body import Ranges
from armflow.envs.deformable.touch import HABITS, Touching
from armflow.envs.deformable.tracks import draw_track_points
from armflow.launch import cli
from armflow.launch import play_deformable as home
from armflow.launch.play_deformable import play_soft, soft_schema
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


@pytest.mark.parametrize("category", HABITS)
def test_moves_end_and_keep_above_the_table(category):
    touching = Touching((0.42, 0.0), category, rng=np.random.default_rng(0))
    line = np.column_stack([np.linspace(0.3, 0.5, 100), np.zeros(100), np.full(100, 0.01)])
    now = np.array([0.42, 0.0, 0.15, 0.0, 1.0, 0.0, 0.0, 1.0])
    for _ in range(20):
        for move in touching.draw(now, line):
            for _ in range(600):
                after = move.advance(now)
                assert np.linalg.norm(after[:3] - now[:3]) <= move.speed / 30 + 1e-9
                assert after[2] > 0
                now = after
                if move.over:
                    break
            assert move.over


def test_a_recording_with_pictures_says_where_its_cameras_stand():
    schema = soft_schema(PlaySpec("RopeShape", 0, images=True, camera=(64, 48), views=3))
    assert list(schema.extra["cameras"]) == ["bench", "left", "right"]
    assert schema.features["observation.depth.left"].shape == (48, 64)
    eye = np.array(schema.extra["cameras"]["left"]["extrinsics"])[:3, 3]
    assert eye[1] > 0.5 > 0.2 > abs(schema.extra["cameras"]["bench"]["extrinsics"][1][3])


def test_material_points_lie_on_what_the_cameras_see(monkeypatch):
    monkeypatch.setattr(home, "SECONDS", (0.1, 0.1))
    spec = PlaySpec("RopeShape", 1, images=True, camera=(320, 240), views=2)
    arrays, cameras = play_soft(spec).recording.arrays, soft_schema(spec).extra["cameras"]
    for name, camera in cameras.items():
        T_world_camera = np.array(camera["extrinsics"])
        seen = (arrays["tracks"][0] - T_world_camera[:3, 3]) @ T_world_camera[:3, :3]
        u, v, w = (seen @ np.array(camera["intrinsics"]).T).T
        rows, columns = np.rint(v / w).astype(int), np.rint(u / w).astype(int)
        depth = arrays[f"observation.depth.{name}"][0, rows, columns] * camera["depth_scale"]
        assert np.median(np.abs(depth - w)) < 0.012  # m: half a rope's thickness, and the sensor's noise


def test_five_cameras_are_refused_by_name():
    with pytest.raises(ValueRangeError, match="--views"):
        soft_schema(PlaySpec("RopeShape", 0, images=True, views=5))


def test_ranges_scale_the_same_draw():
    names = ("size", "radius", "stiffness", "mass")
    usual, beyond = (ranges.draw(names, rng=np.random.default_rng(3)) for ranges in (Ranges(), Ranges((1.0, 1.5))))
    assert usual["size"] == beyond["size"]
    assert beyond["mass"] == pytest.approx(1.0 + 0.5 * usual["mass"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--task", "PlayTable", "--views", "2"], "--views"),
        (["--task", "PlayTable", "--material", "0", "0.5"], "--material"),
        (["--task", "RopeShape", "--material", "0.9", "0.5"], "material"),
        (["--task", "RopeShape", "--source", "keyboard"], "--source"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(tmp_path, capsys, more, words):
    assert cli.main(["play", "record", "--out", str(tmp_path / "data"), *more]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
