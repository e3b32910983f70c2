"""The video of a twin that moves: predicted beside recorded, or beside where it began for a path of one's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from armflow.launch.drawing import Caption, compose
from armflow.launch.twin_build import Made
from armflow.launch.twin_clip import RECORDED, HandPath
from armflow.launch.twin_find import body_mask
from armflow.launch.twin_motion import (
    compare,
    first_touch,
    follow_path,
    moved_twins,
    particles_of,
    point_errors,
    summarise,
)
from armflow.launch.twin_pictures import draw_hand, erase, paint
from armflow.launch.video import VideoWriter
from armflow.perception.gaussians import GaussianObject
from armflow.perception.splat import View

if TYPE_CHECKING:
    from armflow.launch.twin import Twin
    from armflow.planning.dynamics.types import DynamicsModel

__all__ = ["film"]

LEAD = 0.2  # s before the first touch at which a prediction begins
RATE = 30.0  # Hz, of a path that was not recorded
PANEL = 640  # px, width of each picture
PREDICTED, STILL = "predicted", "nothing moves"


def film(made: Made, model: "DynamicsModel", hand: HandPath, options: "Twin", folder: Path) -> dict[str, Any]:
    """Predict, write `twin.mp4` and return what the report tells of it.

    Args:
        made: The twin.
        model: The dynamics.
        hand: What the hand does from the moment of the twin on.
        options: What the user chose.
        folder: Where the video goes.
    """
    clip, recorded = made.clip, options.path == RECORDED
    category = options.category or clip.category or ""
    particles = particles_of(made.gaussians, options.particles)
    times = (
        clip.stamps[made.index :] - clip.stamps[made.index]
        if recorded
        else np.arange(0, hand.duration + 1e-9, 1 / RATE)
    )
    touch = first_touch(particles, hand, times)
    begin = int(np.searchsorted(times, times[touch] - LEAD)) if touch < len(times) else 0
    begin = min(begin, len(times) - 2)
    end = int(np.searchsorted(times, times[begin] + options.seconds, side="right"))
    ahead = times[begin:end]
    path = follow_path(model, particles, hand, ahead, ground=clip.ground or 0.0, category=category)
    told = {
        "video": str(folder / "twin.mp4"),
        "camera": options.camera or clip.cameras[0],
        "path": options.path,
        "category": category,
        "particles": len(particles),
        "begin": round(float(times[begin] + options.start), 3),
        "seconds": round(float(ahead[-1] - ahead[0]), 3),
        "times": [round(float(time - ahead[0]), 4) for time in ahead],
        "touch": max(touch - begin, 0) if touch < len(times) else None,
        "twins": {},
    }
    twins = moved_twins(made.gaussians, path)
    with VideoWriter(folder / "twin.mp4", 1.0 / float(np.median(np.diff(ahead)))) as writer:
        if not recorded:
            _imagine(writer, made, told["camera"], hand.at(ahead), twins)
            return told
        rows = range(made.index + begin, made.index + end)
        scores = _follow(writer, made, told["camera"], rows, twins)
    if clip.tracks is not None:
        for row, where in zip(scores, point_errors(path, clip.tracks[rows.start : rows.stop]), strict=True):
            row[PREDICTED]["point"], row[STILL]["point"] = where
    return {**told, "twins": summarise(scores, told["touch"] or 0)}


def _follow(
    writer: VideoWriter, made: Made, camera: str, rows: range, twins: Iterator[GaussianObject]
) -> list[dict[str, dict[str, float]]]:
    """Film recorded frames beside predicted ones, and return the scores of each."""
    clip, scores = made.clip, []
    for row, frame, moved in zip(rows, clip.read(camera, rows), twins, strict=True):
        body = body_mask(clip, frame, row)
        shot = compare(made.found.colors, frame, {PREDICTED: moved, STILL: made.gaussians}, body)
        scores.append(shot.scores)
        told = shot.scores[PREDICTED]
        words = f"recorded, and the object {PREDICTED}: "
        words += f"PSNR {told['psnr']:.1f} dB, SSIM {told['ssim']:.2f}, mask IoU {told['iou']:.2f}"
        seconds = float(clip.stamps[row] - clip.stamps[rows.start])
        writer.write(
            compose(_pair(frame.rgb, shot.drawn[PREDICTED]), Caption(clip.name, clip.instruction or "", words, seconds))
        )
    return scores


def _imagine(writer: VideoWriter, made: Made, camera: str, states: np.ndarray, twins: Iterator[GaussianObject]) -> None:
    """Film what a path that was not recorded would do, over the frame of the twin; the hand is drawn as lines."""
    found = made.found
    frame, mask = found.frames[camera], found.masks[camera]
    plate, view = erase(frame.rgb, mask, found.bodies[camera]), View.of(frame)
    words = "as it was, and the object predicted for a hand that was not recorded"
    for index, (gaussians, state) in enumerate(zip(twins, states, strict=True)):
        picture = np.rint(255.0 * paint(plate, frame.depth, mask, gaussians, view)[0].clip(0.0, 1.0)).astype(np.uint8)
        draw_hand(picture, frame, state)
        caption = Caption(made.clip.name, made.clip.instruction or "", words, index / RATE)
        writer.write(compose(_pair(frame.rgb, picture), caption))


def _pair(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two pictures side by side, enlarged alike."""
    height = round(PANEL * first.shape[0] / first.shape[1])
    return np.concatenate(
        [cv2.resize(picture, (PANEL, height), interpolation=cv2.INTER_CUBIC) for picture in (first, second)], axis=1
    )
