"""From one moment of a recording to the object's Gaussians: find it in every view, lift it, refine it, score it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from armflow.launch.twin_clip import Clip
from armflow.perception.cloud import back_project
from armflow.perception.detection import Detection, TablePlane
from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussian_masks import ObjectColors, learn_colors
from armflow.perception.gaussians import GaussianObject, gaussians_from_frames
from armflow.perception.splat import View, choose_rasterizer, render
from armflow.perception.splat_refine import RefineConfig, refine
from armflow.perception.splat_scores import mask_iou, psnr, ssim
from armflow.robot.errors import StackError

if TYPE_CHECKING:
    from armflow.launch.twin import Twin

__all__ = ["Built", "NoObjectError", "build", "crop_about", "hand_mask", "on_black", "score"]

SEEN = 0.5  # alpha from which on a pixel shows the object
LYING = 0.03  # m above the table, within which the lowest part of an object is
NEAR = 0.06  # m from what has been found, within which the object's other pixels are
ROUNDS = 3  # of looking for them
HAND_LOW, HAND_HIGH = (-0.07, -0.1, -0.3), (0.07, 0.1, 0.008)  # m, of a box about the hand; its z points to the tips
RING = 3  # px around a mask that are neither surely the object's nor surely not
HOLD_OUT = 3  # views from which on the last one is kept for scoring


class NoObjectError(StackError):
    """No object in the recording, or not the one asked for."""


@dataclass(frozen=True, slots=True)
class Built:
    """A twin and what it was made from.

    Attributes:
        gaussians: The object.
        frames: What each camera saw, by its name; in the world of `gaussians`.
        masks: [H, W] bool, the object in each of them.
        used: Cameras that it was made from; the others are for scoring.
        hands: [H, W] bool, what may be the hand in each frame.
        colors: What the object looks like.
    """

    gaussians: GaussianObject
    frames: Mapping[str, RGBDFrame]
    masks: Mapping[str, np.ndarray]
    used: tuple[str, ...]
    hands: Mapping[str, np.ndarray]
    colors: ObjectColors


def build(clip: Clip, options: "Twin", index: int, *, rng: np.random.Generator) -> Built:
    """Make the twin of one moment.

    Raises:
        NoObjectError: Nothing to be seen, or not what was asked for; says what there is.
        StackError: The frames have too little depth, or no table.
    """
    frames, found = _find(clip, options, index, rng)
    hands = {name: _hand_at(clip, frame, index) for name, frame in frames.items()}
    colors = _colors(frames, found)
    masks = _whole(frames, found, colors) if clip.posed else {name: one.mask for name, one in found.items()}
    seen = [name for name in frames if masks[name].any()]
    used = tuple(seen[:-1] if len(seen) >= HOLD_OUT else seen)
    views, shapes = [frames[name] for name in used], [masks[name] for name in used]
    spacing = min(_footprint(frame, mask) for frame, mask in zip(views, shapes, strict=True))
    plain = gaussians_from_frames(views, shapes, spacing=spacing)
    config, hidden = RefineConfig(steps=options.steps), [hands[name] for name in used]
    better = refine(plain, views, shapes, config, hidden=hidden, rasterizer=choose_rasterizer()).gaussians
    return Built(better, frames, masks, used, hands, colors)


def hand_mask(frame: RGBDFrame, state: np.ndarray) -> np.ndarray:
    """Pixels [H, W] bool that may show the hand, given its state [8]: those in a box above its fingertips."""
    turn = Rotation.from_quat(state[3:7], scalar_first=True).as_matrix()
    local = (back_project(frame) - state[:3]) @ turn
    with np.errstate(invalid="ignore"):
        return ((local > HAND_LOW) & (local < HAND_HIGH)).all(axis=-1)


def _hand_at(clip: Clip, frame: RGBDFrame, index: int) -> np.ndarray:
    if clip.hand is None:
        return np.zeros(frame.depth.shape, bool)
    return hand_mask(frame, clip.hand.states[index])


def _find(
    clip: Clip, options: "Twin", index: int, rng: np.random.Generator
) -> tuple[dict[str, RGBDFrame], dict[str, Detection]]:
    """Frames of all cameras in one world, and the object in those that show it."""
    from armflow.perception.segment import perceive
    from armflow.perception.unposed import perceive_unposed

    frames = clip.frames_at(index)
    if not clip.posed:
        (name,) = clip.cameras
        scene = perceive_unposed(frames[name], rng=rng)
        pieces = (*scene.objects.detections, *(scene.surroundings if options.at is not None else ()))
        return {name: scene.frame}, {name: _choose(pieces, options)}
    table = TablePlane(np.array([0.0, 0.0, 1.0]), clip.ground)
    pieces = {}
    for name, frame in frames.items():
        scene = perceive(frame, rng=rng, robot=_hand_at(clip, frame, index), table=table)
        pieces[name] = tuple(one for one in scene.detections if _lies(one, clip.ground))
    found: dict[str, Detection] = {}
    for name, seen in pieces.items():
        if found:
            likest = _likest(seen, next(iter(found.values())))
            found |= {} if likest is None else {name: likest}
        elif seen:
            found[name] = _choose(seen, options)
    if not found:
        raise NoObjectError(f"nothing lies on the table at {clip.stamps[index]:g} s; give another moment with --start")
    return frames, found


def _choose(pieces: tuple[Detection, ...], options: "Twin") -> Detection:
    """The object asked for: at a pixel, by its name, or the largest."""
    if not pieces:
        raise NoObjectError("no object is to be seen; give another moment with --start")
    names = ", ".join(one.state.name for one in pieces)
    if options.at is not None:
        column, row = options.at
        height, width = pieces[0].mask.shape
        hit = [one for one in pieces if 0 <= row < height and 0 <= column < width and one.mask[row, column]]
        if not hit:
            raise NoObjectError(
                f"--at: no object at column {column}, row {row} of {width} x {height} px; I see {names}"
            )
        return hit[0]
    if options.object is not None:
        return _named(pieces, options.object)
    return max(pieces, key=lambda one: int(one.mask.sum()))


def _named(pieces: tuple[Detection, ...], words: str) -> Detection:
    from armflow.perception.instruction import InstructionError, find_object, parse_instruction

    try:
        found = find_object(pieces, parse_instruction(f"hang the {words} on the rack").target)
    except InstructionError as error:
        raise NoObjectError(f"--object: {error.problem}; known words are {', '.join(error.known)}") from error
    if found.detection is None:
        raise NoObjectError(f"--object: {found.answer}")
    return found.detection


def _lies(piece: Detection, ground: float) -> bool:
    """Whether something lies on the table, as an arm does not, and is whole in the picture."""
    heights = piece.state.points_world[:, 2] - ground
    border = np.concatenate([piece.mask[0], piece.mask[-1], piece.mask[:, 0], piece.mask[:, -1]]).sum()
    return float(np.quantile(heights, 0.1)) < LYING and border < 0.5 * np.sqrt(piece.mask.sum())


def _likest(pieces: tuple[Detection, ...], first: Detection) -> Detection | None:
    """The piece that lies where the object was found in another view."""
    tree = cKDTree(first.state.points_world)
    gaps = [float(np.median(tree.query(one.state.points_world)[0])) for one in pieces]
    return pieces[int(np.argmin(gaps))] if gaps and min(gaps) < NEAR / 2 else None


def _colors(frames: Mapping[str, RGBDFrame], found: Mapping[str, Detection]) -> ObjectColors:
    rings = [cv2.dilate(one.mask.astype(np.uint8), np.ones((2 * RING + 1,) * 2)) == 0 for one in found.values()]
    return learn_colors([frames[name].rgb for name in found], [one.mask for one in found.values()], rings)


def _whole(
    frames: Mapping[str, RGBDFrame], found: Mapping[str, Detection], colors: ObjectColors
) -> dict[str, np.ndarray]:
    """Masks with the pieces that segmentation has parted from the object, such as what shows below a hand."""
    places = {name: back_project(frame) for name, frame in frames.items()}
    masks = {name: found[name].mask if name in found else np.zeros(f.depth.shape, bool) for name, f in frames.items()}
    for _ in range(ROUNDS):
        known = np.concatenate([places[name][mask] for name, mask in masks.items()])
        tree = cKDTree(known[np.isfinite(known).all(axis=1)])
        for name, frame in frames.items():
            gaps = tree.query(np.nan_to_num(places[name], nan=1e3), distance_upper_bound=NEAR)[0]
            masks[name] = masks[name] | colors.mask(frame.rgb, np.isfinite(gaps))
    return masks


def _footprint(frame: RGBDFrame, mask: np.ndarray) -> float:
    """How wide a pixel of the object is, m."""
    return float(np.nanmedian(frame.depth[mask]) / frame.K[0, 0])


def on_black(frame: RGBDFrame, mask: np.ndarray) -> np.ndarray:
    """The object alone [H, W, 3], 0 … 1."""
    return frame.rgb / 255.0 * mask[..., None]


def score(built: Built) -> dict[str, dict[str, Any]]:
    """How the twin looks from every camera: PSNR and SSIM on black, and mask IoU, less what a hand hides."""
    rows = {}
    for name, frame in built.frames.items():
        mask = built.masks[name]
        if not mask.any():
            continue
        picture, part = render(built.gaussians, View.of(frame)), crop_about(mask)
        mine, theirs = picture.rgb[part], on_black(frame, mask)[part]
        open_view = mask | ~built.hands[name]
        rows[name] = {
            "used": name in built.used,
            "psnr": round(psnr(mine, theirs, open_view[part]), 3),
            "ssim": round(ssim(mine, theirs, open_view[part]), 4),
            "iou": round(mask_iou(picture.alpha > SEEN, mask, open_view), 4),
        }
    return rows


def crop_about(mask: np.ndarray, border: int = 10) -> tuple[slice, slice]:
    """The part of a picture that holds a mask and `border` px around it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (
        slice(max(int(rows[0]) - border, 0), int(rows[-1]) + 1 + border),
        slice(max(int(columns[0]) - border, 0), int(columns[-1]) + 1 + border),
    )
