"""What a segment is: its kind, the pose of its frame and its size, with the hidden side completed.

Kinds are told apart by geometry alone; dimensions may differ from the usual ones by a factor of two.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from armflow.perception.cloud import TableView
from armflow.perception.shapes import Circle, fit_circle, fit_line, fit_rectangle, lying_axis

__all__ = ["Piece", "Shape", "describe", "frame_at", "piece_of"]


@dataclass(frozen=True, slots=True)
class Piece:
    """The pixels of one segment: all of them, those with depth, and the height of the top.

    Attributes:
        view: The picture.
        mask: [H, W] bool.
        pixels: [N, 2] row and column of pixels with depth.
        points: [N, 3] their points in the table's frame, m.
        top: Height of the highest face or rim, m.
        pitch: Typical distance between neighbouring points, m.
    """

    view: TableView
    mask: np.ndarray
    pixels: np.ndarray
    points: np.ndarray
    top: float
    pitch: float


@dataclass(frozen=True, slots=True)
class Shape:
    """Kind, pose T_table_object [4, 4], size [3] m and confidence 0 to 1, as in `Detection`."""

    kind: str
    T_table_object: np.ndarray
    size: np.ndarray
    confidence: float


def frame_at(origin: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Pose [4, 4] with the given origin, x axis, and z as near as possible to the given one."""
    x = x / np.linalg.norm(x)
    y = np.cross(z, x)
    y /= np.linalg.norm(y)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.column_stack([x, y, np.cross(x, y)]), origin
    return T


def level(center: np.ndarray, z: float, yaw: float) -> np.ndarray:
    """Pose [4, 4] above a point [2] of the table, turned about the vertical only."""
    return frame_at(np.array([center[0], center[1], z]), np.array([np.cos(yaw), np.sin(yaw), 0]), np.array([0, 0, 1.0]))


def piece_of(view: TableView, mask: np.ndarray) -> Piece | None:
    """Gather the pixels of a segment; None where fewer than eight have depth."""
    seen = mask & np.isfinite(view.points[..., 2])
    pixels = np.argwhere(seen)
    if len(pixels) < 8:
        return None
    points = view.points[seen]
    height = points[:, 2]
    top = float(np.median(height[height > np.quantile(height, 0.97) - 0.004]))
    for _ in range(3):
        band = np.abs(height - top) < 0.003
        top = float(np.median(height[band])) if band.any() else top
    distance = float(np.median(np.linalg.norm(points - view.eye, axis=1)))
    return Piece(view, mask, pixels, points, top, distance / float(view.K[0, 0]))


def describe(piece: Piece, *, rng: np.random.Generator) -> Shape:
    """Tell what a segment is; "unknown" with its bounding box where no kind fits."""
    shape = _flat(piece, rng) or _slender(piece)
    if shape is not None:
        return shape
    shape = _vessel(piece, rng) if _is_open(piece) else _solid(piece, rng)
    return shape or _unknown(piece, 0.3)


def _unknown(piece: Piece, confidence: float) -> Shape:
    """Bounding box, extruded to the table."""
    rectangle = cv2.minAreaRect(piece.points[:, :2].astype(np.float32))
    middle, (width, depth), angle = rectangle
    yaw = np.deg2rad(angle) + (np.pi / 2 if depth > width else 0.0)
    low = max(0.0, float(piece.points[:, 2].min())) if piece.points[:, 2].min() > 0.03 else 0.0
    sides = np.sort([width, depth])[::-1] + piece.pitch
    size = np.array([sides[0], sides[1], max(piece.top - low, 1e-3)])
    return Shape("unknown", level(np.array(middle), (piece.top + low) / 2, yaw), size, confidence)


def _flat(piece: Piece, rng: np.random.Generator) -> Shape | None:
    """A disc on the table: a circle through most of its outline, part of which something may cover."""
    if piece.top > 0.012:
        return None
    top = max(piece.top, 0.001)
    rim = _rim(piece.mask.astype(np.uint8))
    outline = piece.view.meet(rim, top)
    center = outline.mean(0)
    near = (outline - center) @ (piece.view.eye[:2] - center) > 0
    outline[near] = piece.view.meet(rim[near], 0.0)  # on the near side its lower edge is what is seen last
    _, sides, _ = cv2.minAreaRect(outline.astype(np.float32))
    circle = fit_circle(outline, rng=rng, radii=(0.02, 0.12), tolerance=0.0025)
    if circle is None or circle.share < 0.45 or max(sides) > 2.4 * circle.radius:
        return _unknown(piece, 0.4) if min(sides) > 0.02 else None
    radius = circle.radius + 0.5 * piece.pitch
    size = np.array([2 * radius, 2 * radius, top])
    return Shape("disc", level(circle.center, top, 0.0), size, min(1.0, circle.share + 0.1))


