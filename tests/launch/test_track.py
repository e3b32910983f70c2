"""`armflow track` on a drawn bar that a hand takes along: columns, figures, going on, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

from armflow.launch import cli
from armflow.launch.track_episode import follow, score
from armflow.launch.train_dynamics import load_scenes
from armflow.launch.twin_clip import load_clip
from armflow.launch.twin_find import NoObjectError
from armflow.learning.store import open_dataset
from tests.launch.bar_world import SPEED, write_bar


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_bar(tmp_path_factory.mktemp("data") / "bar")


def track(data: Path, out: Path, *more: str) -> int:
    return cli.main(["track", str(data), "--out", str(out), "--views", "3", "--particles", "80", *more])


def test_seen_tracks_are_a_dataset_that_dynamics_train_on(data, tmp_path):
    assert track(data, tmp_path / "seen") == 0
    (truth,), _ = load_scenes(data)
    (seen,), _ = load_scenes(tmp_path / "seen")
    assert seen.tracks.shape == (len(truth.tracks), 80, 3)
    np.testing.assert_array_equal(seen.tool, truth.tool)
    assert open_dataset(tmp_path / "seen").schema.extra["tracks"] == "seen from 3 views"


def test_particles_go_as_far_as_the_bar_does(data):
    seen = follow(load_clip(data), 80, 3)
    assert (seen.found, seen.lost) == (0, 0.0)
    way = SPEED * (45 / 30 - 0.5)
    np.testing.assert_allclose((seen.tracks[-1] - seen.tracks[0]).mean(0), [0.0, way, 0.0], atol=0.006)
    assert np.abs(seen.tracks[14] - seen.tracks[0]).mean() < 0.002  # it rests until then


def test_the_report_tells_the_error_beside_that_of_following_nothing(data, tmp_path, capsys):
    assert track(data, tmp_path / "seen") == 0
    (row,) = json.loads((tmp_path / "seen" / "report.json").read_text())["episodes"]
    assert row["material_error"] < 0.5 * row["unmoved_error"]
    assert row["chamfer"] < 0.02
    assert "material_error" in capsys.readouterr().out


def test_the_same_recording_gives_the_same_tracks(data):
    clip = load_clip(data)
    np.testing.assert_array_equal(follow(clip, 80, 6).tracks, follow(clip, 80, 6).tracks)


def test_tracks_that_are_there_are_not_made_again(data, tmp_path, capsys):
    assert track(data, tmp_path / "seen") == 0
    before = (tmp_path / "seen" / "report.json").read_text()
    capsys.readouterr()
    assert track(data, tmp_path / "seen") == 0
    assert "material_error" not in capsys.readouterr().out
    assert (tmp_path / "seen" / "report.json").read_text() == before


def test_perfect_tracks_have_no_error():
    truth = np.random.default_rng(0).normal(size=(5, 40, 3))
    assert score(truth, truth)["material_error"] == score(truth, truth)["chamfer"] == 0.0
    assert score(truth, None) == {}


def test_more_particles_than_are_seen_are_refused(data):
    with pytest.raises(NoObjectError, match="--particles"):
        follow(load_clip(data), 90000, 3)


@pytest.mark.parametrize(
    ("more", "words"),
    [(("--views", "9"), "at most 3"), (("--views", "0"), "at least 1"), (("--stride", "0"), "at least 1")],
)
def test_options_out_of_range_are_refused(data, tmp_path, capsys, more, words):
    assert track(data, tmp_path / "seen", *more) != 0
    assert words in "".join(capsys.readouterr())


def test_a_recording_without_a_hand_is_refused(tmp_path, capsys):
    bar = write_bar(tmp_path / "bar", interaction=False)
    assert track(bar, tmp_path / "seen") != 0
    assert "no hand's path" in "".join(capsys.readouterr())
