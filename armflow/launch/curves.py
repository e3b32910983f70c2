"""Learning curves: from the lines of `metrics.jsonl` to pictures, against examples seen and against hours."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from armflow.launch.charts import WIDTH, svg, text
from armflow.launch.figures import wilson_interval
from armflow.launch.files import write_text
from armflow.launch.page import PAGE, card, note, section, table
from armflow.learning.trainer import read_metrics

__all__ = ["Curve", "curve_chart", "curves", "render_training", "ticks", "write_training_page"]

HEIGHT, TOP, BOTTOM, LEFT, GAP = 230, 10, 200, 58, 70  # px; two panels side by side
PANEL = (WIDTH - LEFT - GAP - 12) / 2
MOST_POINTS = 400  # of one curve; more cannot be seen
WIDE = 8.0  # largest over smallest value from which on the axis is logarithmic
ROLLOUT, HELD_OUT = "rollouts/", "validation/"


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over a training; all fields have the same length N.

    Attributes:
        name: What it is.
        samples: Examples seen.
        hours: Time in training steps, h.
        values: The quantity.
        lows: Lower end of its interval, or the value itself.
        highs: Upper end of its interval, or the value itself.
    """

    name: str
    samples: tuple[float, ...]
    hours: tuple[float, ...]
    values: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]


def curves(lines: Sequence[Mapping[str, Any]], name: str, *, trials: str | None = None) -> Curve:
    """Pick one quantity out of the metrics; lines without it, or where it was not finite, are left out.

    Args:
        lines: Of `metrics.jsonl`.
        name: Of the quantity.
        trials: Name of the number of trials behind a rate; the curve then has its 95 % Wilson intervals.
    """
    found = [line for line in lines if line.get(name) is not None]
    ends = [_interval(line[name], line.get(trials)) if trials else (line[name], line[name]) for line in found]
    return Curve(
        name=name,
        samples=tuple(line["samples"] for line in found),
        hours=tuple(line["seconds"] / 3600 for line in found),
        values=tuple(line[name] for line in found),
        lows=tuple(low for low, _ in ends),
        highs=tuple(high for _, high in ends),
    )


def _interval(rate: float, trials: float | None) -> tuple[float, float]:
    return wilson_interval(round(rate * trials), round(trials)) if trials else (rate, rate)


