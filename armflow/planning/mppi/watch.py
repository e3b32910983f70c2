"""Particles of the object from one camera's frames, for a plan: a segmentation, thinned; a fallback for trackers."""

from typing import Protocol

import numpy as np

from armflow.perception.observation import Observation
from armflow.perception.particles import ObjectState
from armflow.perception.segment import perceive
from armflow.planning.look import robot_capsules
from armflow.planning.mppi.objective import farthest_points
from armflow.robot.errors import StackError
from armflow.robot.model import RobotModel

__all__ = ["CloudWatcher", "UnseenError", "Watcher"]


class UnseenError(StackError):
    """No object is in sight where one is needed."""


class Watcher(Protocol):
    """Follows one object's particles from observation to observation."""

    def start(self, observation: Observation) -> ObjectState:
        """Look anew, with the hand away from the object."""
        ...

    def update(self, observation: Observation) -> ObjectState:
        """Look again while the hand is at work; particles keep their order."""
        ...


class CloudWatcher:
    """The largest thing on the table, as points seen; no memory but for what the hand hides."""

    def __init__(self, arm: RobotModel, *, rng: np.random.Generator, count: int = 300) -> None:
        """Take the arm, whose body is no object, and how many particles to keep."""
        self._arm, self._rng, self._count = arm, rng, count

    def start(self, observation: Observation) -> ObjectState:
        """Segment the frame.

        Raises:
            UnseenError: Nothing is on the table.
        """
        robot = robot_capsules(self._arm, observation)
        seen = perceive(observation.frame, rng=self._rng, robot=robot).detections
        if not seen:
            raise UnseenError("no object is in sight on the table")
        points = max(seen, key=lambda one: len(one.state.points_world)).state.points_world
        kept = points[farthest_points(points, self._count)]
        return ObjectState("object", kept, np.zeros_like(kept), observation.stamp)

    def update(self, observation: Observation) -> ObjectState:
        """Segment the frame again: this watcher does not follow single particles."""
        return self.start(observation)
