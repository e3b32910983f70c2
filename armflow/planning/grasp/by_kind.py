"""Grasps that follow from what an object is: cheap, reliable, and few enough to check them all."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from armflow.perception.detection import Detection
from armflow.planning.grasp.antipodal import antipodal_grasps
from armflow.planning.grasp.hand import (
    WIDTH_MARGIN,
    Grasp,
    GraspArm,
    clear_grasps,
    make_grasp,
    opening_for,
    tool_pose,
)
from armflow.planning.scene import Scene
from armflow.planning.solid import solid_of
from armflow.robot.errors import ShapeError
from armflow.robot.model import Gripper

__all__ = ["handle_grasps", "object_grasps", "push_contacts"]

_UP = np.array([0.0, 0.0, 1.0])
_WALL = 0.004  # m, thickness taken for the wall of cups and mugs
_RIM_OPENING = 0.034  # m, wide enough to straddle a wall, narrow enough to fit inside a cup
_PUSH_GAP = 0.002  # m between the fingers and the block at the start of a push


def object_grasps(
    detection: Detection, scene: Scene, arm: GraspArm, *, rng: np.random.Generator, count: int = 200
) -> list[Grasp]:
    """All that is known about holding this object: by its kind first, then antipodal pairs; best first.

    Args:
        detection: The object.
        scene: What the hand must not hit.
        arm: The arm, for its gripper.
        rng: Draws the antipodal pairs.
        count: Upper bound on the answer.
    """
    if detection.kind == "drawer":
        return handle_grasps(detection, scene, arm)
    propose = _PROPOSERS.get(detection.kind)
    by_kind = [] if propose is None else clear_grasps(propose(detection, arm.gripper), detection, scene, arm.gripper)
    by_kind = sorted(by_kind, key=lambda grasp: -grasp.score)[:count]
    if detection.kind == "disc" or len(by_kind) >= 60:
        return by_kind
    sampled = antipodal_grasps(detection, scene, arm, rng=rng, count=min(60, count - len(by_kind)))
    return [*by_kind, *(replace(grasp, score=grasp.score - 0.3) for grasp in sampled)]


def handle_grasps(detection: Detection, scene: Scene, arm: GraspArm) -> list[Grasp]:
    """Fingers across a drawer's bar handle, from the front, from above and between, at five places along the bar."""
    T = detection.T_world_object.as_matrix()
    out, bar = T[:3, 0], T[:3, 1]
    length, width = float(detection.size[1]), float(min(detection.size[2], detection.size[0], 0.03))
    grasps = []
    for tilt in np.deg2rad([0.0, 20.0, 40.0, 60.0, 75.0, 90.0]):
        approach = -np.cos(tilt) * out - np.sin(tilt) * np.cross(out, bar)
        for sign in (1.0, -1.0):
            closing = sign * np.cross(bar, approach)
            for share, slack in product((0.0, 0.15, -0.15, 0.3, -0.3), (0.03, 0.016)):
                pose = tool_pose(T[:3, 3] + share * length * bar, approach, closing)
                score = 1.0 - 0.5 * abs(share) - 0.2 * np.sin(tilt) - 2.0 * (0.03 - slack)
                opening = min(arm.gripper.max_width, width + slack)
                grasps.append(make_grasp(T, pose, width, opening, "handle", score))
    return sorted(clear_grasps(grasps, detection, scene, arm.gripper), key=lambda grasp: -grasp.score)


