"""From one observation to a `Scene`: perceive, find what the instruction names, keep the rest as obstacles."""

from typing import Protocol

import numpy as np
from scipy.spatial import cKDTree

from armflow.perception.detection import Detection
from armflow.perception.frame import RGBDFrame
from armflow.perception.instruction import Command, find_object
from armflow.perception.observation import Observation
from armflow.perception.segment import RobotCapsules, SceneObjects, perceive
from armflow.planning.scene import Scene
from armflow.robot.capsules import capsule_ends
from armflow.robot.model import RobotModel

__all__ = ["VESSELS", "CameraEyes", "Eyes", "build_scene", "robot_capsules", "vessel_points"]

VESSELS = ("cup", "holder", "mug")
_WALL_SPACING = 0.008  # m between the points that stand for a vessel's wall
_TARGET_MARGIN = 0.012  # m; scene points closer than this to the target belong to it


class Eyes(Protocol):
    """Finds the objects in an observation."""

    def see(self, observation: Observation) -> SceneObjects:
        """Return everything on the table."""
        ...


class CameraEyes:
    """The real thing: RGB-D perception with the robot's own body masked out."""

    def __init__(self, arm: RobotModel, *, rng: np.random.Generator) -> None:
        self._arm, self._rng = arm, rng

    def see(self, observation: Observation) -> SceneObjects:
        """Perceive the frame; the arm's capsules at the measured joints are not objects."""
        return perceive(observation.frame, rng=self._rng, robot=robot_capsules(self._arm, observation))


def robot_capsules(arm: RobotModel, observation: Observation) -> RobotCapsules:
    """The robot's body as capsules in the world, m: what perception must not take for an object."""
    capsules = arm.capsules_at(observation.gripper)
    starts, ends = capsule_ends(arm.frames(observation.q), capsules.frame, capsules.a, capsules.b)
    return starts, ends, capsules.radius


def build_scene(objects: SceneObjects, command: Command, frame: RGBDFrame, q: np.ndarray) -> Scene | str:
    """Put the target, its reference and everything else into one `Scene`.

    Args:
        objects: What was seen.
        command: What shall be done.
        frame: The frame that it was seen in.
        q: [D] joint positions at that moment, rad.

    Returns:
        The scene, or one sentence that says which object is missing or ambiguous.
    """
    target = find_object(objects.detections, command.target)
    if target.detection is None:
        return target.answer
    reference = None
    if command.reference is not None:
        found = find_object(tuple(d for d in objects.detections if d is not target.detection), command.reference)
        if found.detection is None:
            return found.answer
        reference = found.detection
    others = tuple(d for d in objects.detections if d is not target.detection and d is not reference)
    own = target.detection.state.points_world
    walls = [
        vessel_points(item, filled=False)
        for item in objects.detections
        if item is not target.detection and item.kind in VESSELS
    ]
    obstacles = np.concatenate([_without(objects.obstacles_world, own, _TARGET_MARGIN), *walls])
    return Scene(frame, objects.table, target.detection, reference, others, obstacles, q)


def vessel_points(vessel: Detection, *, filled: bool) -> np.ndarray:
    """Points [M, 3] all around the wall of an open vessel, m, world: one camera sees only the near side of it.

    Args:
        vessel: A cup, holder or mug.
        filled: Whether the hollow counts too, as it does for a hand that shall stay out of it.
    """
    radius, height = float(vessel.size[:2].mean()) / 2, float(vessel.size[2])
    radii = np.arange(radius, 0.0, -_WALL_SPACING) if filled else np.array([radius])
    turns = np.linspace(0.0, 2 * np.pi, max(round(2 * np.pi * radius / _WALL_SPACING), 8), endpoint=False)
    heights = np.linspace(0.0, height, max(round(height / _WALL_SPACING), 2))
    r, turn, up = (grid.ravel() for grid in np.meshgrid(radii, turns, heights))
    return vessel.T_world_object.apply(np.stack([r * np.cos(turn), r * np.sin(turn), up], axis=1))


def _without(points: np.ndarray, removed: np.ndarray, margin: float) -> np.ndarray:
    """Points [M, 3] farther than `margin` (m) from every removed point [N, 3]."""
    if len(points) == 0 or len(removed) == 0:
        return points
    distance, _ = cKDTree(removed).query(points, distance_upper_bound=margin)
    return points[~np.isfinite(distance)]
