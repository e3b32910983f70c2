import json
import os
import subprocess
import sys

import pytest

from armflow.launch import cli
from armflow.launch.choices import TASKS, arm_names, pick_many
from armflow.robot.errors import ChoiceError

WRONG = [
    ([], "expected one of"),
    (["fly"], "unrecognized options: fly; choose from doctor, demo"),
    (["sim", "--task", "Juggle"], "no task 'Juggle'; choose from Push, PickPlace"),
    (["sim", "--arm", "octopus"], "no arm 'octopus'; choose from "),
    (["sim", "--controller", "psychic"], "no controller 'psychic'; choose from flow, oracle"),
    (["sim", "--planner", "psychic"], "no planner 'psychic'; choose from full, quick, random"),
    (["sim", "--task", "RopeShape", "--arm", "ur5"], "no arm for RopeShape 'ur5'"),
    (["sim", "--solver", "abacus"], "no solver 'abacus'; choose from banded, cvxpy"),
    (["sim", "--speed", "9"], "unrecognized options: --speed, 9; choose from --task, --arm"),
    (["sim", "--seed", "x"], "error parsing --seed"),
    (["sim", "--seed", "-1"], "--seed is -1"),
    (["sim", "--camera-size", "1", "1"], "--camera-size is (1, 1)"),
    (["eval", "--task", "Push", "Juggle"], "no task 'Juggle'"),
    (["eval", "--jobs", "0"], "--jobs is 0"),
    (["eval", "--episodes", "0"], "--episodes is 0"),
    (["demo", "--task", "Juggle"], "no task 'Juggle'"),
    (["bench", "--only", "sleep"], "no benchmark 'sleep'; choose from "),
    (["bench", "--json", "/no/such/folder/x.json"], "no folder /no/such/folder"),
    (["doctor", "--fast"], "unrecognized options: --fast; doctor takes none"),
    (["new-arm", "--urdf", "missing.urdf"], "missing.urdf"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_is_wrong_is_one_line_and_exit_code_2(arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code
    output = capsys.readouterr()
    assert code == 2
    assert said in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_a_place_that_cannot_be_written_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert cli.main(["sim", "--controller", "hold", "--out", str(tmp_path / "file")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in cli.COMMANDS)


def test_help_answers_within_a_second():
    best = min(_seconds([sys.executable, "-m", "armflow.launch.cli", "--help"]) for _ in range(3))
    assert best < 1.0


def test_options_are_defined_without_importing_anything_heavy():
    code = (
        "import sys; from armflow.launch import cli; [cli._load(name) for name in cli.COMMANDS];"
        "print([m for m in ('torch', 'numba', 'pybullet', 'pinocchio', 'cv2', 'mujoco', 'cvxpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("armflow ")


def test_names_are_found_in_any_case_and_only_once():
    assert pick_many("task", ["push", "PUSH", "Pour"], TASKS) == ("Push", "Pour")
    assert pick_many("task", ["all"], TASKS) == TASKS
    with pytest.raises(ChoiceError):
        pick_many("task", [], TASKS)


def test_the_light_lists_of_names_agree_with_the_heavy_ones():
    from armflow.launch.bench import BENCHMARKS
    from armflow.launch.choices import CONTROLLER_NAMES
    from armflow.launch.controllers import CONTROLLERS
    from armflow.robot.embodiments import ARMS

    assert set(CONTROLLER_NAMES) == set(CONTROLLERS)
    assert set(ARMS) <= set(arm_names())
    assert {"ik", "limiter", "render", "envs", "policies", "splat"} <= set(BENCHMARKS)


def test_doctor_is_quick_and_finds_everything():
    command = [sys.executable, "-m", "armflow.launch.cli", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "realsense" in done.stdout
    assert "ready" in done.stdout
    assert _seconds(command) < 5.0


def test_bench_writes_the_rows_it_printed(tmp_path, monkeypatch, capsys):
    from armflow.launch import bench

    row = {"name": "a", "value": 1, "unit": "ms", "bar": 2.0, "better": "lower", "reference": "b 3 ms", "ok": True}
    monkeypatch.setattr(bench, "_measure", lambda name: [{**row, "name": name}])
    assert cli.main(["bench", "--only", "ik", "limiter", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [item["name"] for item in rows] == ["ik", "limiter"]
    assert set(rows[0]) == {"name", "value", "unit", "bar", "reference", "ok"}


def _seconds(command: list[str]) -> float:
    """Processor time of a command: other programs on the machine must not fail this test."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_a_reader_who_goes_away_ends_it_without_a_word():
    code = """
import sys
from armflow.launch import cli

class Talk:
    def run(self):
        return print("word", flush=True)

cli.parse = lambda arguments: Talk()
sys.exit(cli.main(["talk"]))
"""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.returncode == cli.UNREAD
    assert done.stderr == b""
