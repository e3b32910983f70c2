"""Pixels into objects: height above the table, colour, and depth that stays connected."""

from dataclasses import dataclass

import cv2
import numba as nb
import numpy as np
from scipy.spatial import cKDTree

from armflow.perception.cloud import TableView

__all__ = ["SegmentConfig", "segment"]


@dataclass(frozen=True, slots=True)
class SegmentConfig:
    """Thresholds of the segmentation.

    Attributes:
        min_height: Height above the table at which a pixel stands out, m (it grows with depth squared).
        chroma: Distance in the a, b plane of CIELAB from the table's colour that tells a flat object.
        lightness: Difference in L from the table's colour that tells a flat gray object.
        tint: Distance in chromaticity (as `hue_step`) from the table's within which a flat dark patch is its shadow.
        umbra: Share of the table's brightness that the deepest shadow keeps.
        gap: Depth step between neighbouring pixels that parts two objects, m per m of distance.
        hue_step: Step in chromaticity (r, g of r + g + b = 1) that parts two touching objects.
        light_step: Step in log brightness that parts two touching objects.
        min_pixels: Smallest object at 320 x 240, px.
    """

    min_height: float = 0.005
    chroma: float = 14.0
    lightness: float = 24.0
    tint: float = 0.014
    umbra: float = 0.35
    gap: float = 0.02
    hue_step: float = 0.055
    light_step: float = 0.7
    min_pixels: int = 30


def segment(view: TableView, skip: np.ndarray, config: SegmentConfig | None = None) -> np.ndarray:
    """Label the objects of a picture.

    Args:
        view: The picture in the table's frame.
        skip: [H, W] bool pixels that belong to nobody, such as the robot.
        config: Thresholds.

    Returns:
        [H, W] int32, 0 for the table and background, 1 .. M for objects in no particular order.
    """
    config = config or SegmentConfig()
    rgb = view.rgb
    depth = np.linalg.norm(view.points - view.eye, axis=-1)
    front = _foreground(view.points[..., 2], depth, rgb, config) & ~skip
    chroma, light = _chromaticity(rgb)
    labels = _link(front, np.nan_to_num(depth, nan=-1.0), chroma, light, config.gap, config.hue_step, config.light_step)
    labels = _drop_small(labels, 6)
    labels = _merge(labels, view.points, chroma, light, config)
    labels = _drop_small(labels, max(8, round(config.min_pixels * labels.size / 76800)))
    open_pixels = np.isnan(depth) & ~skip
    return _grow(labels, open_pixels, chroma, light, 3, config.hue_step, config.light_step)


