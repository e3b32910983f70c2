import json

import pytest

from armflow.launch import cli
from armflow.planning.dynamics import objective as home
from tests.planning.follow import Follow
from tests.planning.interaction import write_interaction


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A small dataset, small presets and a model of two numbers."""
    monkeypatch.setattr(home, "make_dynamics", lambda name: Follow())
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    steps = {"steps": 8, "batch": 3, "warmup": 2, "evaluate_every": 4, "save_every": 4, "log_every": 2}
    windows = home.WindowConfig(horizons=(2, 3), particles=(8, 10))
    monkeypatch.setattr(home, "PRESETS", {"quick": (windows, steps), "full": (windows, steps)})
    return write_interaction(tmp_path / "bars", 10, frames=120, points=12)


def run(data, out, *more):
    return cli.main(["train", "dynamics", "--data", str(data), "--out", str(out), *more])


def test_a_run_leaves_model_metrics_record_and_page(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(data, out) == 0
    record = json.loads((out / "training.json").read_text())
    assert (record["method"], record["model"], record["status"]) == ("dynamics", "fast", "finished")
    assert record["data"] == {**record["data"], "name": "bars", "episodes": 10, "frames": 1200}
    assert record["result"]["scores"]["validation/error_over_still"] > 0
    assert json.loads((out / "config.json").read_text())["method"] == "fast"
    assert (out / "model.safetensors").exists()
    assert "<svg" in (out / "report.html").read_text()
    assert "validation/error_3s" in capsys.readouterr().out


def test_a_finished_run_resumes_to_nothing_and_only_with_its_data(data, tmp_path, capsys):
    assert run(data, tmp_path / "run") == 0
    weights = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert run(data, tmp_path / "run", "--resume") == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == weights
    other = write_interaction(tmp_path / "others", 10, frames=120, points=12, seed=1)
    assert run(other, tmp_path / "run", "--resume") == 2
    assert "the data's sha256" in capsys.readouterr().err


def test_several_datasets_are_learned_from_together(data, tmp_path):
    other = write_interaction(tmp_path / "cloths", 2, frames=120, points=9, seed=1, category="cloth")
    assert run(data, tmp_path / "run", "--data", str(other), "--model", "gbnd") == 0
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert (record["data"]["name"], record["data"]["episodes"]) == ("bars, cloths", 12)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--model", "still"], "fast, pgnd, gbnd"),
        (["--preset", "huge"], "quick, full"),
        (["--images", "front"], "belong to policies"),
        (["--data", "missing"], "missing"),
    ],
)
def test_refusals_are_one_line(data, tmp_path, capsys, more, words):
    assert run(data, tmp_path / "run", *more) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_play_without_tracks_is_refused_by_its_name(tmp_path, capsys, data):
    broken = json.loads((data / "meta" / "info.json").read_text())
    broken["features"].pop("tracks")
    (data / "meta" / "info.json").write_text(json.dumps(broken))
    assert run(data, tmp_path / "run") == 2
    assert "bars: tracks" in capsys.readouterr().err


def test_policies_take_one_dataset_and_no_dynamics_model(data, tmp_path, capsys):
    for more in (["--data", str(data)], ["--model", "pgnd"]):
        assert cli.main(["train", "beso", "--data", str(data), "--out", str(tmp_path / "run"), *more]) == 2
    error = capsys.readouterr().err
    assert "learns from one dataset" in error
    assert "armflow train dynamics" in error
