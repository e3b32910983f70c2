"""`python -m armflow.launch.readme REPORT...`: put measured results between the marks of README.md.

Success tables come from `report.json` of `armflow eval`: one for the planner, one for learned policies, one for things
that bend. Errors of learned dynamics come from that of `armflow predict`, speeds from `armflow bench --json`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from armflow.launch.figures import wilson_interval
from armflow.launch.files import write_text

__all__ = ["between", "dynamics_rows", "learned_rows", "speed_rows", "success_rows"]

TABLES = {"beso": "learned", "policy": "learned", "mppi": "shapes", "scripted": "shapes", "mppi-simulator": "shapes"}
"""Controller -> its table; all others are in the first."""
SUCCESS = ("| task | arm | success | 95 % interval | seeds | again with |", "|---|---|---|---|---|---|")
LEARNED = ("| task | policy | success | 95 % interval | seeds | again with |", "|---|---|---|---|---|---|")
DYNAMICS = ("fast", "no motion", "constant velocity", "move with tool")
FORESEEN = (
    "| scenes | learned | no motion | constant velocity | move with tool | windows of scenes |",
    "|---|---|---|---|---|---|",
)
SPEED = ("| what | measured | bar | reference | |", "|---|---|---|---|---|")


def success_rows(runs: Sequence[dict[str, Any]]) -> list[str]:
    """One table row for each task and arm."""
    return [*SUCCESS, *(_success_row(run) for run in runs)]


def _success_row(run: dict[str, Any]) -> str:
    low, high = (100 * bound for bound in run["interval"])
    first, count = run["seeds"][0], run["episodes"]
    seed = f" --seed {first}" if first else ""
    again = f"`armflow eval --task {run['task']} --arm {run['arm']} --episodes {count}{seed}`"
    rate, seeds = f"{run['successes']} of {count}", f"{first} to {run['seeds'][-1]}"
    return f"| {run['task']} | {run['arm']} | {rate} | {low:.1f} to {high:.1f} % | {seeds} | {again} |"


def learned_rows(reports: Sequence[dict[str, Any]]) -> list[str]:
    """One table row for each evaluation of a learned policy, and one for each kind of goal that its task tells."""
    return [*LEARNED, *(row for report in reports for row in _learned_rows(report))]


def _learned_rows(report: dict[str, Any]) -> list[str]:
    run = report["runs"][0]
    low, high = (100 * bound for bound in run["interval"])
    seeds = f"{run['seeds'][0]} to {run['seeds'][-1]}"
    rate = f"{run['successes']} of {run['episodes']} | {low:.1f} to {high:.1f} %"
    rows = [f"| {run['task']} | {run['controller']} | {rate} | {seeds} | `{report['command']}` |"]
    for kind, (count, done) in sorted(run.get("facts", {}).get("goal", {}).items()):
        low, high = (100 * bound for bound in wilson_interval(done, count))
        rows.append(f"| {run['task']}: {kind} | | {done} of {count} | {low:.1f} to {high:.1f} % | of these | |")
    return rows


def dynamics_rows(report: dict[str, Any]) -> list[str]:
    """One table row for each split: mean point error over the horizon, mm, the learned model's with its interval."""
    return [*FORESEEN, *(_dynamics_row(split) for split in report["splits"])]


def _dynamics_row(split: dict[str, Any]) -> str:
    models = split["models"]
    learned, *plain = (f"{1000 * models[name]['mean']['point']:.1f}" for name in DYNAMICS)
    low, high = (1000 * bound for bound in models["fast"]["interval"])
    seen = f"{split['windows']} of {split['scenes']}"
    return f"| {split['name']} | {learned} ({low:.1f} to {high:.1f}) | {' | '.join(plain)} | {seen} |"


def speed_rows(rows: Sequence[dict[str, Any]]) -> list[str]:
    """One table row for each speed."""
    return [*SPEED, *(_speed_row(row) for row in rows)]


def _speed_row(row: dict[str, Any]) -> str:
    bar = "" if row["bar"] is None else f"{row['bar']:g} {row['unit']}"
    mark = "✓" if row["ok"] else "✗"
    return f"| {row['name']} | {row['value']:.3g} {row['unit']} | {bar} | {row['reference'] or ''} | {mark} |"


def between(text: str, name: str, rows: Sequence[str]) -> str:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = text.split(start)
    return "\n".join([before + start, *rows, end + rest.split(end)[1]])


def main(paths: Sequence[str]) -> None:
    """Sort the files by what they hold and rewrite README.md in the current folder."""
    text = Path("README.md").read_text()
    for name, rows in tables([json.loads(Path(path).read_text()) for path in paths]).items():
        text = between(text, name, rows)
    write_text("README.md", text)


def tables(found: Sequence[Any]) -> dict[str, list[str]]:
    """Rows of each table that the contents of files say something about, by the table's name."""
    speeds = [row for content in found if isinstance(content, list) for row in content]
    reports = [content for content in found if isinstance(content, dict)]
    foreseen = [report for report in reports if "splits" in report]
    played: dict[str, list[dict[str, Any]]] = {"success": [], "learned": [], "shapes": []}
    for report in reports:
        if "runs" in report:
            played[TABLES.get(report["runs"][0]["controller"], "success")].append(report)
    rows = {name: learned_rows(reports) for name, reports in played.items() if reports}
    if played["success"]:
        rows["success"] = success_rows([run for report in played["success"] for run in report["runs"]])
    if foreseen:
        rows["dynamics"] = dynamics_rows(foreseen[-1])
    return rows | ({"speed": speed_rows(speeds)} if speeds else {})


if __name__ == "__main__":
    main(sys.argv[1:])