def _foreground(height: np.ndarray, depth: np.ndarray, rgb: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """Pixels above the table, or on it with another colour than the table's."""
    level = config.min_height * np.clip(depth, 1.0, 3.0) ** 2
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    on_table = np.abs(height) < level
    if on_table.sum() < 50:
        return height > level
    table = np.median(lab[on_table], axis=0)
    away = lab - table
    spread = np.median(np.abs(away[on_table]), axis=0)
    chroma = np.hypot(away[..., 1], away[..., 2]) > max(config.chroma, 6 * np.hypot(spread[1], spread[2]))
    bound = max(config.lightness, 6 * spread[0])  # darker may be shadow
    other = chroma | (away[..., 0] > 0.6 * bound) | ((away[..., 0] < -bound) & ~_shadow(rgb, on_table, config))
    raised = (_smooth(np.clip(height, -level, level)) > 0.45 * level) & (height > 0.3 * level)
    front = (height > level) | (other & on_table) | raised
    lost = np.isnan(height)  # no reason to think a pixel beside them alone
    square = np.ones((2, 2), np.uint8)
    core = cv2.erode((front | lost).astype(np.uint8), square, anchor=(0, 0))
    return front & (cv2.dilate(core, square, anchor=(1, 1)) > 0)


def _shadow(rgb: np.ndarray, on_table: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """Pixels [H, W] of the table's tint that are darker than it, though not black: nothing but light is missing."""
    mean = cv2.blur(rgb, (3, 3)).astype(float)
    table = np.median(rgb[on_table], axis=0).astype(float)
    share = mean.sum(-1) / max(table.sum(), 1.0)
    tint = (mean[..., :2] + 5) / (mean.sum(-1) + 15)[..., None] - (table[:2] + 5) / (table.sum() + 15)
    return (np.linalg.norm(tint, axis=-1) < config.tint) & (share > config.umbra)


def _smooth(height: np.ndarray) -> np.ndarray:
    """Mean of the readings in the 5 x 5 pixels around each one (0 where there is none)."""
    seen = np.isfinite(height)
    total = cv2.blur(np.where(seen, height, 0.0), (5, 5))
    return total / np.maximum(cv2.blur(seen.astype(float), (5, 5)), 1e-6)


def _chromaticity(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour without brightness [H, W, 2] (dark pixels drawn to gray), and log brightness [H, W]."""
    values = rgb.astype(np.float32)
    total = values.sum(-1)
    chroma = (values[..., :2] + 20) / (total + 60)[..., None]
    return chroma, np.log((total + 30) / 3)


@nb.njit(cache=True)
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@nb.njit(cache=True)
def _link(front, depth, chroma, light, gap, hue_step, light_step):  # noqa: C901 - one pass over the pixels
    """Connected components [H, W] of the foreground over neighbours alike in depth and colour (union-find)."""
    H, W = front.shape
    parent = np.arange(H * W)
    for r in range(H):
        for c in range(W):
            if not front[r, c]:
                continue
            for k in range(4):
                rr, cc = r + (0, 1, 1, 1)[k], c + (1, 0, 1, -1)[k]
                if rr >= H or cc >= W or cc < 0 or not front[rr, cc]:
                    continue
                if abs(depth[r, c] - depth[rr, cc]) > gap * depth[r, c]:
                    continue
                du, dv = chroma[r, c, 0] - chroma[rr, cc, 0], chroma[r, c, 1] - chroma[rr, cc, 1]
                if du * du + dv * dv > hue_step * hue_step or abs(light[r, c] - light[rr, cc]) > light_step:
                    continue
                a, b = _root(parent, r * W + c), _root(parent, rr * W + cc)
                parent[max(a, b)] = min(a, b)
    labels = np.zeros((H, W), np.int32)
    number = np.zeros(H * W, np.int32)
    count = 0
    for r in range(H):
        for c in range(W):
            if front[r, c]:
                root = _root(parent, r * W + c)
                if number[root] == 0:
                    count += 1
                    number[root] = count
                labels[r, c] = number[root]
    return labels


def _drop_small(labels: np.ndarray, least: int) -> np.ndarray:
    """Remove labels with fewer pixels and number the rest without holes."""
    counts = np.bincount(labels.ravel())
    keep = counts >= least
    keep[0] = False
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return numbers[labels]


def _merge(
    labels: np.ndarray, points: np.ndarray, chroma: np.ndarray, light: np.ndarray, config: SegmentConfig
) -> np.ndarray:
    """Join pieces of one colour that touch in space, or that are the walls of one vessel."""
    count = int(labels.max())
    if count < 2:
        return labels
    masks = [labels == k + 1 for k in range(count)]
    clouds = [points[m] for m in masks]
    glow = np.array([np.median(light[m]) for m in masks])
    total = (3 * np.exp(glow) + 30)[:, None]  # what `_chromaticity` divided by; medians need less of its gray
    tint = (np.array([np.median(chroma[m], axis=0) for m in masks]) * total - 15) / (total - 45)
    low, high = np.array([c.min(0) for c in clouds]), np.array([c.max(0) for c in clouds])
    parent = np.arange(count)
    for i in range(count):
        for j in range(i + 1, count):
            alike = np.linalg.norm(tint[i] - tint[j]) < config.hue_step
            vivid = np.linalg.norm(tint[i] - 1 / 3) > 0.06  # a gray says nothing but its brightness
            alike &= abs(glow[i] - glow[j]) < (1.4 if vivid else 1.0) * config.light_step
            apart = np.maximum(low[i], low[j]) - np.minimum(high[i], high[j])
            if not alike or apart.max() > 0.08 or _root(parent, i) == _root(parent, j):
                continue
            if _touch(clouds[i], clouds[j]) or (_beside(masks[i], masks[j]) and _one_vessel(clouds[i], clouds[j])):
                a, b = _root(parent, i), _root(parent, j)
                parent[max(a, b)] = min(a, b)
    roots = np.array([0] + [_root(parent, k) + 1 for k in range(count)], np.int32)
    return roots[labels]


def _touch(first: np.ndarray, second: np.ndarray, reach: float = 0.009) -> bool:
    """Two clouds come nearer to one another than `reach`."""
    tree = cKDTree(first[:: max(1, len(first) // 600)])
    return bool((tree.query(second[:: max(1, len(second) // 600)], distance_upper_bound=reach)[0] < reach).any())


def _beside(first: np.ndarray, second: np.ndarray) -> bool:
    """Two masks are at most three pixels apart."""
    return bool(((cv2.dilate(first.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0) & second).any())


def _one_vessel(first: np.ndarray, second: np.ndarray) -> bool:
    """Two pieces end at one height and fit in one small outline: the front and back walls of an open vessel."""
    rims = abs(np.quantile(first[:, 2], 0.97) - np.quantile(second[:, 2], 0.97)) < 0.012
    (_, _), sides, _ = cv2.minAreaRect(np.concatenate([first, second])[:, :2].astype(np.float32))
    return bool(rims and max(sides) < 0.12)


@nb.njit(cache=True)
def _grow(labels, open_pixels, chroma, light, rounds, hue_step, light_step):
    """Give pixels without depth to a neighbouring object of their colour, up to `rounds` pixels deep."""
    H, W = labels.shape
    for _ in range(rounds):
        grown = labels.copy()
        for r in range(1, H - 1):
            for c in range(1, W - 1):
                if not open_pixels[r, c] or labels[r, c] != 0:
                    continue
                best = hue_step
                for k in range(8):
                    rr, cc = r + (-1, -1, -1, 0, 0, 1, 1, 1)[k], c + (-1, 0, 1, -1, 1, -1, 0, 1)[k]
                    if labels[rr, cc] == 0 or abs(light[r, c] - light[rr, cc]) > light_step:
                        continue
                    step = np.hypot(chroma[r, c, 0] - chroma[rr, cc, 0], chroma[r, c, 1] - chroma[rr, cc, 1])
                    if step < best:
                        best = step
                        grown[r, c] = labels[rr, cc]
        labels = grown
    return labels
