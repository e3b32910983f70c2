"""One episode's particles: found when first in sight, followed with the hand, scored where the truth is recorded."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from armflow.launch.twin_clip import Clip
from armflow.launch.twin_find import NoObjectError, body_mask
from armflow.perception.cloud import hidden_points, robot_mask
from armflow.perception.frame import RGBDFrame
from armflow.perception.fuse import find_things, fuse_views, thing_colors
from armflow.perception.gaussian_masks import ObjectColors
from armflow.perception.image_motion import Sight, changed_share, follow_pictures
from armflow.perception.shape_track import ShapeTracker, ShapeTrackerConfig

__all__ = ["Followed", "follow", "score"]

_CLOSED = 0.5  # opening below which the hand is closing or closed
_STILL = 0.02  # share of an object's readings that may change while it rests
_ROBOT = 0.01  # m about the robot's capsules that may show the robot


@dataclass(frozen=True, slots=True)
class Followed:
    """An object over an episode.

    Attributes:
        tracks: [T, N, 3] its particles at every frame, m; before it was found, where it was found.
        found: Number of the frame in which it was found.
        lost: Share of the looks in which it was lost.
    """

    tracks: np.ndarray
    found: int
    lost: float


@dataclass(frozen=True, slots=True)
class _Tracker:
    """What is followed, and what tells it from the table."""

    shape: ShapeTracker
    colors: ObjectColors


def follow(clip: Clip, count: int, stride: int) -> Followed:
    """Follow a clip's object, that which the hand comes nearest to, with `count` particles, one look every `stride`.

    Raises:
        NoObjectError: It is seen in no frame, or too little of it.
    """
    ground, last = clip.ground or 0.0, len(clip.stamps) - 1
    tracker: _Tracker | None = None
    before: Sight | None = None
    looks, places, lost = [], [], 0
    views = zip(*(clip.read(name, range(len(clip.stamps))) for name in clip.cameras), strict=True)
    for index, frames in enumerate(views):  # in one pass: films are read from their beginning
        if index % stride and index != last:
            continue
        now = Sight(frames, tuple(_others(clip, frame, index) for frame in frames))
        if tracker is None or before is None:
            tracker = _find(clip, now, ground, count)
        else:
            lost += _look(clip, tracker, index, before, now) > tracker.shape.config.lost
        if tracker is not None:
            looks.append(index)
            places.append(tracker.shape.points)
        before = now
    if not looks:
        raise NoObjectError(f"{clip.name} never shows {count} points of an object on the table; try fewer --particles")
    return Followed(_between(np.array(looks), np.stack(places), last + 1), looks[0], lost / max(len(looks) - 1, 1))


def _others(clip: Clip, frame: RGBDFrame, index: int) -> np.ndarray:
    """Pixels [H, W] bool of the robot: by its capsules alone where its joints are known, for what it holds is near."""
    return body_mask(clip, frame, index) if clip.robot is None else robot_mask(frame, *clip.robot(index), _ROBOT)


def _find(clip: Clip, now: Sight, ground: float, count: int) -> _Tracker | None:
    """A tracker of the thing that the hand comes nearest to; None while nothing shows enough points."""
    assert clip.hand is not None
    way = cKDTree(clip.hand.states[:, :3])
    found = []
    for thing in find_things(now.frames, now.others, ground):
        colors = thing_colors(now.frames, thing, ground)
        cloud = fuse_views(now.frames, [~mask for mask in thing.masks], thing.points, ground, colors)
        found += [(cloud, colors)] if len(cloud) >= count else []
    if not found:
        return None
    cloud, colors = min(found, key=lambda one: float(way.query(one[0])[0].min()))
    return _Tracker(ShapeTracker(cloud, ShapeTrackerConfig(count=count)), colors)


def _look(clip: Clip, tracker: _Tracker, index: int, before: Sight, now: Sight) -> float:
    """Move the particles to what one moment shows; how far off they are in the mean, m."""
    assert clip.hand is not None
    ground, state, shape = clip.ground or 0.0, clip.hand.states[index], tracker.shape
    tip = np.eye(4)
    tip[:3, :3], tip[:3, 3] = Rotation.from_quat(state[3:7], scalar_first=True).as_matrix(), state[:3]
    if state[7] >= _CLOSED:
        shape.release()
    elif not shape.holds:
        shape.hold(tip)
    if changed_share(shape.points, before, now, ground) > _STILL:
        shape.carry(*follow_pictures(shape.points, before, now))
    cloud = fuse_views(now.frames, now.others, shape.points, ground, tracker.colors)
    if len(cloud) < 2:
        return np.inf
    hidden = np.all([hidden_points(shape.points, frame) for frame in now.frames], axis=0)
    return shape.follow(cloud, hidden, tip if shape.holds else None, floor=ground)


def _between(looks: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Tracks [count, N, 3] from places [L, N, 3] at frames [L], straight between them, at rest before the first."""
    if len(looks) == 1:
        return np.repeat(places, count, axis=0)
    high = np.clip(np.searchsorted(looks, np.arange(count)), 1, len(looks) - 1)
    share = np.clip((np.arange(count) - looks[high - 1]) / (looks[high] - looks[high - 1]), 0.0, 1.0)
    return places[high - 1] + share[:, None, None] * (places[high] - places[high - 1])


def score(tracks: np.ndarray, truth: np.ndarray | None) -> dict[str, float]:
    """Compare with the truth, in m; empty where there is none.

    Material error is the mean distance to the material point that was nearest at first, beside what it would be had
    nothing been followed; Chamfer distance is that of the clouds.
    """
    if truth is None:
        return {}
    bound = truth[:, cKDTree(truth[0]).query(tracks[0])[1]]
    gaps = [cKDTree(a).query(b)[0].mean() + cKDTree(b).query(a)[0].mean() for a, b in zip(tracks, truth, strict=True)]
    return {
        "material_error": float(np.linalg.norm(tracks - bound, axis=-1).mean()),
        "unmoved_error": float(np.linalg.norm(tracks[0] - bound, axis=-1).mean()),
        "chamfer": float(np.mean(gaps)) / 2,
    }
