"""The object of a recording in every view of one moment: segmented, matched between views, completed by its colours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from armflow.launch.twin_clip import Clip
from armflow.perception.cloud import back_project, robot_mask
from armflow.perception.detection import Detection, TablePlane
from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussian_masks import ObjectColors, learn_colors
from armflow.robot.errors import StackError

if TYPE_CHECKING:
    from armflow.launch.twin import Twin

__all__ = ["Found", "NoObjectError", "body_mask", "find"]

LYING = 0.03  # m above the table, within which the lowest part of an object is
NEAR = 0.06  # m from what has been found, within which the object's other pixels are
ROUNDS = 3  # of looking for them
HAND_LOW, HAND_HIGH = (-0.07, -0.1, -0.3), (0.07, 0.1, 0.008)  # m, of a box about the hand; its z points to the tips
RING = 3  # px around a mask that are neither surely the object's nor surely not


class NoObjectError(StackError):
    """No object in the recording, or not the one asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object in all views.

    Attributes:
        frames: What each camera saw, by its name, in one world.
        masks: [H, W] bool, the object in each of them.
        bodies: [H, W] bool, what may be the robot in each of them.
        colors: What the object looks like.
    """

    frames: dict[str, RGBDFrame]
    masks: dict[str, np.ndarray]
    bodies: dict[str, np.ndarray]
    colors: ObjectColors


def find(clip: Clip, options: "Twin", index: int, *, rng: np.random.Generator) -> Found:
    """Find the object in frame `index` of every camera.

    Raises:
        NoObjectError: Nothing to be seen, or not what was asked for; says what there is.
        StackError: The frames have too little depth, or no table.
    """
    if not clip.posed:
        return _find_unposed(clip, options, index, rng)
    frames = clip.frames_at(index)
    bodies = {name: body_mask(clip, frame, index) for name, frame in frames.items()}
    seen = _find_posed(clip, options, frames, bodies, rng)
    if not seen:
        raise NoObjectError(f"nothing lies on the table at {clip.stamps[index]:g} s; give another moment with --start")
    colors = _colors(frames, seen)
    return Found(frames, _whole(frames, seen, colors), bodies, colors)


def body_mask(clip: Clip, frame: RGBDFrame, index: int) -> np.ndarray:
    """Pixels [H, W] bool of a frame that may show the robot: near its capsules, or in a box above its fingertips."""
    mask = np.zeros(frame.depth.shape, bool)
    if clip.robot is not None:
        mask = robot_mask(frame, *clip.robot(index), 0.01)
    if clip.hand is not None:
        state = clip.hand.states[index]
        turn = Rotation.from_quat(state[3:7], scalar_first=True).as_matrix()
        local = np.nan_to_num((back_project(frame) - state[:3]) @ turn, nan=1e3)
        mask = mask | ((local > HAND_LOW) & (local < HAND_HIGH)).all(axis=-1)
    return mask


def _find_unposed(clip: Clip, options: "Twin", index: int, rng: np.random.Generator) -> Found:
    """The object in the one frame of a camera that does not know where it stands; z = 0 becomes the surface."""
    from armflow.perception.unposed import perceive_unposed

    (name,) = clip.cameras
    scene = perceive_unposed(clip.frames_at(index)[name], rng=rng)
    pieces = (*scene.objects.detections, *(scene.surroundings if options.at is not None else ()))
    frames, seen = {name: scene.frame}, {name: _choose(pieces, clip, options)}
    bodies = {name: np.zeros(scene.frame.depth.shape, bool)}
    return Found(frames, {name: seen[name].mask}, bodies, _colors(frames, seen))


def _find_posed(
    clip: Clip,
    options: "Twin",
    frames: Mapping[str, RGBDFrame],
    bodies: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, Detection]:
    """The object in those views that show it: chosen in the first, in the others what lies in the same place."""
    from armflow.perception.segment import perceive

    table = None if clip.ground is None else TablePlane(np.array([0.0, 0.0, 1.0]), clip.ground)
    found: dict[str, Detection] = {}
    for name, frame in frames.items():
        scene = perceive(frame, rng=rng, robot=bodies[name], table=table)
        pieces = tuple(one for one in scene.detections if _lies(one, scene.table))
        if found:
            likest = _likest(pieces, next(iter(found.values())))
            found |= {} if likest is None else {name: likest}
        elif pieces:
            found[name] = _choose(pieces, clip, options)
    return found


def _choose(pieces: tuple[Detection, ...], clip: Clip, options: "Twin") -> Detection:
    """The object asked for: at a pixel, by its name, or that which the hand comes nearest to, or the largest."""
    if not pieces:
        raise NoObjectError("no object is to be seen; give another moment with --start")
    if options.at is not None:
        return _at_pixel(pieces, *options.at)
    if options.object is not None:
        return _named(pieces, options.object)
    if clip.hand is not None:
        way = cKDTree(clip.hand.states[:, :3])
        return min(pieces, key=lambda one: float(way.query(one.state.points_world)[0].min()))
    return max(pieces, key=lambda one: int(one.mask.sum()))


def _at_pixel(pieces: tuple[Detection, ...], column: int, row: int) -> Detection:
    height, width = pieces[0].mask.shape
    hit = [one for one in pieces if 0 <= row < height and 0 <= column < width and one.mask[row, column]]
    if not hit:
        names = ", ".join(one.state.name for one in pieces)
        raise NoObjectError(f"--at: no object at column {column}, row {row} of {width} x {height} px; I see {names}")
    return hit[0]


def _named(pieces: tuple[Detection, ...], words: str) -> Detection:
    from armflow.perception.instruction import InstructionError, find_object, parse_instruction

    try:
        found = find_object(pieces, parse_instruction(f"hang the {words} on the rack").target)
    except InstructionError as error:
        raise NoObjectError(f"--object: {error.problem}; known words are {', '.join(error.known)}") from error
    if found.detection is None:
        raise NoObjectError(f"--object: {found.answer}")
    return found.detection


def _lies(piece: Detection, table: TablePlane) -> bool:
    """Whether something lies on the table, as an arm does not, and is whole in the picture."""
    heights = table.height(piece.state.points_world)
    border = np.concatenate([piece.mask[0], piece.mask[-1], piece.mask[:, 0], piece.mask[:, -1]]).sum()
    return float(np.quantile(heights, 0.1)) < LYING and border < 0.5 * np.sqrt(piece.mask.sum())


def _likest(pieces: tuple[Detection, ...], first: Detection) -> Detection | None:
    """The piece that lies where the object was found in another view."""
    tree = cKDTree(first.state.points_world)
    gaps = [float(np.median(tree.query(one.state.points_world)[0])) for one in pieces]
    return pieces[int(np.argmin(gaps))] if gaps and min(gaps) < NEAR / 2 else None


def _colors(frames: Mapping[str, RGBDFrame], seen: Mapping[str, Detection]) -> ObjectColors:
    around = np.ones((2 * RING + 1,) * 2, np.uint8)
    others = [cv2.dilate(one.mask.astype(np.uint8), around) == 0 for one in seen.values()]
    return learn_colors([frames[name].rgb for name in seen], [one.mask for one in seen.values()], others)


def _whole(
    frames: Mapping[str, RGBDFrame], seen: Mapping[str, Detection], colors: ObjectColors
) -> dict[str, np.ndarray]:
    """Masks with the pieces that segmentation has parted from the object, such as what shows below a hand."""
    places = {name: back_project(frame) for name, frame in frames.items()}
    masks = {name: seen[name].mask if name in seen else np.zeros(f.depth.shape, bool) for name, f in frames.items()}
    for _ in range(ROUNDS):
        known = np.concatenate([places[name][mask] for name, mask in masks.items()])
        tree = cKDTree(known[np.isfinite(known).all(axis=1)])
        for name, frame in frames.items():
            gaps = tree.query(np.nan_to_num(places[name], nan=1e3), distance_upper_bound=NEAR)[0]
            masks[name] = masks[name] | colors.mask(frame.rgb, np.isfinite(gaps))
    return masks
