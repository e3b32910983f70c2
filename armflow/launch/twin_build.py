"""From one moment of a recording to the object's Gaussians: lifted from every view, refined, and scored."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from armflow.launch.twin_clip import Clip
from armflow.launch.twin_find import Found
from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussians import GaussianObject, gaussians_from_frames
from armflow.perception.splat import View, choose_rasterizer, render
from armflow.perception.splat_refine import RefineConfig, refine
from armflow.perception.splat_scores import mask_iou, psnr, ssim

__all__ = ["SEEN", "Made", "build", "crop_about", "score", "used_views"]

SEEN = 0.5  # alpha from which on a pixel shows the object
HOLD_OUT = 3  # views from which on the last one is kept for scoring


@dataclass(frozen=True, slots=True)
class Made:
    """A twin, and what it was made from.

    Attributes:
        clip: The recording.
        index: The frame.
        found: The object in it.
        gaussians: The twin.
    """

    clip: Clip
    index: int
    found: Found
    gaussians: GaussianObject


def used_views(found: Found) -> tuple[str, ...]:
    """Cameras that see the object and that the twin is made from; of three or more, the last is kept for scoring."""
    seen = [name for name, mask in found.masks.items() if mask.any()]
    return tuple(seen[:-1] if len(seen) >= HOLD_OUT else seen)


def build(found: Found, steps: int) -> GaussianObject:
    """Make the twin, refined in so many steps.

    Raises:
        GaussianError: Fewer than two points of the object have a depth.
    """
    used = used_views(found)
    frames = [found.frames[name] for name in used]
    masks, bodies = ([part[name] for name in used] for part in (found.masks, found.bodies))
    spacing = min(_footprint(frame, mask) for frame, mask in zip(frames, masks, strict=True))
    plain = gaussians_from_frames(frames, masks, spacing=spacing)
    config = RefineConfig(steps=steps)
    return refine(plain, frames, masks, config, hidden=bodies, rasterizer=choose_rasterizer()).gaussians


def _footprint(frame: RGBDFrame, mask: np.ndarray) -> float:
    """How wide a pixel of the object is, m."""
    return float(np.nanmedian(frame.depth[mask]) / frame.K[0, 0])


def score(found: Found, gaussians: GaussianObject) -> dict[str, dict[str, Any]]:
    """How the twin looks from every camera: PSNR and SSIM on black, and mask IoU, less what the robot hides."""
    used, rows = used_views(found), {}
    for name, frame in found.frames.items():
        mask = found.masks[name]
        if not mask.any():
            continue
        picture, part = render(gaussians, View.of(frame), choose_rasterizer()), crop_about(mask)
        mine, theirs = picture.rgb[part], (frame.rgb / 255.0 * mask[..., None])[part]
        free = mask | ~found.bodies[name]
        rows[name] = {
            "used": name in used,
            "psnr": round(psnr(mine, theirs, free[part]), 3),
            "ssim": round(ssim(mine, theirs, free[part]), 4),
            "iou": round(mask_iou(picture.alpha > SEEN, mask, free), 4),
        }
    return rows


def crop_about(mask: np.ndarray, border: int = 10) -> tuple[slice, slice]:
    """The part of a picture that holds a mask and `border` px around it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (
        slice(max(int(rows[0]) - border, 0), int(rows[-1]) + 1 + border),
        slice(max(int(columns[0]) - border, 0), int(columns[-1]) + 1 + border),
    )
