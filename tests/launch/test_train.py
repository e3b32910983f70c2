import json
import os
import re
import signal

import numpy as np
import pytest
import torch

from armflow.launch import cli, train
from armflow.learning.checkpoint import load_checkpoint, read_tensors
from armflow.policies.beso import config as presets
from tests.learning.lines import Lines

SMALL = {"steps": 12, "batch": 8, "warmup": 2, "evaluate_every": 5, "save_every": 5, "log_every": 2, "rollouts": 3}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of play, the method `lines` and small presets."""
    monkeypatch.setitem(train.METHODS, "lines", lambda table, schema, preset, seed: Lines(seed=seed))
    monkeypatch.setattr(presets, "PRESETS", {"quick": SMALL, "full": {**SMALL, "steps": 14}}, raising=False)
    monkeypatch.setattr("armflow.launch.rollouts.evaluate_policy", lambda *given: {"success": given[3] / 4})
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    rng = np.random.default_rng(0)
    masks = np.ones((3, 20), np.float32)
    masks[1, 15:] = 0
    arrays = {"observations": rng.normal(size=(3, 20, 16)), "actions": rng.normal(size=(3, 20, 2))}
    folder = tmp_path / "play"
    folder.mkdir()
    np.savez(folder / "block_push.npz", masks=masks, **{name: a.astype(np.float32) for name, a in arrays.items()})
    return folder


def run(data, out, *more, method="lines"):
    return cli.main(["train", method, "--data", str(data), "--out", str(out), *more])


def test_a_run_leaves_model_metrics_record_and_page(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(data, out) == 0
    names = {"config.json", "metrics.jsonl", "model.safetensors", "report.html", "trainer.safetensors", "training.json"}
    assert names <= set(os.listdir(out))
    assert load_checkpoint(out).config["method"] == "lines"
    record = json.loads((out / "training.json").read_text())
    assert record["status"] == "finished"
    assert (record["method"], record["preset"], record["seed"]) == ("lines", "quick", 0)
    assert record["data"]["episodes"] == 3
    assert record["train"]["batch"] == 8
    assert record["result"]["samples"] == 96
    assert record["result"]["scores"]["rollouts/success"] == 0.75
    assert [line["step"] for line in record["evaluations"]] == [5, 10, 12]
    assert record["versions"]["torch"]
    printed = capsys.readouterr().out
    assert "rollouts/success 0.75" in printed
    assert "precision" in printed


def test_options_override_the_preset(data, tmp_path):
    more = [
        "--preset",
        "full",
        "--steps",
        "6",
        "--batch",
        "4",
        "--learning-rate",
        "0.01",
        "--seed",
        "7",
        "--rollouts",
        "0",
    ]
    assert run(data, tmp_path / "run", *more) == 0
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    chosen = {"steps": 6, "batch": 4, "learning_rate": 0.01, "seed": 7}
    assert {name: record["train"][name] for name in chosen} == chosen
    assert "rollouts/success" not in record["result"]["scores"]


def test_ctrl_c_ends_with_130_and_resuming_gives_the_same_model(data, tmp_path, monkeypatch, capsys):
    assert run(data, tmp_path / "straight") == 0

    class Stopped(Lines):
        def batch(self, size, *, rng):
            if self.drawn == 6:
                os.kill(os.getpid(), signal.SIGINT)
            return super().batch(size, rng=rng)

    with monkeypatch.context() as patch:
        patch.setitem(train.METHODS, "lines", lambda table, schema, preset, seed: Stopped(seed=seed))
        assert run(data, tmp_path / "parts") == 130
    record = json.loads((tmp_path / "parts" / "training.json").read_text())
    assert record["status"] == "stopped"
    assert "armflow: stopped" in capsys.readouterr().err
    assert run(data, tmp_path / "parts", "--resume") == 0
    record = json.loads((tmp_path / "parts" / "training.json").read_text())
    assert (record["status"], len(record["resumed"])) == ("finished", 1)
    straight, parts = (read_tensors(tmp_path / name / "trainer.safetensors")[0] for name in ("straight", "parts"))
    assert all(torch.equal(straight[name], parts[name]) for name in straight)


def test_going_on_wrongly_is_refused_in_one_line_and_changes_nothing(data, tmp_path, capsys):
    assert run(data, tmp_path / "run") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    for more, said in (
        ([], "holds a training already; add --resume"),
        (["--resume", "--batch", "4"], "train.batch was 8 and is 4 now"),
        (["--resume", "--preset", "full"], "train.steps was 12 and is 14 now"),
    ):
        capsys.readouterr()
        assert run(data, tmp_path / "run", *more) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
        assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_going_on_with_other_data_is_refused(data, tmp_path, capsys):
    assert run(data, tmp_path / "run") == 0
    with np.load(data / "block_push.npz") as file:
        arrays = dict(file)
    arrays["actions"][0, 0] += 1
    np.savez(data / "block_push.npz", **arrays)
    assert run(data, tmp_path / "run", "--resume") == 2
    assert "the data's sha256 was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["telepathy", "--data", "x"], "no method 'telepathy'; choose from beso, bc-mlp"),
        (["beso", "--data", "/no/such/folder", "--out", "run"], "/no/such/folder"),
        (["beso", "--data", "x", "--resume"], "--resume, --devices and --nodes need --out"),
        (["beso", "--data", "x", "--threads", "-1"], "--threads is -1"),
        (["beso"], "--data"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(["train", *arguments])
    except SystemExit as end:
        code = end.code
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--preset", "huge"], "no preset 'huge'; choose from quick, full"),
        (["--steps", "0"], "steps is 0"),
        (["--rollouts", "-1"], "--rollouts is -1"),
        (["--devices", "3", "--batch", "4"], "batch is 4; it must be a multiple of the 3 processes"),
    ],
)
def test_settings_that_cannot_be_meant_are_one_line(data, tmp_path, capsys, more, said):
    assert run(data, tmp_path / "run", *more) == 2
    assert said in capsys.readouterr().err


def test_a_training_that_diverges_says_so_and_keeps_its_record(data, tmp_path, capsys, monkeypatch):
    def make(table, schema, preset, seed):
        objective = Lines(seed=seed)
        objective.poison = set(range(6, 100))
        return objective

    monkeypatch.setitem(train.METHODS, "lines", make)
    assert run(data, tmp_path / "run", "--steps", "40") == 2
    assert "10 steps in a row" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "training.json").read_text())["status"].startswith("ended: 10 steps in a row")
    assert load_checkpoint(tmp_path / "run").tensors


def test_the_page_shows_curves_and_needs_nothing_from_elsewhere(data, tmp_path):
    assert run(data, tmp_path / "run") == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("<svg") == 2
    assert page.count("<polyline") == 6  # success, loss and validation loss, each twice
    assert "http" not in page.replace("http://www.w3.org", "")
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
