"""`report.html`: one file with style, charts and videos inside, to be read anywhere and offline."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from armflow.launch.charts import latency_chart, rate_chart, reason_chart
from armflow.launch.figures import latency_summary, wilson_interval
from armflow.launch.runner import EpisodeResult

__all__ = ["PAGE", "card", "note", "render_page", "section", "table", "video_name"]

MOST_BYTES = 40_000_000  # of videos inside the page; the others are linked


def render_page(report: Mapping[str, Any], results: Sequence[EpisodeResult], videos: Path) -> str:
    """Return the whole page.

    Args:
        report: What `report.summarise` made of the results.
        results: The episodes themselves.
        videos: Folder with the videos that there are, named by `video_name`.
    """
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    parts = [
        _head(report, results),
        section("Success", rate_chart(report["runs"]) + note(INTERVAL_NOTE)),
        section("In figures", _runs_table(report["runs"])),
        *(_facts(run) for run in report["runs"]),
        _videos(results, videos),
        _failures(report["runs"]),
        _latency(results),
        _episodes(results),
        _provenance(report),
    ]
    return PAGE.format(title="armflow report", style=style, body="\n".join(part for part in parts if part))


INTERVAL_NOTE = "Whiskers: 95 % Wilson interval of the success rate."
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main>{body}</main>
<script>
for (const box of document.querySelectorAll("[data-filter]")) box.addEventListener("input", () => {{
  const task = document.querySelector("[data-filter=task]").value;
  const failed = document.querySelector("[data-filter=failed]").checked;
  for (const row of document.querySelectorAll("#episodes tbody tr"))
    row.hidden = (task && row.dataset.task !== task) || (failed && row.dataset.ok === "1");
}});
</script></body></html>
"""


def video_name(task: str, arm: str, controller: str, seed: int) -> str:
    """File name of one episode's video."""
    return f"{task}-{arm}-{controller}-{seed}.mp4"


def _head(report: Mapping[str, Any], results: Sequence[EpisodeResult]) -> str:
    done, total = sum(result.outcome.success for result in results), len(results)
    low, high = wilson_interval(done, total)
    names = {field: sorted({run[field] for run in report["runs"]}) for field in ("task", "arm", "controller")}
    cards = [
        ("success", f"{100 * done / total:.0f} %", f"{done} of {total}; {100 * low:.0f} to {100 * high:.0f} %"),
        ("tasks", str(len(names["task"])), ", ".join(names["task"])),
        ("arms", str(len(names["arm"])), ", ".join(names["arm"])),
        ("controller", " ".join(names["controller"]), _controller_note(names["controller"])),
    ]
    body = "".join(card(*one) for one in cards)
    return f'<header><h1>armflow</h1><p>RGB-D in, checked arm motion out.</p></header><div class="cards">{body}</div>'


def card(name: str, value: str, note: str) -> str:
    """One figure at the head of the page."""
    words = f"<span>{escape(name)}</span><strong>{escape(value)}</strong><small>{escape(note)}</small>"
    return f'<div class="card">{words}</div>'


def _controller_note(controllers: Sequence[str]) -> str:
    if "oracle" in controllers:
        return "reads the simulator's truth"
    if {"beso", "policy"} & set(controllers):
        return "sees the numbers that the task's benchmark offers"
    return "sees one noisy RGB-D camera and its encoders"


def _facts(run: Mapping[str, Any]) -> str:
    """What the task told about its episodes, with the success of each."""
    parts = []
    for name, values in run.get("facts", {}).items():
        rows = [
            (
                value,
                count,
                f"{done}/{count}",
                "{:.0f} to {:.0f} %".format(*(100 * x for x in wilson_interval(done, count))),
            )
            for value, (count, done) in values.items()
        ]
        parts.append(section(f"{run['task']}: {name}", table((name, "episodes", "success", "interval"), rows)))
    return "\n".join(parts)


