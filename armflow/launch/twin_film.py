"""The video of a twin that moves: predicted beside recorded, or beside where it began for a path of one's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from armflow.launch.drawing import Caption, compose
from armflow.launch.twin_build import Built
from armflow.launch.twin_clip import RECORDED, Clip, HandPath
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


def film(
    clip: Clip, built: Built, hand: HandPath, model: "DynamicsModel", options: "Twin", index: int, folder: Path
) -> dict[str, Any]:
    """Predict, write `twin.mp4` and return what the report tells of it.

    Args:
        clip: The recording.
        built: The twin of its frame `index`.
        hand: What the hand does from then on.
        model: The dynamics.
        options: What the user chose.
        index: Frame of the twin.
        folder: Where the video goes.
    """
    recorded = options.path == RECORDED
    category = options.category or clip.category or ""
    particles = particles_of(built.gaussians, options.particles)
    times = clip.stamps[index:] - clip.stamps[index] if recorded else np.arange(0.0, _length(hand), 1 / RATE)
    touch = first_touch(particles, hand, times)
    begin = int(np.searchsorted(times, times[touch] - LEAD)) if touch < len(times) else 0
    rows = np.arange(begin, int(np.searchsorted(times, times[begin] + options.seconds, side="right")))
    path = follow_path(model, particles, hand, times[rows], ground=clip.ground, category=category)
    camera = options.camera or clip.cameras[0]
    told = {
        "video": str(folder / "twin.mp4"),
        "camera": camera,
        "path": options.path,
        "category": category,
        "particles": len(particles),
        "begin": round(float(times[begin] + options.start), 3),
        "seconds": round(float(times[rows[-1]] - times[begin]), 3),
        "times": [round(float(t - times[begin]), 4) for t in times[rows]],
        "touch": max(touch - begin, 0) if touch < len(times) else None,
        "twins": {},
    }
    twins = moved_twins(built.gaussians, path)
    rate = 1.0 / float(np.median(np.diff(times[rows])))
    with VideoWriter(folder / "twin.mp4", rate) as writer:
        if not recorded:
            _imagine(writer, built, camera, hand, twins, times[rows])
            return told
        frames = clip.read(camera, range(index + begin, index + begin + len(rows)))
        scores = []
        for frame, moved, time in zip(frames, twins, times[rows], strict=True):
            shot = compare(built, frame, {PREDICTED: moved, STILL: built.gaussians}, hand.at(np.array([time]))[0])
            scores.append(shot.scores)
            words = f"recorded, and the object {PREDICTED}: {_words(shot.scores[PREDICTED])}"
            caption = Caption(clip.name, clip.instruction or "", words, float(time - times[begin]))
            writer.write(compose(_pair(frame.rgb, shot.drawn[PREDICTED]), caption))
    if clip.tracks is not None:
        truth = clip.tracks[index + begin : index + begin + len(rows)]
        for row, where in zip(scores, point_errors(path, truth), strict=True):
            row[PREDICTED]["point"], row[STILL]["point"] = where
    return {**told, "twins": summarise(scores, told["touch"] or 0)}


def _imagine(
    writer: VideoWriter,
    built: Built,
    camera: str,
    hand: HandPath,
    twins: Iterator[GaussianObject],
    times: np.ndarray,
) -> None:
    """Film what a path that was not recorded would do, over the frame of the twin; the hand is drawn as lines."""
    frame, mask = built.frames[camera], built.masks[camera]
    plate, view = erase(frame.rgb, mask, built.hands[camera]), View.of(frame)
    for gaussians, time in zip(twins, times, strict=True):
        picture = np.rint(255.0 * paint(plate, frame.depth, mask, gaussians, view)[0].clip(0.0, 1.0)).astype(np.uint8)
        draw_hand(picture, frame, hand.at(np.array([time]))[0])
        words = "as recorded at the start, and the object predicted for a path of its own"
        caption = Caption("twin", "a hand that was not recorded", words, float(time - times[0]))
        writer.write(compose(_pair(frame.rgb, picture), caption))


def _length(hand: HandPath) -> float:
    return (len(hand.states) - 1) * hand.period + 1e-9


def _pair(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two pictures side by side, enlarged alike."""
    height = round(PANEL * first.shape[0] / first.shape[1])
    return np.concatenate(
        [cv2.resize(picture, (PANEL, height), interpolation=cv2.INTER_CUBIC) for picture in (first, second)], axis=1
    )


def _words(scores: dict[str, float]) -> str:
    return f"PSNR {scores['psnr']:.1f} dB, SSIM {scores['ssim']:.2f}, mask IoU {scores['iou']:.2f}"
