"""What several cameras see of one object at one moment, as one cloud: found for the first time, and found again.

Height parts a thing from the table only where it is thick: below a few millimetres noise of depth reaches as high. What
lies flat, as a cloth, is told by the colours that it had when it was found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from armflow.perception.cloud import back_project, view_from
from armflow.perception.detection import TablePlane
from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussian_masks import ObjectColors, learn_colors
from armflow.perception.regions import segment

__all__ = ["Thing", "find_things", "fuse_views", "thing_colors"]

_NEAR = 0.08  # m around the particles in which what is seen may belong to the object
_CLEAR = 0.004  # m about the table's height within which a reading may be the table's
_CELL = 0.004  # m, of the cubes of which each keeps one mean point
_TOUCHING = 0.02  # m between parts of one thing
_LYING = 0.03  # m above the table, within which the lowest part that is seen of a thing is
_LEAST = 30  # readings of a piece; fewer are noise
_RING = 3  # px around a mask that are neither surely the thing's nor surely not


@dataclass(frozen=True, slots=True)
class Thing:
    """Something on the table.

    Attributes:
        points: [M, 3] what all views show of it, m, with the table's readings along its edges.
        masks: [H, W] bool each, its pixels in each view.
        lies: Whether some part of it reaches down to the table, as a lid need not and an arm does not.
    """

    points: np.ndarray
    masks: tuple[np.ndarray, ...]
    lies: bool


def find_things(frames: Sequence[RGBDFrame], others: Sequence[np.ndarray], ground: float) -> list[Thing]:
    """Find what lies on the table: the pieces of all views, those joined that touch, such as a lid and its box.

    Args:
        frames: What each camera saw, in one world with z up.
        others: [H, W] bool each, pixels that are not to be taken for things, such as the robot's.
        ground: Height of the table, m.

    Returns:
        Things, those of most points first.
    """
    table = TablePlane(np.array([0.0, 0.0, 1.0]), ground)
    things: list[Thing] = []
    for view, (frame, other) in enumerate(zip(frames, others, strict=True)):
        labels, seen = segment(view_from(frame, table), other), back_project(frame)
        for label in range(1, int(labels.max()) + 1):
            masks = [np.zeros(f.depth.shape, bool) for f in frames]
            masks[view] = labels == label
            points = seen[masks[view] & np.isfinite(seen[..., 2])]
            if len(points) >= _LEAST:
                lies = bool(np.quantile(points[:, 2], 0.02) - ground < _LYING)
                things = _joined(Thing(points, tuple(masks), lies), things)
    return sorted((thing for thing in things if thing.lies), key=lambda thing: -len(thing.points))


def _joined(piece: Thing, things: list[Thing]) -> list[Thing]:
    """Things with a piece added to those that it touches, which it joins."""
    tree = cKDTree(piece.points)
    touches = [bool(tree.query(thing.points)[0].min() < _TOUCHING) for thing in things]
    parts = [piece, *(thing for thing, near in zip(things, touches, strict=True) if near)]
    masks = tuple(np.logical_or.reduce(views) for views in zip(*(part.masks for part in parts), strict=True))
    whole = Thing(np.concatenate([part.points for part in parts]), masks, any(part.lies for part in parts))
    return [*(thing for thing, near in zip(things, touches, strict=True) if not near), whole]


def thing_colors(frames: Sequence[RGBDFrame], thing: Thing, ground: float) -> ObjectColors:
    """Learn what tells a thing from the rest of the pictures in which it was found, above a table at a height, m.

    Its edges are left out where it is thick: there, compressed pictures show its colours on the table.
    """
    around = np.ones((2 * _RING + 1,) * 2, np.uint8)
    rest = [cv2.dilate(mask.astype(np.uint8), around) == 0 for mask in thing.masks]
    high = [m & (_heights(frame) > ground + _CLEAR) for frame, m in zip(frames, thing.masks, strict=True)]
    thick = sum(int(mask.sum()) for mask in high) > 0.5 * sum(int(mask.sum()) for mask in thing.masks)
    return learn_colors([frame.rgb for frame in frames], high if thick else thing.masks, rest)


def _heights(frame: RGBDFrame) -> np.ndarray:
    """Height [H, W] of each reading, m; far below everything where there is none."""
    return np.nan_to_num(back_project(frame)[..., 2], nan=-np.inf)


def fuse_views(
    frames: Sequence[RGBDFrame], others: Sequence[np.ndarray], points: np.ndarray, ground: float, colors: ObjectColors
) -> np.ndarray:
    """Lift what is seen near known particles, above the table or of the object's colours, and thin it evenly.

    Args:
        frames: What each camera saw, in one world.
        others: [H, W] bool each, pixels that are not the object's, such as the robot's.
        points: [N, 3] where the object was last, m.
        ground: Height of the table, m.
        colors: What tells the object where it lies flat.

    Returns:
        [M, 3] m; M is 0 where nothing of it is seen.
    """
    low, high = points.min(0) - _NEAR, points.max(0) + _NEAR
    low[2] = ground - _CLEAR
    clouds = []
    for frame, other in zip(frames, others, strict=True):
        seen = back_project(frame)
        with np.errstate(invalid="ignore"):
            near = ((seen > low) & (seen < high)).all(-1) & ~other
            above = near & (seen[..., 2] > ground + _CLEAR)
        clouds.append(seen[above | colors.mask(frame.rgb, near)])
    return _thinned(np.concatenate(clouds))


def _thinned(cloud: np.ndarray) -> np.ndarray:
    """Mean of the points [M, 3] in each cube."""
    if not len(cloud):
        return cloud
    cells = np.floor(cloud / _CELL).astype(np.int64)
    owner, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)[1:]
    sums = [np.bincount(owner.reshape(-1), cloud[:, k]) for k in range(3)]
    return np.stack(sums, axis=1) / count[:, None]
