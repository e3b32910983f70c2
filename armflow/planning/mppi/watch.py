"""Eyes of a planner: particles of the object on the table, found in one look and followed while the hand is at work."""

from typing import Protocol

import numpy as np
from scipy.spatial import cKDTree

from armflow.perception.cloud import back_project, project, robot_mask
from armflow.perception.frame import RGBDFrame
from armflow.perception.observation import Observation
from armflow.perception.particles import ShapeState
from armflow.perception.segment import RobotCapsules, perceive
from armflow.perception.shape_track import ShapeTracker, ShapeTrackerConfig
from armflow.planning.look import robot_capsules
from armflow.robot.errors import ShapeError, StackError
from armflow.robot.model import RobotModel

__all__ = ["CameraWatcher", "UnseenError", "Watcher"]

_NEAR = 0.08  # m around the particles in which what is seen may belong to the object
_CLEAR = 0.004  # m above the table below which a reading may be the table's
_BEHIND = 0.012  # m that a particle may lie behind what is seen in front of it before it counts as hidden
_CLOSED = 0.5  # opening below which the hand is closing or closed
_TOUCHING = 0.02  # m between parts of one object
_MOST = 900  # points of a cloud


class UnseenError(StackError):
    """No object is in sight where one is needed."""


class Watcher(Protocol):
    """Follows one object's particles from observation to observation."""

    def start(self, observation: Observation) -> ShapeState:
        """Look with the hand away from the object."""
        ...

    def update(self, observation: Observation) -> ShapeState:
        """Look again while the hand is at work; particles keep their order."""
        ...


class CameraWatcher:
    """The largest thing on the table, with what touches it, from one camera.

    The first look chooses the particles; their shape then is the rest shape. Each later look moves the same particles,
    unless the object is lost, which begins anew.
    """

    def __init__(
        self, arm: RobotModel, name: str, *, rng: np.random.Generator, config: ShapeTrackerConfig | None = None
    ) -> None:
        """Take the arm, whose body is no object, what the object is called, and how to follow it."""
        self._arm, self._name, self._rng = arm, name, rng
        self._config = config or ShapeTrackerConfig()
        self._tracker: ShapeTracker | None = None
        self._stamp = self._ground = 0.0

    def start(self, observation: Observation) -> ShapeState:
        """Look with the hand away.

        Raises:
            UnseenError: Nothing is on the table.
        """
        if self._tracker is not None:
            self._tracker.release()
            if self._follow(observation, self._tracker) < self._config.lost:
                return self._state(observation, None)
        self._tracker = ShapeTracker(self._cloud(observation), self._config)
        return self._state(observation, None)

    def update(self, observation: Observation) -> ShapeState:
        """Look while the hand is at work.

        Raises:
            UnseenError: Nothing has been found yet, and nothing is on the table.
        """
        if self._tracker is None:
            return self.start(observation)
        before = self._tracker.points
        self._follow(observation, self._tracker)
        return self._state(observation, before)

    def _state(self, observation: Observation, before: np.ndarray | None) -> ShapeState:
        assert self._tracker is not None
        seconds, self._stamp = observation.stamp - self._stamp, observation.stamp
        return self._tracker.state(self._name, before, seconds, observation.stamp)

    def _cloud(self, observation: Observation) -> np.ndarray:
        """Points [M, 3] of the object, m."""
        seen = perceive(observation.frame, rng=self._rng, robot=robot_capsules(self._arm, observation))
        clouds = [one.state.points_world for one in seen.detections if len(one.state.points_world) >= 2]
        if not clouds:
            raise UnseenError(f"no {self._name} is in sight on the table")
        self._ground = seen.table.offset
        return self._thin(_joined(sorted(clouds, key=len, reverse=True)))

    def _thin(self, cloud: np.ndarray) -> np.ndarray:
        return cloud if len(cloud) <= _MOST else cloud[np.sort(self._rng.choice(len(cloud), _MOST, replace=False))]

    def _follow(self, observation: Observation, tracker: ShapeTracker) -> float:
        """Move the particles to what this frame shows; how far off they are in the mean, m."""
        tip = self._arm.tool(observation.q).as_matrix()
        tip[:3, 3] += self._arm.gripper.tip * tip[:3, 2]
        if observation.gripper < _CLOSED and not tracker.holds:
            tracker.hold(tip)
        elif observation.gripper >= _CLOSED:
            tracker.release()
        robot = robot_capsules(self._arm, observation)
        try:
            cloud = self._near_cloud(observation.frame, robot, tracker.points)
            hidden = hidden_points(tracker.points, observation.frame)
            return tracker.follow(cloud, hidden, tip if tracker.holds else None, floor=self._ground)
        except ShapeError:  # nothing of it is seen: the hand covers it, or it is gone
            return np.inf

    def _near_cloud(self, frame: RGBDFrame, robot: RobotCapsules, points: np.ndarray) -> np.ndarray:
        """What is seen above the table, near the particles, and not of the robot [M, 3], m."""
        seen = back_project(frame)
        low, high = points.min(0) - _NEAR, points.max(0) + _NEAR
        with np.errstate(invalid="ignore"):
            inside = ((seen > low) & (seen < high)).all(-1) & (seen[..., 2] > self._ground + _CLEAR)
        return self._thin(seen[inside & ~robot_mask(frame, *robot)])


def _joined(clouds: list[np.ndarray]) -> np.ndarray:
    """The first cloud with all others that touch it: parts of one object may differ in colour, as lid and box do."""
    whole, rest = clouds[0], clouds[1:]
    while True:
        tree = cKDTree(whole)
        near = [cloud for cloud in rest if tree.query(cloud)[0].min() < _TOUCHING]
        if not near:
            return whole
        whole, rest = np.concatenate([whole, *near]), [c for c in rest if not any(c is n for n in near)]


def hidden_points(points: np.ndarray, frame: RGBDFrame) -> np.ndarray:
    """Which points [N, 3] (m, world) lie outside the picture or behind what it shows: [N] bool."""
    pixels, depth = project(points, frame.K, frame.T_world_camera.as_matrix())
    u, v = np.round(pixels).astype(int).T
    height, width = frame.depth.shape
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    shown = np.full(len(points), np.nan)
    shown[inside] = frame.depth[v[inside], u[inside]]
    return ~inside | (np.nan_to_num(shown, nan=np.inf) < depth - _BEHIND)
