"""`Grasp`, and the boxes of the hand that holds it."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numba import njit

from armflow.perception.detection import Detection, TablePlane
from armflow.planning.scene import Scene
from armflow.planning.solid import body_points, thin
from armflow.robot.model import Gripper

__all__ = [
    "Grasp",
    "GraspArm",
    "clear_grasps",
    "finger_boxes",
    "hand_boxes",
    "inverse",
    "make_grasp",
    "opening_for",
    "tool_pose",
]

WIDTH_MARGIN = 0.004  # m that the open hand must be wider than the object
_OPENING_MARGIN = 0.024  # m that it opens beyond the object where it can
_TABLE_GAP = 0.002  # m between the fingers and the table
_SLIM, _TAPER = 0.012, 0.67  # m, share: fingers thicker than the first taper to this share at their tips
_PALM_DEPTH = 0.05  # m of hand behind the palm's front that is checked
_SIDE_SHIFT = 0.004  # m that the hand may be off centre along the closing line
_HOLD = 0.003  # m that the fingertips must reach past the contact


class GraspArm(Protocol):
    """The part of `robot.model.RobotModel` that proposing grasps needs."""

    @property
    def gripper(self) -> Gripper:
        """The hand."""
        ...


@dataclass(frozen=True, slots=True)
class Grasp:
    """One way to take hold of an object, or to touch it.

    Attributes:
        T_world_tool: [4, 4] tool pose at the contact, m.
        width: Distance between the pads when closed on the object, m; 0 for a push.
        opening: Distance between the pads on the way there and after letting go, m.
        kind: "antipodal", "handle", "rim" or "push".
        score: Larger is better; about 0 to 1.
        T_tool_object: [4, 4] pose of the object frame in the tool frame, which stays fixed while held.
        approach: [3] unit direction in the world in which the tool comes; the pregrasp lies back along it.
    """

    T_world_tool: np.ndarray
    width: float
    opening: float
    kind: str
    score: float
    T_tool_object: np.ndarray
    approach: np.ndarray


def make_grasp(
    T_world_object: np.ndarray,
    T_world_tool: np.ndarray,
    width: float,
    opening: float,
    kind: str,
    score: float,
) -> Grasp:
    """Complete a grasp that approaches along the tool's z axis from the two poses [4, 4] and its widths (m)."""
    T_tool_object = inverse(T_world_tool) @ T_world_object
    return Grasp(T_world_tool, width, opening, kind, score, T_tool_object, T_world_tool[:3, 2])


def inverse(T: np.ndarray) -> np.ndarray:
    """Inverse of a rigid transform [4, 4]."""
    out = np.eye(4)
    out[:3, :3] = T[:3, :3].T
    out[:3, 3] = -out[:3, :3] @ T[:3, 3]
    return out


def tool_pose(position: np.ndarray, approach: np.ndarray, closing: np.ndarray) -> np.ndarray:
    """Tool pose [4, 4] at a position [3] (m) from two unit directions at right angles."""
    T = np.eye(4)
    (a, b, c), (d, e, f) = closing, approach
    T[:3, 0] = b * f - c * e, c * d - a * f, a * e - b * d  # closing x approach; np.cross is slow for one pair
    T[:3, 1], T[:3, 2], T[:3, 3] = closing, approach, position
    return T


def opening_for(gripper: Gripper, width: float) -> float:
    """How far to open for an object of this width, m."""
    return min(gripper.max_width, width + _OPENING_MARGIN)


