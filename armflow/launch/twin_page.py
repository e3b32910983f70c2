"""The page of `armflow twin`: pictures, figures of every view, the video, and scores over time."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from armflow.launch.charts import WIDTH, svg, text
from armflow.launch.curves import ticks
from armflow.launch.page import PAGE, card, note, section, table

__all__ = ["render_twin", "score_chart"]

LEFT, TOP, BOTTOM = 58, 10, 200  # px
TITLES = {"psnr": "PSNR, dB", "ssim": "SSIM", "iou": "mask IoU", "point": "point error, mm"}


def render_twin(report: Mapping[str, Any], folder: Path) -> str:
    """Return the page; `folder` holds the pictures and the video that go into it."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    parts = [_head(report), section("Recorded, the twin in its place, the twin alone", _picture(folder / "twin.png"))]
    parts.append(section("Every view", _views(report["views"])))
    if report["motion"] is not None:
        parts += _motion(report["motion"], folder)
    facts = table(("", ""), [*report["hardware"].items(), ("versions", _versions(report["versions"]))])
    parts.append(section("To do it again", f"<pre>{escape(report['command'])}</pre>{facts}"))
    return PAGE.format(title="armflow twin", style=style, body="\n".join(parts))


def score_chart(times: Sequence[float], curves: Mapping[str, Sequence[float]], title: str) -> str:
    """Draw scores of several twins over time, s, with a key below."""
    values = [value for curve in curves.values() for value in curve]
    marks = ticks(min(values), max(values))
    across, up = (WIDTH - LEFT - 12) / max(times[-1], 1e-6), (BOTTOM - TOP) / (marks[-1] - marks[0])
    heights = {mark: BOTTOM - up * (mark - marks[0]) for mark in marks}
    body = [f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - 12}"/>' for y in heights.values()]
    body += [text(LEFT - 8, y, f"{mark:g}", "end", "tick") for mark, y in heights.items()]
    body += [
        text(LEFT + across * mark, BOTTOM + 14, f"{mark:g} s", "middle", "tick")
        for mark in ticks(0.0, times[-1])
        if mark <= times[-1] + 1e-9
    ]
    for index, curve in enumerate(curves.values()):
        points = " ".join(
            f"{LEFT + across * time:.1f},{BOTTOM - up * (value - marks[0]):.1f}"
            for time, value in zip(times, curve, strict=True)
        )
        body.append(f'<polyline class="curve c{index % 4}" points="{points}"/>')
    names = "".join(f'<span class="key c{k % 4}"></span>{escape(name)}&emsp;' for k, name in enumerate(curves))
    return svg(body, BOTTOM + 24, f"{title} over time") + f'<p class="note">{names}</p>'


def _head(report: Mapping[str, Any]) -> str:
    views, motion = report["views"], report["motion"]
    cards = [card("Gaussians", f"{report['gaussians']}", f"refined in {report['steps']} steps")]
    for used, name in ((True, "views it was made from"), (False, "views held out")):
        rows = [row for row in views.values() if row["used"] is used]
        if rows:
            value = sum(row["psnr"] for row in rows) / len(rows)
            words = f"{len(rows)}; mean PSNR, mask IoU {sum(row['iou'] for row in rows) / len(rows):.2f}"
            cards.append(card(name, f"{value:.1f} dB", words))
    if motion is not None and motion["twins"]:
        first, second = (motion["twins"][name]["mean"]["iou"] for name in motion["twins"])
        cards.append(card("mask IoU, moving", f"{first:.2f}", f"predicted; {second:.2f} where nothing moves"))
    about = f"{report['recording']}, at {report['start']:g} s."
    return f'<header><h1>armflow twin</h1><p>{escape(about)}</p></header><div class="cards">{"".join(cards)}</div>'


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="recorded beside the twin" style="max-width:100%" src="data:image/png;base64,{data}">'


def _views(views: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            "made from it" if row["used"] else "held out",
            f"{row['psnr']:.2f}",
            f"{row['ssim']:.3f}",
            f"{row['iou']:.3f}",
        )
        for name, row in views.items()
    ]
    words = "The object alone on black, within 10 px of its mask."
    return table(("camera", "", "PSNR, dB", "SSIM", "mask IoU"), rows) + note(words)


def _motion(motion: Mapping[str, Any], folder: Path) -> Iterator[str]:
    path = folder / Path(motion["video"]).name
    data = base64.b64encode(path.read_bytes()).decode()
    film = f'<video controls muted loop playsinline src="data:video/mp4;base64,{data}"></video>'
    words = (
        f"Left: recorded by {motion['camera']}. Right: the same, the object painted out and its twin drawn in, moved "
        f"by dynamics of {motion['category']} along the hand's path. Hand and background are the recording's."
    )
    yield section(f"{motion['seconds']:.1f} s from {motion['begin']:g} s on", film + note(words))
    if not motion["twins"]:
        return
    told = next(iter(motion["twins"].values()))["mean"]
    for key, title in ((key, title) for key, title in TITLES.items() if key in told):
        curves = {name: row["curves"][key] for name, row in motion["twins"].items()}
        yield section(title, score_chart(motion["times"], curves, title))
    rows = [(name, *(f"{value:.3f}" for value in row["mean"].values())) for name, row in motion["twins"].items()]
    since = "the first touch on" if motion["touch"] is not None else "the start on; the hand never comes near"
    words = (
        f"Means from {since}. PSNR and SSIM within 8 px of the object, recorded or drawn, less the hand; "
        "the recorded mask is told by the object's colours, point errors by the recording's true points."
    )
    yield section("In figures", table(("twin", *(TITLES[key] for key in told)), rows) + note(words))


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in versions.items() if value)
