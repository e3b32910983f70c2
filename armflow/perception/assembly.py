"""Things made of several parts: a rack (base, post, peg) and a drawer (cabinet, front, handle)."""

import numpy as np

from armflow.perception.describe import Piece, Shape, frame_at
from armflow.perception.shapes import fit_line

__all__ = ["describe_drawer", "describe_rack", "is_cabinet", "is_post"]

_UP = np.array([0.0, 0.0, 1.0])
_BAR = 0.006  # m, usual half thickness of a handle; from above only its upper side is seen


def is_post(piece: Piece) -> bool:
    """True for something tall whose middle is thin: the post of a rack."""
    height = piece.points[:, 2]
    middle = piece.points[(height > 0.35 * piece.top) & (height < 0.6 * piece.top)]
    if piece.top < 0.13 or len(middle) < 8:
        return False
    return bool(np.ptp(np.quantile(middle[:, :2], [0.05, 0.95], axis=0), axis=0).max() < 0.055)


def describe_rack(piece: Piece) -> Shape | None:
    """Post from the middle heights, peg from what sticks out of it near the top; None where no peg is seen."""
    height = piece.points[:, 2]
    middle = piece.points[(height > 0.3 * piece.top) & (height < 0.6 * piece.top)][:, :2]
    surface = np.median(middle, axis=0)
    away = surface - piece.view.eye[:2]
    away /= np.linalg.norm(away)
    side = np.array([-away[1], away[0]])
    half = 0.5 * float(np.ptp(np.quantile((middle - surface) @ side, [0.03, 0.97]))) + 0.25 * piece.pitch
    post = surface + 0.7 * half * away
    from_post = piece.points[:, :2] - post
    out = (np.linalg.norm(from_post, axis=1) > 1.4 * half + 0.005) & (height > 0.4 * piece.top)
    if out.sum() < 8:
        return None
    line = fit_line(piece.points[out])
    direction = line.direction * np.sign(line.direction[:2] @ from_post[out].mean(0) or 1.0)
    reach = (piece.points[out] - line.center) @ direction
    visible = float(np.ptp(np.quantile(reach, [0.01, 0.99]))) + piece.pitch
    radius = float(np.clip(0.5 * out.sum() * piece.pitch**2 / visible, 0.003, 0.012))
    view_ray = line.center - piece.view.eye
    view_ray -= (view_ray @ direction) * direction
    center = line.center + 0.75 * radius * view_ray / np.linalg.norm(view_ray)
    tip = center + (np.quantile(reach, 0.995) + 0.4 * piece.pitch) * direction
    flat = direction[:2] / np.linalg.norm(direction[:2])
    face = 0.75 * half  # mean half width of a square post at any turn, less the millimetre by which pegs go in
    back = ((tip[:2] - post) @ flat - face) / np.linalg.norm(direction[:2])
    root = tip - back * direction
    miss = abs((tip[:2] - post) @ np.array([-flat[1], flat[0]]))
    T = frame_at(root, direction, _UP)
    return Shape("rack", T, np.array([back, 2 * radius, 2 * radius]), float(np.clip(1 - miss / 0.02, 0.2, 1)))


def is_cabinet(shape: Shape, piece: Piece) -> bool:
    """True for a large box on the table."""
    return bool(0.12 < shape.size[0] < 0.6 and shape.size[1] > 0.08 and 0.05 < piece.top < 0.3)


def describe_drawer(piece: Piece, yaw: float, center: np.ndarray, sides: np.ndarray) -> Shape | None:
    """Find the handle: what sticks out farthest from one side of the cabinet at half height.

    Args:
        piece: All points of cabinet, front and handle.
        yaw: Of the cabinet's box, rad.
        center: [2] of the cabinet's box.
        sides: [2] of the cabinet's box.
    """
    axes = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    local = (piece.points[:, :2] - center) @ axes.T
    height = piece.points[:, 2]
    middle = (height > 0.2 * piece.top) & (height < 0.85 * piece.top)
    best: tuple[float, int, float, np.ndarray] | None = None
    for axis in range(2):
        for sign in (-1.0, 1.0):
            out = sign * local[:, axis] - sides[axis] / 2
            ahead = middle & (out > 0.015) & (np.abs(local[:, 1 - axis]) < sides[1 - axis] / 2)
            if ahead.sum() >= 12 and (best is None or ahead.sum() > best[0]):
                best = (float(ahead.sum()), axis, sign, out)
    if best is None:
        return None
    _, axis, sign, out = best
    lateral = local[:, 1 - axis]
    before = middle & (np.abs(lateral) < sides[1 - axis] / 2)
    reach = float(np.quantile(out[before & (out > 0.015)], 0.97))
    bar = before & (out > reach - 0.009)
    low, high = np.quantile(lateral[bar], [0.01, 0.99])
    tall = float(np.clip(np.ptp(np.quantile(height[bar], [0.03, 0.97])) + 0.5 * piece.pitch, 0.005, 0.03))
    place = np.empty(2)
    place[axis], place[1 - axis] = sign * (sides[axis] / 2 + reach - 0.35 * tall), (low + high) / 2
    x = np.append(sign * axes[axis], 0.0)
    origin = np.append(center + axes.T @ place, np.quantile(height[bar], 0.97) - _BAR)
    size = np.array([tall, high - low + piece.pitch, tall])
    return Shape("drawer", frame_at(origin, x, _UP), size, 0.8)