def push_contacts(detection: Detection, direction: np.ndarray, scene: Scene, arm: GraspArm) -> list[Grasp]:
    """Closed vertical fingers right behind an object, low above the table.

    Args:
        detection: The object to push; its solid tells where its back is.
        direction: [2] or [3] way in which it shall go, world; the vertical part is ignored.
        scene: What the hand must not hit.
        arm: The arm, for its gripper.

    Returns:
        Contacts for four turns of the wrist, best first. They approach slanting down from behind.

    Raises:
        ShapeError: The direction has no horizontal part.
    """
    ahead = np.append(np.asarray(direction, dtype=float)[:2], 0.0)
    if not np.linalg.norm(ahead) > 1e-9:
        raise ShapeError("direction", "a horizontal direction that is not zero", direction)
    ahead = ahead / np.linalg.norm(ahead)
    gripper = arm.gripper
    broad = max(gripper.pad_width, 2 * gripper.finger_thickness)
    center, back = detection.T_world_object.translation, _back_extent(detection, ahead, broad)
    table = (scene.table.offset - scene.table.normal[:2] @ center[:2]) / scene.table.normal[2]
    low = table + gripper.tip + 0.008
    across = np.cross(_UP, ahead)
    T_world_object, pushes = detection.T_world_object.as_matrix(), []
    for closing, thickness in ((ahead, 2 * gripper.finger_thickness), (across, gripper.pad_width)):
        facing = gripper.pad_width if closing is ahead else 2 * gripper.finger_thickness
        for sign in (1.0, -1.0):
            position = center - (back + thickness / 2 + _PUSH_GAP) * ahead
            T = tool_pose(np.append(position[:2], low), -_UP, sign * closing)
            grasp = make_grasp(T_world_object, T, 0.0, 0.0, "push", facing / broad)
            slanted = 0.5 * ahead - _UP
            pushes.append(replace(grasp, approach=slanted / np.linalg.norm(slanted)))
    return sorted(clear_grasps(pushes, detection, scene, gripper), key=lambda grasp: -grasp.score)


def _back_extent(detection: Detection, ahead: np.ndarray, broad: float) -> float:
    """How far the object reaches backwards from its origin within the width of the fingers, m."""
    points, solid = detection.state.points_world, solid_of(detection)
    if solid is not None:
        points = detection.T_world_object.apply(solid.surface(0.003)[0])
    offsets = points - detection.T_world_object.translation
    across = np.abs(offsets @ np.cross(_UP, ahead))
    hit = offsets[across <= broad / 2]
    return float((-hit @ ahead).max()) if len(hit) else float((-offsets @ ahead).max())


def _block(detection: Detection, gripper: Gripper) -> list[Grasp]:
    """Across each side that fits, from straight above first, tilted about the closing line after."""
    T, size = detection.T_world_object.as_matrix(), detection.size
    grasps = []
    for closing_axis, other in ((1, 0), (0, 1)):
        width = float(size[closing_axis])
        if width > gripper.max_width - WIDTH_MARGIN:
            continue
        preference = 0.0 if size[closing_axis] <= size[other] else 0.05
        for sign in (1.0, -1.0):
            closing = sign * T[:3, closing_axis]
            down = -_UP + (closing @ _UP) * closing
            down, side = down / np.linalg.norm(down), np.cross(closing, down / np.linalg.norm(down))
            for tilt in np.deg2rad([0.0, 20.0, -20.0, 40.0, -40.0, 60.0, -60.0]):
                approach = np.cos(tilt) * down + np.sin(tilt) * side
                for shift in (0.0, 0.2, -0.2):
                    # A tall block is held near its top, so that the palm stays clear of it.
                    rise = max(0.0, float(size[2]) / 2 - (gripper.finger_depth - gripper.tip) + 0.008)
                    position = T[:3, 3] + rise * _UP + shift * size[other] * T[:3, other]
                    score = 1.0 - preference - 0.25 * abs(tilt) - 0.3 * abs(shift)
                    pose = tool_pose(position, approach, closing)
                    opening = opening_for(gripper, width)
                    grasps.append(make_grasp(T, pose, width, opening, "antipodal", score))
    return grasps