def _runs_table(runs: Sequence[Mapping[str, Any]]) -> str:
    names = (
        "task",
        "arm",
        "controller",
        "success",
        "rate",
        "interval",
        "episode",
        "clock",
        "replans",
        "refused",
        "seeds",
    )
    rows = [
        (
            run["task"],
            run["arm"],
            run["controller"],
            f"{run['successes']}/{run['episodes']}",
            f"{100 * run['success_rate']:.1f} %",
            f"{100 * run['interval'][0]:.1f} to {100 * run['interval'][1]:.1f} %",
            f"{run['seconds_sim_median']:.1f} s",
            f"{run['seconds_wall_median']:.1f} s",
            run["replans"],
            run["rejected"],
            f"{run['seeds'][0]} to {run['seeds'][-1]}",
        )
        for run in runs
    ]
    words = "Episode: median length in the world's time; clock: on the wall. Refused: commands stopped by the limiter."
    return table(names, rows) + note(words)


def _videos(results: Sequence[EpisodeResult], folder: Path) -> str:
    """Failures first, then successes, as far as there are films of them."""
    budget, figures = MOST_BYTES, []
    for result in sorted(results, key=lambda result: result.outcome.success):
        path = folder / video_name(result.task, result.arm, result.controller, result.seed)
        if not path.exists():
            continue
        size = path.stat().st_size
        inside = size <= budget
        budget -= size if inside else 0
        source = _inline(path) if inside else f"videos/{escape(path.name)}"
        figures.append(_figure(result, source))
    return section("Seen", f'<div class="videos">{"".join(figures)}</div>') if figures else ""


def _inline(path: Path) -> str:
    return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _figure(result: EpisodeResult, source: str) -> str:
    kind = "good" if result.outcome.success else "poor"
    name = f"{result.task} · {result.arm} · seed {result.seed}"
    return (
        f'<figure class="{kind}"><video controls muted loop playsinline preload="metadata" src="{source}"></video>'
        f"<figcaption><b>{escape(name)}</b><br>“{escape(result.instruction)}”<br>"
        f"<em>{escape(result.outcome.reason)}</em></figcaption></figure>"
    )


def _failures(runs: Sequence[Mapping[str, Any]]) -> str:
    total: Counter[str] = Counter()
    for run in runs:
        for reason, count in run["reasons"].items():
            total[f"{run['task']} · {run['arm']}: {reason}"] += count
    if not total:
        return section("Failures", "<p>None.</p>")
    return section("Failures, counted", reason_chart(total) + note("Figures within a reason are written as #."))


def _latency(results: Sequence[EpisodeResult]) -> str:
    latency = latency_summary(result.outcome.latency for result in results)
    if not latency:
        return ""
    words = (
        "Dot: median; end of the line: 95th percentile; logarithmic axis. “execute”: the simulation, with its filming."
    )
    return section("Latency of each stage", latency_chart(latency) + note(words))


def _episodes(results: Sequence[EpisodeResult]) -> str:
    tasks = sorted({result.task for result in results})
    options = "".join(f"<option>{escape(task)}</option>" for task in tasks)
    controls = (
        f'<p><select data-filter="task"><option value="">every task</option>{options}</select> '
        '<label><input type="checkbox" data-filter="failed"> failures only</label></p>'
    )
    rows = "".join(_episode_row(result) for result in results)
    head = "".join(f"<th>{name}</th>" for name in ("task", "arm", "seed", "", "time", "instruction", "reason"))
    rows_table = (
        f'<div class="scroll"><table id="episodes"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    summary = f"<summary><h2>Every episode ({len(results)})</h2></summary>"
    return f"<section><details>{summary}{controls}{rows_table}</details></section>"


def _episode_row(result: EpisodeResult) -> str:
    outcome = result.outcome
    cells = (
        result.task,
        result.arm,
        result.seed,
        "✓" if outcome.success else "✗",
        f"{outcome.seconds_sim:.1f} s",
        result.instruction,
        outcome.reason,
    )
    body = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
    return f'<tr data-task="{escape(result.task)}" data-ok="{int(outcome.success)}">{body}</tr>'


def _provenance(report: Mapping[str, Any]) -> str:
    hardware = [(name, value) for name, value in report["hardware"].items()]
    versions = ", ".join(f"{name} {value}" for name, value in report["versions"].items() if value)
    facts = table(("", ""), [*hardware, ("versions", versions)])
    return section("To do it again", f"<pre>{escape(report['command'])}</pre>{facts}")


def section(title: str, body: str) -> str:
    """One box of the page; `body` is HTML, `title` words."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def note(words: str) -> str:
    """A small sentence under a chart or table."""
    return f'<p class="note">{escape(words)}</p>'


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of words and numbers under a row of names."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
