import json

import pytest

from armflow.launch import cli
from armflow.launch.predict import Predict
from armflow.launch.predict_page import error_chart
from armflow.launch.predict_split import judge_split
from armflow.launch.train_dynamics import load_scenes
from armflow.planning.dynamics import make_dynamics, save_dynamics
from tests.planning.follow import Follow
from tests.planning.interaction import write_interaction


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_interaction(tmp_path_factory.mktemp("data") / "bars", 4, frames=120, points=12)


@pytest.fixture
def checkpoint(tmp_path):
    save_dynamics(tmp_path / "model", "move_with_tool", make_dynamics("move_with_tool"))
    return tmp_path / "model"


def run(checkpoint, data, out, *more):
    words = ["--checkpoint", str(checkpoint), "--data", str(data), "--out", str(out), "--particles", "12"]
    return cli.main(["predict", *words, *more])


def test_the_report_has_curves_of_each_model_on_each_split(checkpoint, data, tmp_path, capsys):
    assert run(checkpoint, data, tmp_path / "out", "--data", f"again={data}", "--seconds", "1") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [split["name"] for split in report["splits"]] == ["bars", "again"]
    models = report["splits"][0]["models"]
    assert set(models) == {"move_with_tool", "no motion", "constant velocity", "move with tool"}
    assert {len(curve) for curve in models["no motion"]["curves"].values()} == {10}
    assert models["move with tool"]["mean"]["point"] < models["no motion"]["mean"]["point"]
    low, high = models["no motion"]["interval"]
    assert low <= models["no motion"]["mean"]["point"] <= high
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<svg") == 6
    assert "no motion" in capsys.readouterr().out


def test_a_model_with_a_code_is_judged_before_and_after_adapting(data):
    scenes, _ = load_scenes(data)
    options = Predict((), (), seconds=1.0, particles=10, adapt=2)
    split = judge_split({"follow": Follow(1.0, 0.3)}, scenes, options, moved=0.002)
    found = split["adapted"]["follow"]
    assert found["scenes"] == 2
    assert found["adapted"] <= found["unknown"] + 1e-4


def test_a_chart_has_a_line_for_each_model():
    chart = error_chart({str(k): [0.001 * k, 0.002 * k] for k in range(6)}, "error")
    assert chart.count("<polyline") == 6
    assert chart.count("stroke-dasharray") == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--particles", "1"], "--particles"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "20"], "no window of 20 s"),
        (["--data", "missing"], "missing"),
        (["--checkpoint", "missing"], "missing"),
    ],
)
def test_refusals_are_one_line(checkpoint, data, tmp_path, capsys, more, words):
    assert run(checkpoint, data, tmp_path / "out", *more) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_two_datasets_of_one_name_are_refused(checkpoint, data, tmp_path, capsys):
    assert run(checkpoint, data, tmp_path / "out", "--data", str(data)) == 2
    assert "NAME=DIR" in capsys.readouterr().err


def test_a_split_may_start_from_what_cameras_saw(checkpoint, data, tmp_path, capsys):
    words = ["--seconds", "1", "--seen", f"bars={data}"]
    assert run(checkpoint, data, tmp_path / "out", *words) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["splits"][0]["data"]["seen"]["episodes"] == 4
    assert run(checkpoint, data, tmp_path / "out", "--seen", f"other={data}") == 2
    assert "no such split" in capsys.readouterr().err