def _rim(mask: np.ndarray) -> np.ndarray:
    """Pixels [N, 2] of a mask (uint8) that touch its outside."""
    return np.argwhere(mask & (cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=0) == 0))


def _slender(piece: Piece) -> Shape | None:
    """A pen: one long axis, both others thin. Lying on the table or standing free."""
    line = fit_line(piece.points)
    length = line.high - line.low + piece.pitch
    width = _width(piece, length)
    if not (0.05 < length < 0.32 and width < 0.04 and length > 3.5 * width and line.spread < 0.02):
        return None
    lying = abs(line.direction[2]) < 0.25 and piece.top < 0.05
    return _lying_pen(piece) if lying else _standing_pen(piece, line.direction, width)


def _width(piece: Piece, length: float) -> float:
    """Mean width across a slender piece from the area it covers, m."""
    return float(piece.mask.sum()) * piece.pitch**2 / max(length, 1e-6)


def _lying_pen(piece: Piece) -> Shape:
    """Axis on the table: direction from the plan view, sideways position from the round surface."""
    radius = float(np.clip(piece.top / 2, 0.003, 0.02))
    line = fit_line(piece.points[:, :2])
    along, across = line.direction, np.array([-line.direction[1], line.direction[0]])
    s = lying_axis(piece.points[:, :2] @ across, piece.points[:, 2], radius)
    low, high = np.quantile(piece.points[:, :2] @ along, [0.01, 0.99])
    center = along * (low + high) / 2 + across * s
    yaw = float(np.arctan2(along[1], along[0]))
    size = np.array([high - low + piece.pitch, 2 * radius, 2 * radius])
    return Shape("pen", level(center, radius, yaw), size, float(np.clip(1 - line.spread / 0.02, 0.3, 1)))


def _standing_pen(piece: Piece, direction: np.ndarray, width: float) -> Shape:
    """Axis in space; the visible half lies about 0.7 of a radius before it."""
    direction = direction if direction[2] >= 0 else -direction
    line = fit_line(piece.points)
    view_ray = line.center - piece.view.eye
    view_ray -= (view_ray @ direction) * direction
    center = line.center + 0.35 * width * view_ray / np.linalg.norm(view_ray)
    along = (piece.points - center) @ direction
    low, high = np.quantile(along, [0.005, 0.995])
    side = np.cross(direction, [0.0, 1, 0] if abs(direction[1]) < 0.9 else [1.0, 0, 0])
    size = np.array([high - low + piece.pitch, width, width])
    return Shape("pen", frame_at(center + direction * (low + high) / 2, direction, side), size, 0.7)


def _top_mask(piece: Piece, band: float) -> np.ndarray:
    """Pixels of the top face: those near its height, and pixels without depth just behind them.

    In the picture, behind is above; pixels without depth below the top may be of a side.
    """
    height = piece.view.points[..., 2]
    top = (piece.mask & (height > piece.top - band)).astype(np.uint8)
    lost = piece.mask & np.isnan(height)
    for _ in range(2):
        top |= (cv2.dilate(top, np.array([[0, 0, 0], [0, 0, 0], [1, 1, 1]], np.uint8)) > 0) & lost
    return top


def _is_open(piece: Piece) -> bool:
    """True where the rays that enter through the outline of the top find something lower: an open vessel."""
    top = _top_mask(piece, 0.005)
    hull = cv2.convexHull(np.argwhere(top)[:, ::-1].astype(np.int32))
    inner = cv2.fillConvexPoly(np.zeros_like(top), hull, 1)
    inner = (cv2.erode(inner, np.ones((3, 3), np.uint8)) > 0) & piece.mask
    height = piece.view.points[..., 2][inner]
    height = height[np.isfinite(height)]
    return bool(len(height) >= 6 and (height < piece.top - 0.008).mean() > 0.35)


def _solid(piece: Piece, rng: np.random.Generator) -> Shape | None:
    """A block, or a closed cylinder (of unknown kind)."""
    top = _top_mask(piece, 0.0025)
    if top.sum() < 8:
        return None
    outline = piece.view.meet(_rim(top), piece.top)
    sides = piece.points[(piece.points[:, 2] < piece.top - 0.005) & (piece.points[:, 2] > 0.004)][:, :2]
    border = 0.5 * piece.pitch * 1.15
    box = fit_rectangle(sides, outline, border)
    middle = outline.mean(0)
    edge = outline + border * (outline - middle) / np.linalg.norm(outline - middle, axis=1, keepdims=True)
    round_fit = fit_circle(np.concatenate([edge, sides]), rng=rng, tolerance=0.0025)
    low = _underside(piece)
    height = piece.top - low
    if round_fit is not None and _rounder(round_fit, np.concatenate([sides, outline]), box.error):
        size = np.array([2 * round_fit.radius, 2 * round_fit.radius, height])
        return Shape("unknown", level(round_fit.center, low + height / 2, 0.0), size, 0.5 * round_fit.share)
    size = np.array([*box.sides, height])
    if size.max() > 0.11 or size.min() < 0.012 or size.max() > 4 * size.min():
        return _unknown(piece, 0.4)
    confidence = float(np.clip(1.2 - box.error / 0.005, 0.2, 1))
    return Shape("block", level(box.center, low + height / 2, box.yaw), size, confidence)


