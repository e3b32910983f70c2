"""What several cameras see of one object at one moment, as one cloud."""

from collections.abc import Sequence

import numpy as np

from armflow.perception.cloud import back_project
from armflow.perception.frame import RGBDFrame

__all__ = ["fuse_views"]

_NEAR = 0.08  # m around the particles in which what is seen may belong to the object
_CLEAR = 0.004  # m above the table below which a reading may be the table's
_CELL = 0.004  # m, of the cubes of which each keeps one mean point


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
