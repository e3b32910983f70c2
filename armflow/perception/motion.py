"""Which object moves in a recording of a still camera: carried by the arm, or on its own; or nothing sure."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from armflow.perception.frame import RGBDFrame

__all__ = ["MotionConfig", "MovingObject", "moving_object", "moving_pixels"]


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """When a change counts as motion and when motion counts as an object's.

    Attributes:
        change: Distance in CIELAB from earlier and later frames that shows motion.
        nearest: Least number of frames between those compared.
        farthest: Largest number of frames between them.
        least_share: Smallest object, share of the picture.
        run: Fewest frames in a row in which an object must be seen moving.
        stranger: Share of the arm's pixels below which a colour is not the arm's.
    """

    change: float = 14.0
    nearest: int = 2
    farthest: int = 6
    least_share: float = 2.5e-4
    run: int = 4
    stranger: float = 0.012


@dataclass(frozen=True, slots=True)
class MovingObject:
    """The answer.

    Attributes:
        masks: Frame number to mask [H, W] bool of the moving object; empty for an abstention.
        best: Number of the frame that shows it best; -1 for an abstention.
        arms: [T, H, W] bool, what was taken for the arm in each frame.
        reason: One sentence that says what was seen, or why nothing is claimed.
    """

    masks: dict[int, np.ndarray]
    best: int
    arms: np.ndarray
    reason: str


def moving_pixels(frames: Sequence[RGBDFrame], config: MotionConfig | None = None) -> np.ndarray:
    """Pixels that show something in motion: unlike what was there shortly before and shortly after.

    What was uncovered, moved aside or lit differently for good is like one of the two and drops out.

    Returns:
        [T, H, W] bool.
    """
    config = config or MotionConfig()
    lab = [cv2.cvtColor(cv2.GaussianBlur(f.rgb, (3, 3), 0).astype(np.float32) / 255, cv2.COLOR_RGB2Lab) for f in frames]
    count = len(lab)
    moving = np.zeros((count, *lab[0].shape[:2]), bool)
    for i in range(count):
        steps = range(config.nearest, config.farthest + 1, 2)
        sides = [[i + sign * k for k in steps if 0 <= i + sign * k < count] for sign in (-1, 1)]
        away = [[np.linalg.norm(lab[j] - lab[i], axis=-1) for j in side] for side in sides if side]
        changes = [np.median(side, axis=0) for side in away]
        if changes:
            mask = (np.minimum.reduce(changes) > config.change).astype(np.uint8)
            moving[i] = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    return moving


def moving_object(frames: Sequence[RGBDFrame], config: MotionConfig | None = None) -> MovingObject:
    """Find the object that moves in a recording.

    Whatever moves and reaches the picture's border is taken for the arm. An object is what moves beside the arm in
    colours that the arm has not, or apart from it, in several frames in a row along a steady path.

    Args:
        frames: At least three, from a camera that stands still.
        config: Thresholds.
    """
    config = config or MotionConfig()
    if len(frames) < 3:
        none = np.zeros((len(frames), *frames[0].depth.shape), bool) if frames else np.zeros((0, 0, 0), bool)
        return MovingObject({}, -1, none, f"no moving object: {len(frames)} frames are too few to tell")
    moving = moving_pixels(frames, config)
    colors = [_cells(f.rgb) for f in frames]
    arms = [_arm(m) for m in moving]
    histogram = _arm_colors(colors, arms)
    candidates = [_candidates(m, a, histogram[c], config) for m, a, c in zip(moving, arms, colors, strict=True)]
    chain = _best_chain(candidates, config)
    if len(chain) < config.run:
        reason = f"no moving object: {moving.mean():.1%} of the pixels move, but nothing besides the arm moves steadily"
        return MovingObject({}, -1, np.stack(arms), reason)
    best = max(chain, key=lambda i: float(chain[i].sum()))
    first, last = min(chain), max(chain)
    reason = f"something moves along with the arm or by itself in frames {first} to {last}, best seen in frame {best}"
    return MovingObject(chain, best, np.stack(arms), reason)


def _cells(rgb: np.ndarray) -> np.ndarray:
    """Number of the coarse CIELAB cell of each pixel: [H, W] below 512."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab).astype(int)
    bright = lab[..., 0] // 32
    tint = np.clip((lab[..., 1:] - 128) // 10 + 4, 0, 7)
    return bright * 64 + tint[..., 0] * 8 + tint[..., 1]


def _arm(moving: np.ndarray) -> np.ndarray:
    """The moving parts that reach the border, gaps closed."""
    closed = cv2.morphologyEx(moving.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    H, W = moving.shape
    x, y, w, h, area = (stats[:, k] for k in range(5))
    edge = (x == 0) | (y == 0) | (x + w == W) | (y + h == H)
    large = area > 0.002 * H * W
    chosen = np.flatnonzero(edge & large & (np.arange(count) > 0))
    return np.isin(labels, chosen) & moving


def _arm_colors(colors: Sequence[np.ndarray], arms: Sequence[np.ndarray]) -> np.ndarray:
    """Share of each colour cell among the arm's pixels of all frames, [512]."""
    counts = np.zeros(512)
    for color, arm in zip(colors, arms, strict=True):
        counts += np.bincount(color[arm], minlength=512)
    return counts / max(counts.sum(), 1)


def _candidates(moving: np.ndarray, arm: np.ndarray, share: np.ndarray, config: MotionConfig) -> list[np.ndarray]:
    """Masks of moving things that are not the arm: strange in colour where they touch it, outside its outline."""
    own = arm & (share >= config.stranger)
    body = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)) > 0
    strange = (moving & ~body & ((share < config.stranger) | ~arm)).astype(np.uint8)
    joined = cv2.dilate(strange, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    H, W = moving.shape
    found = []
    for k in range(1, count):
        x, y, w, h, _ = stats[k]
        mask = (labels == k) & (strange > 0)
        inside = x > 0 and y > 0 and x + w < W and y + h < H
        if inside and config.least_share * H * W <= mask.sum() < 0.08 * H * W:
            found.append(mask)
    return found


def _best_chain(candidates: list[list[np.ndarray]], config: MotionConfig) -> dict[int, np.ndarray]:
    """Longest run of candidates in neighbouring frames that move steadily: frame number to mask."""
    best: dict[int, np.ndarray] = {}
    for start, masks in enumerate(candidates):
        for mask in masks:
            chain = _follow(candidates, start, mask, config)
            if len(chain) > len(best) and _travels(chain):
                best = chain
    return best


def _follow(
    candidates: list[list[np.ndarray]], start: int, mask: np.ndarray, config: MotionConfig
) -> dict[int, np.ndarray]:
    """Extend a run from one mask forward while something alike is near where it is expected."""
    chain, place, step = {start: mask}, _place(mask), None
    size = float(np.hypot(*mask.shape))
    for index in range(start + 1, len(candidates)):
        expected = place if step is None else place + step
        near = [m for m in candidates[index] if 1 / 3 < m.sum() / chain[index - 1].sum() < 3]
        near = [m for m in near if np.linalg.norm(_place(m) - expected) < 0.12 * size]
        if not near:
            break
        nxt = min(near, key=lambda m: float(np.linalg.norm(_place(m) - expected)))
        step, place = _place(nxt) - place, _place(nxt)
        chain[index] = nxt
    return chain


def _place(mask: np.ndarray) -> np.ndarray:
    """Mean row and column of a mask."""
    return np.argwhere(mask).mean(0)


def _travels(chain: dict[int, np.ndarray]) -> bool:
    """True where the run covers ground: its ends lie apart by a share of the picture."""
    places = np.array([_place(m) for m in chain.values()])
    extent = float(np.linalg.norm(np.ptp(places, axis=0)))
    return extent > 0.06 * float(np.hypot(*next(iter(chain.values())).shape))
