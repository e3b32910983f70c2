"""`python -m armflow.launch.readme REPORT...`: put measured results between the marks of README.md.

Success tables come from `report.json` of `armflow eval`, one for the planner and one for learned policies; speeds come
from the file of `armflow bench --json`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from armflow.launch.figures import wilson_interval
from armflow.launch.files import write_text

__all__ = ["between", "learned_rows", "speed_rows", "success_rows"]

SUCCESS = ("| task | arm | success | 95 % interval | seeds | again with |", "|---|---|---|---|---|---|")
LEARNED = ("| task | policy | success | 95 % interval | seeds | again with |", "|---|---|---|---|---|---|")
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
    runs, learned, speeds = [], [], []
    for path in paths:
        found = json.loads(Path(path).read_text())
        if isinstance(found, list):
            speeds += found
        elif found["runs"][0]["controller"] in ("beso", "policy"):
            learned.append(found)
        else:
            runs += found["runs"]
    text = Path("README.md").read_text()
    if runs:
        text = between(text, "success", success_rows(runs))
    if learned:
        text = between(text, "learned", learned_rows(learned))
    if speeds:
        text = between(text, "speed", speed_rows(speeds))
    write_text("README.md", text)


if __name__ == "__main__":
    main(sys.argv[1:])
