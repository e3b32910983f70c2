"""Where particles went from one moment to the next, as pictures show it: optical flow, lifted by depth.

Surfaces alone do not tell how a thing slid along itself; its stripes, edges and shades do. A shadow that passes over a
thing at rest moves in pictures as well, so flow is worth asking only where depth has changed: see `changed_share`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from armflow.perception.cloud import back_project, project
from armflow.perception.frame import RGBDFrame
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ShapeError

__all__ = ["Sight", "changed_share", "follow_pictures"]

_MARGIN = 24  # px around the particles that flow is computed in
_LEAST = 16  # px, of the smallest window in which flow can be computed
_NEAR = 0.02  # m around the particles within which a reading is the object's
_CLEAR = 0.004  # m above the table below which a reading may be the table's
_AGREE = 0.012  # m between a particle and the depth at its pixel, within which it is what is seen there
_JUMP = 0.03  # m of depth from look to look, beyond which flow has gone over an edge
_RETURN = 1.0  # px that flow there and back may miss by
_CHANGE = 0.008  # m of depth that noise does not reach


@dataclass(frozen=True, slots=True)
class Sight:
    """What all cameras see at one moment.

    Attributes:
        frames: One from each camera, in one world.
        others: [H, W] bool each, pixels that are not the object's, such as the robot's.
    """

    frames: tuple[RGBDFrame, ...]
    others: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        """Check that there is a mask of the right size for each frame.

        Raises:
            ShapeError: No frame, or masks that do not fit.
        """
        if not self.frames or len(self.frames) != len(self.others):
            raise ShapeError(
                "others", f"one mask for each of {len(self.frames)} frames, at least one", len(self.others)
            )
        for frame, other in zip(self.frames, self.others, strict=True):
            check_shape("others", other, "H W", dict(zip("HW", frame.depth.shape, strict=True)))


def changed_share(points: np.ndarray, before: Sight, now: Sight, ground: float) -> float:
    """Share of the readings of an object that are no longer what they were, in the camera that shows most change.

    Args:
        points: [N, 3] where the object was before, m.
        before: What was seen then.
        now: What is seen now, by the same cameras.
        ground: Height of the table, m.
    """
    shares = [0.0]
    low, high = points.min(0) - _NEAR, points.max(0) + _NEAR
    low[2] = ground + _CLEAR
    for old, new, hidden in _windows(points, before, now):
        seen = back_project(old)
        with np.errstate(invalid="ignore"):
            own = ((seen > low) & (seen < high)).all(-1) & ~hidden & np.isfinite(new.depth)
        if own.sum() >= _LEAST:
            shares.append(float((np.abs(new.depth - old.depth)[own] > _CHANGE).mean()))
    return max(shares)


def follow_pictures(points: np.ndarray, before: Sight, now: Sight) -> tuple[np.ndarray, np.ndarray]:
    """Follow particles from one moment to the next by dense inverse search flow in each camera.

    A particle counts as followed where it was in sight before and is now, where flow there and back agree, and where
    depth does not jump; cameras that follow it are averaged. It keeps how far it lay behind the surface that was seen.

    Args:
        points: [N, 3] where the particles were before, m.
        before: What was seen then.
        now: What is seen now, by the same cameras.

    Returns:
        Places [N, 3] m, where they were before for those that could not be followed; and which could, [N] bool.

    Raises:
        ShapeError: points is not [N, 3] or not finite.

    Reference:
        Kroeger et al. (2016), doi:10.1007/978-3-319-46493-0_29.
    """
    check_shape("points", points, "N 3")
    check_finite("points", points)
    sums, count = np.zeros_like(points, float), np.zeros(len(points))
    for old, new, hidden in _windows(points, before, now):
        places, followed = _follow_one(points, old, new, hidden)
        sums[followed] += places[followed]
        count += followed
    known = count > 0
    return np.where(known[:, None], sums / np.maximum(count, 1)[:, None], points), known


def _windows(points: np.ndarray, before: Sight, now: Sight) -> Iterator[tuple[RGBDFrame, RGBDFrame, np.ndarray]]:
    """Both moments of each camera, cut to a window about the particles, and the pixels that are others' in either."""
    for old, new, a, b in zip(before.frames, now.frames, before.others, now.others, strict=True):
        pixels, depth = project(points, old.K, old.T_world_camera.as_matrix())
        if not (depth > 0).any():
            continue
        size = np.array(old.depth.shape[::-1])
        low = np.clip(np.floor(pixels[depth > 0].min(0)) - _MARGIN, 0, size).astype(int)
        high = np.clip(np.ceil(pixels[depth > 0].max(0)) + _MARGIN + 1, 0, size).astype(int)
        if (high - low >= _LEAST).all():
            cut = np.s_[low[1] : high[1], low[0] : high[0]]
            yield _cut(old, cut), _cut(new, cut), (a | b)[cut]


def _cut(frame: RGBDFrame, cut: tuple[slice, slice]) -> RGBDFrame:
    K = frame.K.copy()
    K[:2, 2] -= cut[1].start, cut[0].start
    return RGBDFrame(frame.rgb[cut], frame.depth[cut], K, frame.T_world_camera, frame.stamp)


def _follow_one(
    points: np.ndarray, old: RGBDFrame, new: RGBDFrame, hidden: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places [N, 3] by one camera, and which are to be trusted [N]."""
    T = old.T_world_camera.as_matrix()
    start, depth = project(points, old.K, T)
    first, second = (cv2.cvtColor(np.ascontiguousarray(f.rgb), cv2.COLOR_RGB2GRAY) for f in (old, new))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    there = _sample(search.calc(first, second, np.zeros((*first.shape, 2), np.float32)), start)
    end = start + there
    back = _sample(search.calc(second, first, np.zeros((*first.shape, 2), np.float32)), end)
    was, now = _reading(old, start, hidden), _reading(new, end, hidden)
    with np.errstate(invalid="ignore"):
        trusted = (np.abs(was - depth) < _AGREE) & (np.abs(now - was) < _JUMP)
    trusted &= np.linalg.norm(there + back, axis=1) < _RETURN
    z = depth + np.where(trusted, now - was, 0.0)
    rays = np.column_stack([end, np.ones(len(end))]) @ np.linalg.inv(new.K).T
    return (rays * z[:, None]) @ T[:3, :3].T + T[:3, 3], trusted


def _sample(flow: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Flow [N, 2] at pixels [N, 2], between its grid's values."""
    u, v = pixels.astype(np.float32).T
    return cv2.remap(flow, u[:, None], v[:, None], cv2.INTER_LINEAR)[:, 0]


def _reading(frame: RGBDFrame, pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Depth [N] at pixels [N, 2], m; NaN outside the window, where there is none and where something else is seen."""
    height, width = frame.depth.shape
    u, v = np.round(np.clip(pixels, -1, [width, height])).astype(int).T
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    found = np.full(len(pixels), np.nan)
    found[inside] = np.where(hidden[v[inside], u[inside]], np.nan, frame.depth[v[inside], u[inside]])
    return found
