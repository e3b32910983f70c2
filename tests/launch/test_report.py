import json
import re

import numpy as np
import pytest

from armflow.launch.episode import from_json, to_json
from armflow.launch.page import video_name
from armflow.launch.report import group_reason, summarise, write_report
from armflow.launch.runner import EpisodeResult, Outcome
from armflow.launch.video import VideoWriter


def result(seed: int, success: bool, task: str = "Push", reason: str = "tool 0.04 m inside table") -> EpisodeResult:
    outcome = Outcome(
        success, "done" if success else reason, 5.0, 9.0, {"plan": [10.0 + seed], "track": [0.5]}, chunks=3, replans=1
    )
    return EpisodeResult(task, "panda", "flow", seed, "push the <red> block", outcome)


def test_one_run_has_its_figures_at_the_top_level():
    report = summarise([result(seed, seed > 0) for seed in range(10)], command="armflow eval")
    assert (report["task"], report["arm"], report["controller"], report["seed"]) == ("Push", "panda", "flow", 0)
    assert (report["episodes"], report["successes"], report["success_rate"]) == (10, 9, 0.9)
    assert report["interval"] == pytest.approx([0.5958, 0.9821], abs=1e-4)
    assert report["reasons"] == {"tool # m inside table": 1}
    assert report["latency"]["plan"]["median_ms"] == 14.5


def test_several_runs_stand_in_a_list():
    report = summarise([result(0, True), result(0, False, "Pour")], command="")
    assert [run["task"] for run in report["runs"]] == ["Push", "Pour"]
    assert "task" not in report


def test_reasons_that_differ_in_figures_only_count_together():
    assert group_reason("tool 0.04 m inside table") == group_reason("tool 1.5e-3 m inside table")
    assert group_reason("joint panda_joint3 at -2 rad") == "joint panda_joint3 at # rad"


def test_a_result_survives_its_line_of_json():
    one = result(3, False)
    assert from_json(json.loads(json.dumps(to_json(one)))) == one


def test_the_page_needs_nothing_from_elsewhere(tmp_path):
    (tmp_path / "videos").mkdir()
    with VideoWriter(tmp_path / "videos" / video_name("Push", "panda", "flow", 1), 12.5) as video:
        for value in range(5):
            video.write(np.full((48, 64, 3), 40 * value, np.uint8))
    write_report([result(0, True), result(1, False)], tmp_path, command="armflow eval --seed 0")
    page = (tmp_path / "report.html").read_text()
    assert "data:video/mp4;base64," in page
    assert not re.search(r'(src|href)="(https?:|//)', page)
    assert "push the &lt;red&gt; block" in page
    assert json.loads((tmp_path / "report.json").read_text())["episodes"] == 2


def test_what_a_task_tells_is_counted_with_its_successes():
    results = [result(seed, seed != 1) for seed in range(3)]
    for one, word in zip(results, ("left", "left", "right"), strict=True):
        one.outcome.facts["side"] = word
    assert summarise(results, command="")["facts"] == {"side": {"left": [2, 1], "right": [1, 1]}}
