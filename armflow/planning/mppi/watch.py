"""Eyes of a planner: particles of the object on the table, found in one look and followed while the hand is at work."""

from typing import Protocol

import numpy as np

from armflow.perception.cloud import hidden_points, robot_mask
from armflow.perception.fuse import find_things, fuse_views, thing_colors
from armflow.perception.gaussian_masks import ObjectColors
from armflow.perception.observation import Observation
from armflow.perception.particles import ShapeState
from armflow.perception.shape_track import ShapeTracker, ShapeTrackerConfig
from armflow.perception.table import find_table
from armflow.planning.look import robot_capsules
from armflow.robot.errors import StackError
from armflow.robot.model import RobotModel

__all__ = ["CameraWatcher", "UnseenError", "Watcher"]

_CLOSED = 0.5  # opening below which the hand is closing or closed


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
        self._colors: ObjectColors
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
        self._tracker = self._find(observation)
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

    def _find(self, observation: Observation) -> ShapeTracker:
        """Particles of the largest thing on the table.

        Raises:
            UnseenError: There is none.
        """
        frames, others = (observation.frame,), (self._robot(observation),)
        self._ground = float(find_table(observation.frame, rng=self._rng).offset)
        things = find_things(frames, others, self._ground)
        if not things:
            raise UnseenError(f"no {self._name} is in sight on the table")
        self._colors = thing_colors(frames, things[0], self._ground)
        around = [~mask for mask in things[0].masks]
        cloud = fuse_views(frames, around, things[0].points, self._ground, self._colors)
        if len(cloud) < 2:
            raise UnseenError(f"too little of the {self._name} is in sight on the table")
        return ShapeTracker(cloud, self._config)

    def _robot(self, observation: Observation) -> np.ndarray:
        return robot_mask(observation.frame, *robot_capsules(self._arm, observation))

    def _follow(self, observation: Observation, tracker: ShapeTracker) -> float:
        """Move the particles to what this frame shows; how far off they are in the mean, m."""
        tip = self._arm.tool(observation.q).as_matrix()
        tip[:3, 3] += self._arm.gripper.tip * tip[:3, 2]
        if observation.gripper < _CLOSED and not tracker.holds:
            tracker.hold(tip)
        elif observation.gripper >= _CLOSED:
            tracker.release()
        frames, others = (observation.frame,), (self._robot(observation),)
        cloud = fuse_views(frames, others, tracker.points, self._ground, self._colors)
        if len(cloud) < 2:  # the hand covers it, or it is gone
            return np.inf
        hidden = hidden_points(tracker.points, observation.frame)
        return tracker.follow(cloud, hidden, tip if tracker.holds else None, floor=self._ground)