def _rounder(circle: Circle, points: np.ndarray, box_error: float) -> bool:
    """True where a circle explains the outline clearly better than a rectangle."""
    error = np.minimum(np.abs(np.linalg.norm(points - circle.center, axis=1) - circle.radius), 0.008).mean()
    return bool(error < 0.75 * box_error)


def _underside(piece: Piece) -> float:
    """Height of what the object stands on: 0 for the table, unless free space or a support is seen below it.

    A near occluder below the segment says nothing, so that the object is then extruded to the table.
    """
    low = float(np.quantile(piece.points[:, 2], 0.02))
    if low < 0.012:
        return 0.0
    below = cv2.dilate(piece.mask.astype(np.uint8), np.ones((3, 1), np.uint8), anchor=(0, 2)) > 0
    rows, columns = np.nonzero(below & ~piece.mask)
    rim_rows = np.maximum(rows - 2, 0)
    depth = np.linalg.norm(piece.view.points - piece.view.eye, axis=-1)
    nearer = depth[rows, columns] < depth[rim_rows, columns] - 0.02
    return 0.0 if not len(rows) or nearer.mean() > 0.3 else low


def _vessel(piece: Piece, rng: np.random.Generator) -> Shape | None:
    """A cup, holder or mug: circles through the outer wall in front and the inner wall behind."""
    low = _underside(piece)
    height = piece.points[:, 2] - low
    tall = piece.top - low
    wall = piece.points[(height > 0.12 * tall) & (height < tall + 0.004)]
    circle = fit_circle(wall[:, :2], rng=rng)
    if circle is None or circle.share < 0.35 or not 0.03 < tall < 0.22:
        return None
    center, radius = _two_walls(wall[:, :2], piece.view.eye[:2], circle.center, circle.radius)
    size = np.array([2 * radius, 2 * radius, tall])
    handle = _handle(piece, center, radius, low)
    if handle is not None:
        return Shape("mug", level(center, low, handle), size, min(1.0, circle.share + 0.15))
    slim = 0.85 < tall / (2 * radius) < 1.25 and radius < 0.042
    return Shape("holder" if slim else "cup", level(center, low, 0.0), size, min(1.0, circle.share + 0.15))


def _two_walls(points: np.ndarray, eye: np.ndarray, center: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """Gauss-Newton for one centre, the outer radius (towards the eye) and the wall's thickness (0 to 8 mm)."""
    thickness = 0.003
    for _ in range(8):
        offset = points - center
        length = np.linalg.norm(offset, axis=1)
        front = offset @ (eye - center) > 0
        error = length - radius + np.where(front, 0.0, thickness)
        near = np.abs(error) < 0.005
        if (near & front).sum() < 5:
            break
        J = np.column_stack([-offset / length[:, None], -np.ones(len(points)), np.where(front, 0.0, 1.0)])[near]
        damped = J.T @ J + np.diag([0, 0, 0, 1e-3 * near.sum()])
        step = -np.linalg.solve(damped + 1e-9 * np.eye(4), J.T @ error[near])
        center, radius = center + step[:2], radius + float(step[2])
        thickness = float(np.clip(thickness + step[3], 0.0, 0.008))
    return center, radius


def _handle(piece: Piece, center: np.ndarray, radius: float, low: float) -> float | None:
    """Direction of a mug's handle, rad: of the points outside the body, moved back by the tube's hidden half."""
    offset = piece.points[:, :2] - center
    length = np.linalg.norm(offset, axis=1)
    height = piece.points[:, 2] - low
    outside = (length > radius + 0.007) & (height > 0.08 * piece.top) & (height < piece.top) & (length < radius + 0.07)
    if outside.sum() < 8 or length[outside].max() < radius + 0.012:
        return None
    away = center - piece.view.eye[:2]
    arms = offset[outside] + 0.003 * away / np.linalg.norm(away)
    mean = arms.sum(0)
    direction = mean / np.linalg.norm(mean)
    spread = np.abs(arms @ np.array([-direction[1], direction[0]]))
    return float(np.arctan2(direction[1], direction[0])) if np.median(spread) < 0.015 else None
