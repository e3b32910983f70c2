"""`armflow twin` on a drawn world: files, scores, the video along a path, refusals, and what a stop leaves behind."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform

from armflow.launch import cli, twin_film
from armflow.launch.media import read_video
from armflow.launch.twin import Twin
from armflow.launch.twin_clip import HandPath, load_clip
from armflow.launch.twin_find import NoObjectError, _choose
from armflow.launch.twin_motion import moved_twins, point_errors, summarise
from armflow.launch.twin_page import score_chart
from armflow.perception.detection import Detection
from armflow.perception.gaussian_files import read_ply
from armflow.perception.gaussians import GaussianObject
from armflow.perception.particles import ObjectState
from armflow.planning.dynamics import make_dynamics, save_dynamics
from armflow.robot.errors import ShapeError
from tests.launch.bar_world import HALF, draw, write_bar

BRISK = ("--steps", "60", "--particles", "60")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_bar(tmp_path_factory.mktemp("data") / "bar")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "with_tool"
    save_dynamics(folder, "move_with_tool", make_dynamics("move_with_tool"))
    return folder


@pytest.fixture(scope="module")
def followed(data, model, tmp_path_factory) -> Path:
    """The results of a twin that follows the recorded hand."""
    out = tmp_path_factory.mktemp("out") / "twin"
    words = ["--frames", str(data), "--path", "recorded", "--model", str(model), "--seconds", "1.2", "--out", str(out)]
    assert cli.main(["twin", *words, *BRISK]) == 0
    return out


def test_the_twin_is_written_and_looks_like_the_object(followed):
    report = json.loads((followed / "report.json").read_text())
    gaussians = read_ply(followed / "twin.ply")
    assert len(gaussians) == report["gaussians"]
    assert (followed / "twin.splat").stat().st_size == 32 * len(gaussians)
    outside = np.abs(gaussians.means_world - [0.4, -0.03, HALF[2]]) - HALF
    assert outside.max() < 0.01
    assert [row["used"] for row in report["views"].values()] == [True, True, False]
    used, held_out = ([row for row in report["views"].values() if row["used"] is kind] for kind in (True, False))
    assert min(row["iou"] for row in used) > 0.9
    assert min(row["psnr"] for row in used) > 24
    assert held_out[0]["iou"] > 0.6  # it sees a side that the others do not


def test_moving_with_the_hand_is_nearer_to_the_recording_than_staying(followed):
    motion = json.loads((followed / "report.json").read_text())["motion"]
    predicted, still = (motion["twins"][name] for name in ("predicted", "nothing moves"))
    assert predicted["mean"]["iou"] > still["mean"]["iou"] + 0.1
    assert predicted["mean"]["psnr"] > still["mean"]["psnr"] + 2
    assert predicted["mean"]["point"] < 0.5 * still["mean"]["point"]
    assert all(
        len(curve) == len(motion["times"]) for row in motion["twins"].values() for curve in row["curves"].values()
    )


def test_video_and_page_show_every_moment_and_every_curve(followed):
    motion = json.loads((followed / "report.json").read_text())["motion"]
    film, rate = read_video(followed / "twin.mp4")
    assert (len(film), rate) == (len(motion["times"]), 30)
    page = (followed / "report.html").read_text()
    assert page.count("<polyline") == 8
    assert "data:video/mp4" in page
    assert "data:image/png" in page


def test_a_path_of_ones_own_is_filmed_without_scores(data, model, tmp_path):
    states = np.zeros((11, 8))
    states[:, :3], states[:, 4] = [0.4, -0.03, 0.03], 1.0
    states[:, 1] -= np.linspace(0.0, 0.1, 11)
    np.savez(tmp_path / "path.npz", states=states, period=0.1)
    words = ["--frames", str(data), "--path", str(tmp_path / "path.npz"), "--model", str(model), "--out", str(tmp_path)]
    assert cli.main(["twin", *words, *BRISK]) == 0
    motion = json.loads((tmp_path / "report.json").read_text())["motion"]
    assert motion["twins"] == {}
    film, _ = read_video(tmp_path / "twin.mp4")
    half = film.shape[2] // 2
    assert np.abs(film[-1, :400, :half].astype(float) - film[0, :400, :half]).mean() < 3.0  # recorded: stays
    assert np.abs(film[-1, :400, half:].astype(float) - film[0, :400, half:]).mean() > 3.0  # predicted: moves


def test_a_camera_that_does_not_know_where_it_stands_is_enough_for_a_twin(tmp_path, capsys):
    clip = load_clip(write_bar(tmp_path / "bar"))
    frame = clip.frames_at(0)["front"]
    rgb, depth = draw(np.array([0.4, -0.03, HALF[2]]), frame.K, frame.T_world_camera)
    np.savez(tmp_path / "one.npz", rgb=rgb[None], depth=depth[None], K=frame.K)
    words = ["--frames", str(tmp_path / "one.npz"), "--out", str(tmp_path / "out"), *BRISK]
    assert cli.main(["twin", *words, "--object", "red"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["views"]["camera"]["iou"] > 0.9
    assert report["motion"] is None
    row, column = np.argwhere(rgb[..., 0] > 155)[0]
    assert cli.main(["twin", *words, "--at", str(column + 1), str(row + 1)]) == 0
    assert cli.main(["twin", *words, "--path", "recorded"]) == 2
    assert "where its camera stands" in capsys.readouterr().err


def test_a_dataset_that_tells_only_its_cameras_is_enough_for_a_twin(tmp_path, capsys):
    words = ["twin", "--frames", str(write_bar(tmp_path / "bar", interaction=False)), "--out", str(tmp_path / "out")]
    assert cli.main([*words, *BRISK]) == 0
    views = json.loads((tmp_path / "out" / "report.json").read_text())["views"]
    assert min(row["iou"] for row in views.values() if row["used"]) > 0.9
    assert cli.main([*words, "--path", "recorded"]) == 2
    assert "holds no hand" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--episode", "7"], "no episode 7; choose from 0 to 0"),
        (["--start", "9"], "--start is 9.0"),
        (["--camera", "top"], "front, left, right"),
        (["--at", "1", "1"], "no object at column 1, row 1"),
        (["--object", "blue block"], "no such object"),
        (["--object", "whatsit"], "known words are"),
        (["--path", "nowhere.npz"], "nowhere.npz: path: does not exist"),
        (["--path", "recorded", "--category", "soap"], "no dynamics come along for soap"),
        (["--path", "recorded", "--model", "missing"], "missing"),
        (["--seconds", "0"], "--seconds is 0"),
        (["--frames", "missing.npz"], "missing.npz: file: does not exist"),
    ],
)
def test_refusals_are_one_line(data, tmp_path, capsys, more, words):
    assert cli.main(["twin", "--frames", str(data), "--out", str(tmp_path / "out"), *BRISK, *more]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [{"states": np.zeros((5, 8)), "period": 0.1}, {"states": np.ones((5, 7))}, {}])
def test_a_path_that_is_none_is_refused_by_name(data, tmp_path, capsys, content):
    np.savez(tmp_path / "path.npz", **content)
    words = ["twin", "--frames", str(data), "--out", str(tmp_path / "out"), "--path", str(tmp_path / "path.npz")]
    assert cli.main(words) == 2
    assert "path.npz: path: needs states" in capsys.readouterr().err


def test_a_path_that_lasts_no_time_or_for_ever_is_refused(data, tmp_path, capsys):
    states = np.zeros((3, 8))
    states[:, 3] = 1.0
    for period in (1e-6, 1e9):
        np.savez(tmp_path / "path.npz", states=states, period=period)
        assert cli.main(["twin", "--frames", str(data), "--path", str(tmp_path / "path.npz")]) == 2
        assert "it must be 0.1 to 600 s" in capsys.readouterr().err


def test_of_two_objects_the_one_that_the_hand_comes_nearest_to_is_taken(data):
    def piece(x: float, pixels: int) -> Detection:
        points, mask = np.random.default_rng(0).normal([x, 0.0, 0.0], 0.01, (20, 3)), np.zeros((20, 20), bool)
        mask.flat[:pixels] = True
        state = ObjectState(f"thing at {x}", points, np.zeros_like(points), 0.0)
        pose = RigidTransform.from_translation([x, 0, 0])
        return Detection(state, mask, points.clip(0, 1), "red", "unknown", pose, np.full(3, 0.02), 0.5)

    small, large = piece(0.4, 30), piece(0.0, 300)
    clip = load_clip(data)
    assert _choose((large, small), clip, Twin(data)) is small
    assert _choose((large, small), replace(clip, hand=None), Twin(data)) is large
    with pytest.raises(NoObjectError, match="no object is to be seen"):
        _choose((), clip, Twin(data))


def test_a_stop_while_filming_leaves_whole_files(data, model, tmp_path, monkeypatch, capsys):
    shots, real = [], twin_film.compare

    def stop(*given):
        if len(shots) == 5:
            raise KeyboardInterrupt
        shots.append(real(*given))
        return shots[-1]

    monkeypatch.setattr(twin_film, "compare", stop)
    words = ["--frames", str(data), "--path", "recorded", "--model", str(model), "--out", str(tmp_path), *BRISK]
    assert cli.main(["twin", *words]) == 130
    assert json.loads((tmp_path / "report.json").read_text())["motion"] is None
    assert len(read_video(tmp_path / "twin.mp4")[0]) == 5
    assert not list(tmp_path.glob("*.part"))


def test_a_hand_goes_straight_between_rows_and_rests_beyond_them():
    states = np.zeros((3, 8))
    states[:, 0], states[:, 3] = [0.0, 0.1, 0.3], [1.0, -1.0, 1.0]  # the same turn, written with both signs
    hand = HandPath(states, 0.5)
    found = hand.at(np.array([-1.0, 0.25, 0.5, 0.75, 9.0]))
    assert found[:, 0] == pytest.approx([0.0, 0.05, 0.1, 0.2, 0.3])
    assert np.abs(found[:, 3]) == pytest.approx(1.0)
    with pytest.raises(ShapeError, match="unit quaternions"):
        HandPath(np.zeros((3, 8)), 0.1)


def test_twins_along_a_full_turn_keep_turning():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.1, 0.1, (40, 3))
    angles = np.linspace(0.0, 1.5 * np.pi, 13)
    turns = np.stack([[[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]] for a in angles])
    rest = GaussianObject(
        points, np.tile([1.0, 0, 0, 0], (40, 1)), np.full((40, 3), 0.01), np.ones(40), np.ones((40, 3))
    )
    *_, last = moved_twins(rest, points @ turns.swapaxes(1, 2))
    assert last.means_world == pytest.approx(points @ turns[-1].T, abs=1e-6)
    assert np.abs(last.quats @ [np.cos(angles[-1] / 2), 0, 0, np.sin(angles[-1] / 2)]) == pytest.approx(1.0, abs=1e-6)


def test_point_errors_are_zero_where_particles_go_with_their_points():
    truth = np.random.default_rng(0).uniform(size=(4, 30, 3))
    errors = point_errors(truth[:, :10], truth)
    assert errors[:, 0] == pytest.approx(0.0)
    assert errors[0, 1] == pytest.approx(0.0)
    assert errors[1:, 1].min() > 1.0


def test_a_chart_survives_curves_that_are_flat():
    assert summarise([{"a": {"iou": 0.5}}, {"a": {"iou": 1.0}}], 7)["a"]["mean"]["iou"] == 0.75  # touched too late
    assert score_chart([0.0], {"a": [1.0], "b": [1.0]}, "IoU").count("<polyline") == 2