def write_training_page(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `report.html` of a training from its metrics and its record."""
    write_text(folder / "report.html", render_training(read_metrics(folder), record))


def render_training(lines: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> str:
    """Return the page of a training.

    Args:
        lines: Of `metrics.jsonl`.
        record: What `training.json` holds.
    """
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    parts = [_head(lines, record), *_charts(lines), _settings(record), _again(record)]
    return PAGE.format(title=f"armflow train {escape(record['method'])}", style=style, body="\n".join(parts))


def curve_chart(found: Sequence[Curve], title: str, *, rate: bool = False) -> str:
    """Draw curves twice, side by side: against examples seen and against hours; rates on an axis from 0 to 100 %."""
    values = [value for curve in found for value in (*curve.lows, *curve.highs)]
    low, high = (0.0, 1.0) if rate else (min(values), max(values))
    logarithmic = not rate and low > 0 and high > WIDE * low
    if logarithmic:
        marks = _powers(low, high)
        low, high = math.log10(min(low, marks[0])), math.log10(max(high, marks[-1]))
    else:
        marks = [0, 0.25, 0.5, 0.75, 1] if rate else ticks(low, high)
        low, high = min(low, marks[0]), max(high, marks[-1])
    scale = (BOTTOM - TOP) / max(high - low, 1e-12)

    def y(value: float) -> float:
        return BOTTOM - scale * ((math.log10(value) if logarithmic else value) - low)

    words = [(y(mark), f"{100 * mark:g} %" if rate else f"{mark:g}") for mark in marks]
    body: list[str] = []
    for left, axis in ((LEFT, "samples"), (LEFT + PANEL + GAP, "hours")):
        body += _panel(found, axis, left, words, y)
    return svg(body, HEIGHT + 20, title) + _key(found)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers at even steps of 1, 2 or 5 times a power of ten that enclose `low` to `high`."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 12) for index in range(first, max(last, first + 1) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, the nearest ones that enclose the range."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [10.0**power * factor for power in powers for factor in ((1, 2, 5) if len(powers) < 4 else (1,))]
    inside = [mark for mark in every if low <= mark <= high]
    return [max((mark for mark in every if mark <= low), default=low), *inside, min(m for m in every if m >= high)]


def _panel(found: Sequence[Curve], axis: str, left: float, words: Sequence[tuple[float, str]], y: Any) -> Iterator[str]:
    longest = max(x for curve in found for x in getattr(curve, axis)) or 1.0
    unit = 60.0 if axis == "hours" and longest < 1.0 else 1.0  # minutes where hours would be fractions
    title = "examples seen" if axis == "samples" else "hours" if unit == 1.0 else "minutes"
    scale = PANEL / longest
    for place, word in words:
        yield f'<path class="grid" d="M{left:.1f} {place:.1f}h{PANEL:.1f}"/>'
        yield text(left - 8, place, word, "end", "tick")
    for mark in ticks(0.0, unit * longest):
        if mark <= unit * longest * 1.001:
            yield text(left + scale * mark / unit, BOTTOM + 14, _short(mark), "middle", "tick")
    yield text(left + PANEL / 2, BOTTOM + 34, title, "middle", "tick")
    for index, curve in enumerate(found):
        yield from _line(curve, [left + scale * x for x in getattr(curve, axis)], index % 4, y)


def _line(curve: Curve, xs: Sequence[float], color: int, y: Any) -> Iterator[str]:
    stride = max(1, math.ceil(len(xs) / MOST_POINTS))
    picked = [*range(0, len(xs), stride)]
    picked += [len(xs) - 1] if picked and picked[-1] != len(xs) - 1 else []
    points = " ".join(f"{xs[i]:.1f},{y(curve.values[i]):.1f}" for i in picked)
    yield f'<polyline class="curve c{color}" points="{points}"/>'
    for i in picked:
        if curve.lows[i] < curve.highs[i]:
            yield f'<path class="whisker" d="M{xs[i]:.1f} {y(curve.lows[i]):.1f}V{y(curve.highs[i]):.1f}"/>'
    if len(picked) <= 30:
        yield from (
            f'<circle class="curve c{color}" cx="{xs[i]:.1f}" cy="{y(curve.values[i]):.1f}" r="2"/>' for i in picked
        )


def _key(found: Sequence[Curve]) -> str:
    words = (f'<span class="key c{index % 4}"></span>{escape(curve.name)}&emsp;' for index, curve in enumerate(found))
    return f'<p class="note">{"".join(words)}</p>'


def _short(value: float) -> str:
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _charts(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = list(dict.fromkeys(name for line in lines for name in line))
    rates = [name for name in names if name.startswith(ROLLOUT) and _is_rate(lines, name)]
    if rates:
        found = [curves(lines, name, trials=f"{ROLLOUT}episodes") for name in rates]
        words = "Episodes in the world with the averaged weights; lines across: 95 % Wilson interval."
        yield section("Success while training", curve_chart(found, "success", rate=True) + note(words))
    losses = [curve for name in ("loss", f"{HELD_OUT}loss") if (curve := curves(lines, name)).values]
    if losses:
        words = "Loss: mean since the point before. Validation: averaged weights, episodes kept aside. Hours: in steps."
        yield section("Loss", curve_chart(losses, "loss") + note(words))
    done = {*rates, "loss", f"{HELD_OUT}loss", f"{ROLLOUT}episodes"}
    for name in names:
        if name.startswith((ROLLOUT, HELD_OUT)) and name not in done and (curve := curves(lines, name)).values:
            yield section(name, curve_chart([curve], name))


def _is_rate(lines: Sequence[Mapping[str, Any]], name: str) -> bool:
    values = [line[name] for line in lines if line.get(name) is not None]
    return bool(values) and all(0 <= value <= 1 for value in values) and name != f"{ROLLOUT}episodes"


def _head(lines: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> str:
    last = lines[-1] if lines else {"step": 0, "samples": 0, "seconds": 0.0}
    cards = [
        ("state", record["status"], f"step {last['step']:,} of {record['train']['steps']:,}"),
        ("examples seen", _short(float(format(last["samples"], ".3g"))), f"{last['seconds'] / 3600:.2f} h in steps"),
    ]
    for name, title in ((f"{ROLLOUT}success", "success"), (f"{HELD_OUT}loss", "validation loss")):
        values = [line for line in lines if line.get(name) is not None]
        if values:
            value = values[-1][name]
            shown = f"{100 * value:.0f} %" if title == "success" else f"{value:.4g}"
            cards.append((title, shown, f"at step {values[-1]['step']:,}"))
    body = "".join(card(*one) for one in cards)
    name = f"{record['method']} · {record['preset']}"
    return f'<header><h1>armflow train</h1><p>{escape(name)}</p></header><div class="cards">{body}</div>'


def _settings(record: Mapping[str, Any]) -> str:
    rows = [*record["train"].items(), *((f"data: {name}", value) for name, value in record["data"].items())]
    return section("Settings", table(("", ""), rows))


def _again(record: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in record["versions"].items() if value)
    facts = table(("", ""), [*record["hardware"].items(), ("versions", versions)])
    return section("To do it again", f"<pre>{escape(record['command'])}</pre>{facts}")
