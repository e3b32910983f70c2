"""What several cameras see of one object at one moment, as one cloud: found for the first time, and found again."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from armflow.perception.cloud import back_project
from armflow.perception.detection import TablePlane
from armflow.perception.frame import RGBDFrame
from armflow.perception.segment import perceive

__all__ = ["find_things", "fuse_views"]

_NEAR = 0.08  # m around the particles in which what is seen may belong to the object
_CLEAR = 0.004  # m above the table below which a reading may be the table's
_CELL = 0.004  # m, of the cubes of which each keeps one mean point
_TOUCHING = 0.02  # m between parts of one thing
_LYING = 0.03  # m above the table, within which the lowest part that is seen of a thing is


def find_things(
    frames: Sequence[RGBDFrame], others: Sequence[np.ndarray], ground: float, *, rng: np.random.Generator
) -> list[np.ndarray]:
    """Find what lies on the table: the pieces of all views, those joined that touch, such as a lid and its box.

    Args:
        frames: What each camera saw, in one world with z up.
        others: [H, W] bool each, pixels that are not to be taken for things, such as the robot's.
        ground: Height of the table, m.
        rng: Source of the fits' samples.

    Returns:
        Clouds [M, 3], m, the largest first.
    """
    table = TablePlane(np.array([0.0, 0.0, 1.0]), ground)
    things: list[np.ndarray] = []
    for frame, other in zip(frames, others, strict=True):
        for one in perceive(frame, rng=rng, robot=other, table=table).detections:
            piece = one.state.points_world
            if np.quantile(piece[:, 2], 0.02) - ground < _LYING:
                things = _joined(piece, things)
    return sorted(things, key=len, reverse=True)


def _joined(piece: np.ndarray, things: list[np.ndarray]) -> list[np.ndarray]:
    """Things [M, 3] with a piece added to those that it touches, which it joins."""
    tree = cKDTree(piece)
    touches = [bool(tree.query(thing)[0].min() < _TOUCHING) for thing in things]
    whole = np.concatenate([piece, *(thing for thing, near in zip(things, touches, strict=True) if near)])
    return [*(thing for thing, near in zip(things, touches, strict=True) if not near), whole]


def fuse_views(
    frames: Sequence[RGBDFrame], others: Sequence[np.ndarray], points: np.ndarray, ground: float
) -> np.ndarray:
    """Lift what is seen near known particles, above the table and not of the robot, and thin it evenly.

    Args:
        frames: What each camera saw, in one world.
        others: [H, W] bool each, pixels that are not the object's, such as the robot's.
        points: [N, 3] where the object was last, m.
        ground: Height of the table, m.

    Returns:
        [M, 3] m; M is 0 where nothing of it is seen.
    """
    low, high = points.min(0) - _NEAR, points.max(0) + _NEAR
    low[2] = ground + _CLEAR
    clouds = []
    for frame, other in zip(frames, others, strict=True):
        seen = back_project(frame)
        with np.errstate(invalid="ignore"):
            clouds.append(seen[((seen > low) & (seen < high)).all(-1) & ~other])
    return _thinned(np.concatenate(clouds))


def _thinned(cloud: np.ndarray) -> np.ndarray:
    """Mean of the points [M, 3] in each cube."""
    if not len(cloud):
        return cloud
    cells = np.floor(cloud / _CELL).astype(np.int64)
    owner, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)[1:]
    sums = [np.bincount(owner.reshape(-1), cloud[:, k]) for k in range(3)]
    return np.stack(sums, axis=1) / count[:, None]
