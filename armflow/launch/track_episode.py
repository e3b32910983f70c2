"""One episode's particles: found in the first frame, followed with the hand, scored by the truth where there is one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from armflow.launch.twin import Twin
from armflow.launch.twin_clip import Clip
from armflow.launch.twin_find import NoObjectError, body_mask, find
from armflow.perception.cloud import back_project
from armflow.perception.frame import RGBDFrame
from armflow.perception.fuse import fuse_views
from armflow.perception.shape_track import ShapeTracker, ShapeTrackerConfig
from armflow.planning.mppi.watch import hidden_points

__all__ = ["follow", "score"]

_CLOSED = 0.5  # opening below which the hand is closing or closed


def follow(clip: Clip, count: int, stride: int, seed: int) -> tuple[np.ndarray, float]:
    """Tracks [T, count, 3] (m) of a clip's object, and the share of looks in which it was lost.

    Raises:
        NoObjectError: Nothing is seen in the first frame, or too little of it.
    """
    found = find(clip, Twin(Path()), 0, rng=np.random.default_rng(seed))
    seen = np.concatenate([back_project(frame)[found.masks[name]] for name, frame in found.frames.items()])
    seen = seen[np.isfinite(seen).all(axis=1)]
    if len(seen) < count:
        raise NoObjectError(f"{clip.name} shows {len(seen)} points of the object; ask for fewer --particles")
    tracker, ground = ShapeTracker(seen, ShapeTrackerConfig(count=count)), clip.ground or 0.0
    looks = np.unique(np.append(np.arange(0, len(clip.stamps), stride), len(clip.stamps) - 1))
    places, lost = [tracker.points], 0
    views = zip(*(clip.read(name, range(len(clip.stamps))) for name in clip.cameras), strict=True)
    chosen = set(looks[1:].tolist())
    for index, frames in enumerate(views):  # in one pass: films are read from their beginning
        if index in chosen:
            lost += _look(clip, tracker, index, frames, ground) > tracker.config.lost
            places.append(tracker.points)
    return _between(looks, np.stack(places), len(clip.stamps)), lost / max(len(looks) - 1, 1)


def _look(clip: Clip, tracker: ShapeTracker, index: int, frames: Sequence[RGBDFrame], ground: float) -> float:
    """Move the particles to what one moment shows; how far off they are in the mean, m."""
    assert clip.hand is not None
    state = clip.hand.states[index]
    tip = np.eye(4)
    tip[:3, :3], tip[:3, 3] = Rotation.from_quat(state[3:7], scalar_first=True).as_matrix(), state[:3]
    if state[7] >= _CLOSED:
        tracker.release()
    elif not tracker.holds:
        tracker.hold(tip)
    cloud = fuse_views(frames, [body_mask(clip, frame, index) for frame in frames], tracker.points, ground)
    if len(cloud) < 2:
        return np.inf
    hidden = np.all([hidden_points(tracker.points, frame) for frame in frames], axis=0)
    return tracker.follow(cloud, hidden, tip if tracker.holds else None, floor=ground)


def _between(looks: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Tracks [count, N, 3] from places [L, N, 3] at frames [L], straight between them."""
    high = np.clip(np.searchsorted(looks, np.arange(count)), 1, len(looks) - 1)
    share = (np.arange(count) - looks[high - 1]) / (looks[high] - looks[high - 1])
    return places[high - 1] + share[:, None, None] * (places[high] - places[high - 1])


def score(tracks: np.ndarray, truth: np.ndarray | None) -> dict[str, float]:
    """Mean distance to the material point nearest at first, and Chamfer distance, m; empty without truth."""
    if truth is None:
        return {}
    bound = truth[:, cKDTree(truth[0]).query(tracks[0])[1]]
    gaps = [cKDTree(a).query(b)[0].mean() + cKDTree(b).query(a)[0].mean() for a, b in zip(tracks, truth, strict=True)]
    return {
        "material_error": float(np.linalg.norm(tracks - bound, axis=-1).mean()),
        "chamfer": float(np.mean(gaps)) / 2,
    }
