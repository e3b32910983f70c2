"""Small charts as inline SVG; colours come from the page's style sheet, so that they follow light and dark."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

__all__ = ["WIDTH", "latency_chart", "rate_chart", "reason_chart", "svg", "text"]

WIDTH = 760
LABEL = 200  # px left for names
ROW = 26


def rate_chart(runs: Sequence[Mapping[str, Any]]) -> str:
    """Success rates as bars with their 95 % intervals as whiskers, one row for each run."""
    span = WIDTH - LABEL - 110
    body = [_grid(span, [(share, f"{100 * share:.0f} %") for share in (0, 0.25, 0.5, 0.75, 1)], len(runs))]
    for row, run in enumerate(runs):
        y, rate, (low, high) = ROW * row + 6, run["success_rate"], run["interval"]
        middle = y + 7
        body += [
            text(LABEL - 10, middle, f"{run['task']} · {run['arm']}", "end"),
            f'<rect class="bar" x="{LABEL}" y="{y}" width="{span * rate:.1f}" height="14" rx="3"/>',
            f'<path class="whisker" d="M{LABEL + span * low:.1f} {middle}H{LABEL + span * high:.1f}'
            f'M{LABEL + span * low:.1f} {middle - 4}v8M{LABEL + span * high:.1f} {middle - 4}v8"/>',
            text(WIDTH, middle, f"{run['successes']}/{run['episodes']}", "end"),
        ]
    return svg(body, ROW * len(runs) + 26, "success rate of each task and arm")


def reason_chart(reasons: Mapping[str, int]) -> str:
    """Counted failure reasons, the most frequent first, each with its full sentence above its bar."""
    largest = max(reasons.values(), default=1)
    body = []
    for row, (reason, count) in enumerate(sorted(reasons.items(), key=lambda item: -item[1])):
        y = 40 * row
        body += [
            text(0, y + 10, reason if len(reason) < 110 else reason[:109] + "…"),
            f'<rect class="bad" x="0" y="{y + 20}" width="{(WIDTH - 40) * count / largest:.1f}" height="8" rx="3"/>',
            text((WIDTH - 40) * count / largest + 8, y + 24, str(count)),
        ]
    return svg(body, 40 * len(reasons) + 4, "failure reasons")


def latency_chart(latency: Mapping[str, Mapping[str, float]]) -> str:
    """Median (dot) and 95th percentile (end of the line) of each stage on a logarithmic axis."""
    values = [max(value, 1e-3) for one in latency.values() for value in (one["median_ms"], one["p95_ms"])]
    low, high = np.floor(np.log10(min(values))), np.ceil(np.log10(max(values)) + 1e-9)
    span = WIDTH - LABEL - 150
    scale = span / max(high - low, 1)
    ticks = [((power - low) * scale / span, f"{10.0**power:g} ms") for power in np.arange(low, high + 1)]
    body = [_grid(span, ticks, len(latency))]
    for row, (stage, one) in enumerate(latency.items()):
        y = ROW * row + 13
        start, end = (LABEL + scale * (np.log10(max(one[key], 1e-3)) - low) for key in ("median_ms", "p95_ms"))
        body += [
            text(LABEL - 10, y, stage, "end"),
            f'<path class="whisker" d="M{start:.1f} {y}H{end:.1f}M{end:.1f} {y - 4}v8"/>',
            f'<circle class="bar" cx="{start:.1f}" cy="{y}" r="5"/>',
            text(WIDTH, y, f"{one['median_ms']:.3g} / {one['p95_ms']:.3g} ms", "end"),
        ]
    return svg(body, ROW * len(latency) + 26, "latency of each stage")


def _grid(span: float, ticks: Sequence[tuple[float, str]], rows: int) -> str:
    lines = [f'<path class="grid" d="M{LABEL + share * span:.1f} 0V{ROW * rows}"/>' for share, _ in ticks]
    words = [text(LABEL + share * span, ROW * rows + 14, word, "middle", "tick") for share, word in ticks]
    return "".join(lines + words)


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "label") -> str:
    """Words at a place, px, middle of their height; `kind` names their style."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place} dominant-baseline="middle">{escape(words)}</text>'


def svg(body: Sequence[str], height: float, name: str) -> str:
    """Put parts into one picture of the page's width, `height` px high; `name` says what it shows."""
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(name)}">{"".join(body)}</svg>'