def finger_boxes(gripper: Gripper, opening: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of both fingers in the tool frame at an opening: lowest and highest corners [4, 3], m.

    Each finger is two boxes, because thick fingers taper towards their tips.
    """
    thick = gripper.finger_thickness
    slim = thick if thick <= _SLIM else max(_SLIM, _TAPER * thick)
    x, back, middle = gripper.pad_width / 2, gripper.tip - gripper.finger_depth, -gripper.pad_height / 2
    low, high = [], []
    for start, end, thickness in ((back, middle, thick), (middle, gripper.tip, slim)):
        inner, outer = opening / 2, opening / 2 + thickness
        low += [(-x, inner, start), (-x, -outer, start)]
        high += [(x, outer, end), (x, -inner, end)]
    return np.array(low), np.array(high)


def hand_boxes(gripper: Gripper, opening: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of both fingers and the palm in the tool frame: lowest and highest corners [5, 3], m."""
    low, high = finger_boxes(gripper, opening)
    half_y, back = gripper.max_width / 2 + gripper.finger_thickness, gripper.tip - gripper.finger_depth
    palm_x = max(gripper.pad_width / 2, 0.02)
    palm_low, palm_high = np.array([-palm_x, -half_y, back - _PALM_DEPTH]), np.array([palm_x, half_y, back])
    return np.vstack([low, palm_low]), np.vstack([high, palm_high])


def clear_grasps(grasps: list[Grasp], detection: Detection, scene: Scene, gripper: Gripper) -> list[Grasp]:
    """Keep the grasps whose open hand meets neither the table, nor the obstacles, nor the object itself.

    A hand that is a little too low is raised until it clears the table, as long as the pads still hold the contact.
    """
    if not grasps:
        return []
    boxes = {opening: hand_boxes(gripper, opening) for opening in {grasp.opening for grasp in grasps}}
    low, high = (np.stack([boxes[grasp.opening][side] for grasp in grasps]) for side in (0, 1))
    deficits = _TABLE_GAP - _lowest(np.stack([grasp.T_world_tool for grasp in grasps]), low, high, scene.table)
    raised = [_raised(grasp, d, scene.table, gripper) for grasp, d in zip(grasps, deficits, strict=True)]
    kept = [(i, grasp) for i, grasp in enumerate(raised) if grasp is not None]
    if not kept:
        return []
    body = detection.T_world_object.apply(body_points(detection, spacing=0.005))
    center = body.mean(axis=0)
    near = scene.obstacles_world[(np.abs(scene.obstacles_world - center) < 0.3).all(axis=1)]
    near = thin(near[scene.table.height(near) > 0.006], 0.005)
    tools, rows = np.stack([grasp.T_world_tool for _, grasp in kept]), [i for i, _ in kept]
    hits = _count_hits(tools, low[rows], high[rows], np.concatenate([body, near]))
    return [grasp for (_, grasp), count in zip(kept, hits, strict=True) if count <= 2]


def _lowest(tools: np.ndarray, low: np.ndarray, high: np.ndarray, table: TablePlane) -> np.ndarray:
    """Height [G] of the lowest corner of the boxes [G, B, 3] carried by the tools [G, 4, 4] above the table, m."""
    up = np.einsum("gij,i->gj", tools[:, :3, :3], table.normal)[:, None]
    corners = np.minimum(low * up, high * up).sum(axis=2).min(axis=1)
    return corners + table.height(tools[:, :3, 3])


def _raised(grasp: Grasp, deficit: float, table: TablePlane, gripper: Gripper) -> Grasp | None:
    """Lift a grasp by `deficit` m, if that is positive; None when the pads would leave the contact."""
    if deficit <= 0:
        return grasp
    T, shift = grasp.T_world_tool, deficit * table.normal
    # In the tool frame the contact moves the other way; it must stay between the tips and the edges of the pads.
    across, closing, along = np.abs(shift @ T[:3, :3]) * np.array([1.0, 1.0, np.sign(-shift @ T[:3, 2])])
    if along > gripper.tip - _HOLD or across > gripper.pad_width / 2 - _HOLD or closing > _SIDE_SHIFT:
        return None
    lifted = T.copy()
    lifted[:3, 3] += shift
    return replace(grasp, T_world_tool=lifted, T_tool_object=inverse(lifted) @ T @ grasp.T_tool_object)


@njit(cache=True)
def _count_hits(tools: np.ndarray, low: np.ndarray, high: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Count the points [P, 3] inside the boxes [G, B, 3] carried by the tools [G, 4, 4]; stops at three a grasp."""
    hits = np.zeros(len(tools), np.int64)
    for g in range(len(tools)):
        T = tools[g]
        for p in range(len(points)):
            dx, dy, dz = points[p, 0] - T[0, 3], points[p, 1] - T[1, 3], points[p, 2] - T[2, 3]
            if dx * dx + dy * dy + dz * dz > 0.0625:
                continue
            x = T[0, 0] * dx + T[1, 0] * dy + T[2, 0] * dz
            y = T[0, 1] * dx + T[1, 1] * dy + T[2, 1] * dz
            z = T[0, 2] * dx + T[1, 2] * dy + T[2, 2] * dz
            for b in range(low.shape[1]):
                inside_x = low[g, b, 0] < x and x < high[g, b, 0]
                inside_y = low[g, b, 1] < y and y < high[g, b, 1]
                if inside_x and inside_y and low[g, b, 2] < z and z < high[g, b, 2]:
                    hits[g] += 1
                    break
            if hits[g] > 2:
                break
    return hits
