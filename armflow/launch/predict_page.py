"""The page of `armflow predict`: error curves over the horizon, and tables."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from armflow.launch.charts import WIDTH, svg, text
from armflow.launch.curves import ticks
from armflow.launch.page import PAGE, card, note, section, table

__all__ = ["error_chart", "render_prediction"]

LEFT, TOP, BOTTOM = 58, 10, 220  # px
DASHES = ("", "6 4", "2 4")
TITLES = {"point": "mean point error", "chamfer": "Chamfer distance", "emd": "earth mover's distance"}


def render_prediction(report: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        report: What `report.json` holds.
    """
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    parts = [_head(report)]
    for split in report["splits"]:
        for metric, title in TITLES.items():
            chart = error_chart({name: model["curves"][metric] for name, model in split["models"].items()}, title)
            parts.append(section(f"{split['name']}: {title}", chart))
        parts.append(section(f"{split['name']}: in figures", _figures(split)))
        if split["adapted"]:
            parts.append(section(f"{split['name']}: adapted to a few seconds", _adapted(split["adapted"])))
    facts = table(("", ""), [*report["hardware"].items(), ("versions", _versions(report["versions"]))])
    parts.append(section("To do it again", f"<pre>{escape(report['command'])}</pre>{facts}"))
    return PAGE.format(title="armflow predict", style=style, body="\n".join(parts))


def error_chart(curves: Mapping[str, Sequence[float]], title: str, *, dt: float = 0.1) -> str:
    """Draw errors, m, over the horizon, s, of several models; from the fifth on they are dashed."""
    most = 1000 * max(max(curve) for curve in curves.values())
    marks = ticks(0.0, max(most, 1e-6))
    steps = max(len(curve) for curve in curves.values())
    across, up = (WIDTH - LEFT - 12) / (steps * dt), (BOTTOM - TOP) / marks[-1]
    body = [f'<path class="grid" d="M{LEFT} {BOTTOM - up * mark:.1f}H{WIDTH - 12}"/>' for mark in marks]
    body += [text(LEFT - 8, BOTTOM - up * mark, f"{mark:g}", "end", "tick") for mark in marks]
    body += [
        text(LEFT + across * mark, BOTTOM + 14, f"{mark:g} s", "middle", "tick")
        for mark in ticks(0.0, steps * dt)
        if mark <= steps * dt + 1e-9
    ]
    for index, curve in enumerate(curves.values()):
        points = " ".join(
            f"{LEFT + across * dt * step:.1f},{BOTTOM - 1000 * up * value:.1f}"
            for step, value in enumerate([0.0, *curve])
        )
        dash = f' stroke-dasharray="{DASHES[index // 4 % 3]}"' if index >= 4 else ""
        body.append(f'<polyline class="curve c{index % 4}"{dash} points="{points}"/>')
    return svg(body, BOTTOM + 24, f"{title} over the horizon, mm") + _key(list(curves))


def _key(names: Sequence[str]) -> str:
    words = (
        f'<span class="key c{index % 4}"></span>{escape(name)}{" (dashed)" if index >= 4 else ""}&emsp;'
        for index, name in enumerate(names)
    )
    return f'<p class="note">mm over time ahead. {"".join(words)}</p>'


def _head(report: Mapping[str, Any]) -> str:
    cards = []
    for split in report["splits"]:
        name, best = min(split["models"].items(), key=lambda item: item[1]["mean"]["point"])
        words = f"{name}; no motion {1000 * split['models']['no motion']['mean']['point']:.1f} mm"
        cards.append(card(split["name"], f"{1000 * best['mean']['point']:.1f} mm", words))
    about = f"Mean point error over {report['seconds']:g} s ahead, {report['particles']} particles."
    return f'<header><h1>armflow predict</h1><p>{about}</p></header><div class="cards">{"".join(cards)}</div>'


def _figures(split: Mapping[str, Any]) -> str:
    rows = list(_rows(split["models"]))
    names = ("model", "point, mm", "95 % interval", "at the end", "Chamfer, mm", "EMD, mm", "over no motion")
    words = (
        f"{split['windows']} windows of {split['scenes']} scenes in which the object moves; means over the horizon; "
        "material not told; interval over resampled scenes."
    )
    return table(names, rows) + note(words)


def _rows(models: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    still = models["no motion"]["mean"]["point"]
    for name, model in models.items():
        mean = {metric: f"{1000 * value:.2f}" for metric, value in model["mean"].items()}
        interval = "{:.2f} to {:.2f}".format(*(1000 * value for value in model["interval"]))
        share = f"{100 * model['mean']['point'] / still:.0f} %"
        end = f"{1000 * model['curves']['point'][-1]:.2f}"
        yield name, mean["point"], interval, end, mean["chamfer"], mean["emd"], share


def _adapted(adapted: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            row["scenes"],
            *(f"{1000 * row[key]:.2f}" if key in row else "" for key in ("unknown", "adapted", "told")),
        )
        for name, row in adapted.items()
    ]
    words = "Mean point error, mm, on the second half of each scene: code unknown, adapted to the first half, true."
    return table(("model", "scenes", "unknown", "adapted", "told"), rows) + note(words)


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in versions.items() if value)
