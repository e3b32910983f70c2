"""`Grasp`, and the boxes of the hand that holds it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit

from armflow.perception.detection import Detection, TablePlane
from armflow.planning.scene import Scene
from armflow.planning.solid import body_points, thin
from armflow.robot.model import Gripper

__all__ = ["Grasp", "GraspArm", "clear_grasps", "finger_boxes", "hand_boxes", "make_grasp", "opening_for"]

WIDTH_MARGIN = 0.004  # m that the open hand must be wider than the object
_OPENING_MARGIN = 0.024  # m that it opens beyond the object where it can
_TABLE_GAP = 0.002  # m between the fingers and the table
_PALM_DEPTH = 0.05  # m of hand behind the palm's front that is checked
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
    detection: Detection,
    T_world_tool: np.ndarray,
    width: float,
    opening: float,
    kind: str,
    score: float,
) -> Grasp:
    """Complete a grasp that approaches along the tool's z axis from its pose [4, 4] and widths (m)."""
    T_tool_object = np.linalg.inv(T_world_tool) @ detection.T_world_object.as_matrix()
    return Grasp(T_world_tool, width, opening, kind, score, T_tool_object, T_world_tool[:3, 2].copy())


def tool_pose(position: np.ndarray, approach: np.ndarray, closing: np.ndarray) -> np.ndarray:
    """Tool pose [4, 4] at a position [3] (m) from two unit directions at right angles."""
    T = np.eye(4)
    T[:3, 0], T[:3, 1], T[:3, 2], T[:3, 3] = np.cross(closing, approach), closing, approach, position
    return T


def opening_for(gripper: Gripper, width: float) -> float:
    """How far to open for an object of this width, m."""
    return min(gripper.max_width, width + _OPENING_MARGIN)


def finger_boxes(gripper: Gripper, opening: float) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corners [2, 3] of both fingers in the tool frame at an opening, m."""
    inner, outer = opening / 2, opening / 2 + gripper.finger_thickness
    x, back = gripper.pad_width / 2, gripper.tip - gripper.finger_depth
    low = np.array([[-x, inner, back], [-x, -outer, back]])
    high = np.array([[x, outer, gripper.tip], [x, -inner, gripper.tip]])
    return low, high


def hand_boxes(gripper: Gripper, opening: float) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corners [3, 3] of both fingers and the palm in the tool frame, m."""
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
    boxes = [hand_boxes(gripper, grasp.opening) for grasp in grasps]
    low, high = np.stack([b[0] for b in boxes]), np.stack([b[1] for b in boxes])
    raised = [_raise(g, low[i], high[i], scene.table, gripper) for i, g in enumerate(grasps)]
    kept = [i for i, grasp in enumerate(raised) if grasp is not None]
    if not kept:
        return []
    body = detection.T_world_object.apply(body_points(detection, spacing=0.004))
    near = thin(scene.obstacles_world, 0.004)
    near = near[(scene.table.height(near) > 0.006) & (np.linalg.norm(near - body.mean(axis=0), axis=1) < 0.3)]
    tools = np.ascontiguousarray([raised[i].T_world_tool for i in kept])  # type: ignore[union-attr]
    hits = _count_hits(tools, low[kept], high[kept], np.concatenate([body, near]))
    return [raised[i] for i, count in zip(kept, hits, strict=True) if count <= 2]  # type: ignore[misc]


def _raise(grasp: Grasp, low: np.ndarray, high: np.ndarray, table: TablePlane, gripper: Gripper) -> Grasp | None:
    """Lift a grasp out of the table; None when the pads would leave the contact."""
    corners = np.stack(np.meshgrid(*np.stack([low.min(axis=0), high.max(axis=0)], axis=1)), axis=-1).reshape(-1, 3)
    tips = corners[corners[:, 2] > 0] if gripper.tip > 0 else corners
    T = grasp.T_world_tool
    deficit = _TABLE_GAP - float(table.height(tips @ T[:3, :3].T + T[:3, 3]).min())
    if deficit <= 0:
        return grasp
    shift = deficit * table.normal
    # In the tool frame the contact moves the other way; it must stay between the tips and the back of the pads.
    along, across = -shift @ T[:3, 2], abs(shift @ T[:3, 0])
    if along > gripper.tip - _HOLD or across > gripper.pad_width / 2 - _HOLD or abs(shift @ T[:3, 1]) > 0.004:
        return None
    lifted = T.copy()
    lifted[:3, 3] += shift
    T_tool_object = np.linalg.inv(lifted) @ T @ grasp.T_tool_object
    return Grasp(lifted, grasp.width, grasp.opening, grasp.kind, grasp.score, T_tool_object, grasp.approach)


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
