"""`report.json` and `report.html` from the results of episodes."""

import platform
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from armflow import __version__
from armflow.launch.doctor import hardware, versions
from armflow.launch.figures import latency_summary, wilson_interval
from armflow.launch.files import write_json, write_text
from armflow.launch.runner import EpisodeResult, Outcome

__all__ = ["group_reason", "summarise", "summarise_run", "write_report"]


def write_report(results: Sequence[EpisodeResult], folder: str | Path, *, command: str) -> dict[str, Any]:
    """Write both files into `folder`, with the videos in its folder `videos`, and return the JSON.

    Args:
        results: At least one.
        folder: An existing folder.
        command: What the user typed, to do it again.
    """
    from armflow.launch.page import render_page

    folder = Path(folder)
    report = summarise(results, command=command)
    write_json(folder / "report.json", report)
    write_text(folder / "report.html", render_page(report, results, folder / "videos"))
    return report


def summarise(results: Sequence[EpisodeResult], *, command: str) -> dict[str, Any]:
    """One run for each task, arm and controller; a single run's figures also stand at the top level."""
    groups: dict[tuple[str, str, str], list[EpisodeResult]] = {}
    for result in results:
        groups.setdefault((result.task, result.arm, result.controller), []).append(result)
    runs = [summarise_run(group) for group in groups.values()]
    facts = {"armflow": __version__, "python": platform.python_version(), **versions()}
    report = {"runs": runs, "command": command, "versions": facts, "hardware": hardware()}
    return {**runs[0], **report} if len(runs) == 1 else report


def summarise_run(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """The figures of one task, arm and controller: rate with its 95 % Wilson interval, reasons, latency in ms."""
    outcomes = [result.outcome for result in results]
    successes = sum(outcome.success for outcome in outcomes)
    first = results[0]
    seeds = sorted(result.seed for result in results)
    reasons = Counter(group_reason(outcome.reason) for outcome in outcomes if not outcome.success)
    return {
        "task": first.task,
        "arm": first.arm,
        "controller": first.controller,
        "seed": seeds[0],
        "seeds": seeds,
        "episodes": len(results),
        "successes": successes,
        "success_rate": successes / len(results),
        "interval": list(wilson_interval(successes, len(results))),
        "reasons": dict(reasons.most_common()),
        "latency": latency_summary(outcome.latency for outcome in outcomes),
        "seconds_sim_median": float(np.median([outcome.seconds_sim for outcome in outcomes])),
        "seconds_wall_median": float(np.median([outcome.seconds_wall for outcome in outcomes])),
        "replans": sum(outcome.replans for outcome in outcomes),
        "rejected": sum(outcome.rejected for outcome in outcomes),
        "facts": _count_facts(outcomes),
    }


def _count_facts(outcomes: Sequence[Outcome]) -> dict[str, dict[str, list[int]]]:
    """Fact -> what was told -> [episodes, successes], most frequent first."""
    told: dict[str, Counter[str]] = {}
    done: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        for name, value in outcome.facts.items():
            told.setdefault(name, Counter())[value] += 1
            done[name, value] += outcome.success
    return {
        name: {value: [count, done[name, value]] for value, count in values.most_common()}
        for name, values in told.items()
    }


def group_reason(reason: str) -> str:
    """A reason with its figures taken out, so that like failures count together."""
    return re.sub(r"(?<![\w.])[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "#", reason).strip() or "no reason given"