def _pen(detection: Detection, gripper: Gripper) -> list[Grasp]:
    """Across the pen at several places along it, tilted towards either end."""
    T, size = detection.T_world_object.as_matrix(), detection.size
    width = float(size[1] + size[2]) / 2
    along = T[:3, 0]
    closing = np.cross(_UP, along)
    if np.linalg.norm(closing) < 0.3 or width > gripper.max_width - WIDTH_MARGIN:
        return []
    closing = closing / np.linalg.norm(closing)
    down = np.cross(closing, along) * -np.sign(np.cross(closing, along)[2])
    grasps = []
    for sign in (1.0, -1.0):
        for tilt in np.deg2rad([0.0, 20.0, -20.0, 40.0, -40.0, 60.0, -60.0]):
            approach = np.cos(tilt) * down + np.sin(tilt) * along
            for share in (0.0, 0.12, -0.12, 0.22, -0.22, 0.32, -0.32):
                pose = tool_pose(T[:3, 3] + share * size[0] * along, approach, sign * closing)
                score = 1.0 - 0.25 * abs(share) - 0.15 * abs(tilt)
                opening = opening_for(gripper, width)
                grasps.append(make_grasp(T, pose, width, opening, "antipodal", score))
    return grasps


def _cup(detection: Detection, gripper: Gripper) -> list[Grasp]:
    """Around the wall from the side and slanting down, and one finger inside the rim."""
    return [*_side_grasps(detection, gripper, 0.0), *_rim_grasps(detection, gripper, 0.0)]


def _mug(detection: Detection, gripper: Gripper) -> list[Grasp]:
    """As for a cup, with fingers and palm at least 40 degrees away from the handle."""
    clear = float(np.deg2rad(40.0))
    return [*_rim_grasps(detection, gripper, clear), *_side_grasps(detection, gripper, clear)]


def _side_grasps(detection: Detection, gripper: Gripper, handle_clearance: float) -> list[Grasp]:
    """Grasps across the axis of an upright round body, from many sides and three slants."""
    T, (_, breadth, height) = detection.T_world_object.as_matrix(), detection.size
    solid = solid_of(detection)
    assert solid is not None
    width = 2 * float(solid.half[0])
    if width > gripper.max_width - WIDTH_MARGIN:
        return []
    grasps = []
    for azimuth in np.linspace(-np.pi, np.pi, 24, endpoint=False):
        # The handle is at azimuth 0; fingers touch 90 degrees to either side of where the hand comes from.
        apart = np.abs(_wrap(np.array([azimuth, azimuth + np.pi / 2, azimuth - np.pi / 2])))
        if apart.min() < handle_clearance:
            continue
        outward = T[:3, :3] @ np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        closing = np.cross(T[:3, 2], outward)
        for slant in np.deg2rad([0.0, 20.0, 45.0]):
            approach = -np.cos(slant) * outward - np.sin(slant) * T[:3, 2]
            for share in (0.6, 0.75, 0.45):
                pose = tool_pose(T[:3, 3] + share * height * T[:3, 2], approach, closing)
                score = 0.9 - 0.1 * slant - 0.3 * abs(share - 0.6)
                grasps.append(make_grasp(T, pose, width, opening_for(gripper, breadth), "antipodal", float(score)))
    return grasps


def _rim_grasps(detection: Detection, gripper: Gripper, handle_clearance: float) -> list[Grasp]:
    """Straight down over the wall of an upright hollow body, one finger inside."""
    T, height = detection.T_world_object.as_matrix(), float(detection.size[2])
    solid = solid_of(detection)
    assert solid is not None
    radius = float(solid.half[0]) - _WALL / 2
    opening = min(_RIM_OPENING, gripper.max_width)
    grasps = []
    for azimuth in np.linspace(-np.pi, np.pi, 24, endpoint=False):
        if abs(azimuth) < handle_clearance:
            continue
        outward = T[:3, :3] @ np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        for sign in (1.0, -1.0):
            top = T[:3, 3] + radius * outward + (height - 0.010) * T[:3, 2]
            pose = tool_pose(top, -T[:3, 2], sign * outward)
            grasps.append(make_grasp(T, pose, _WALL, opening, "rim", 0.8))
    return grasps


def _wrap(angles: np.ndarray) -> np.ndarray:
    """Angles in -pi to pi, rad."""
    return (angles + np.pi) % (2 * np.pi) - np.pi


_PROPOSERS: dict[str, Callable[[Detection, Gripper], list[Grasp]]] = {
    "block": _block,
    "unknown": _block,
    "pen": _pen,
    "cup": _cup,
    "mug": _mug,
}
