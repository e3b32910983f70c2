"""`CloudTask`: what all tasks with things that bend share; a goal is a cloud of points, success a small distance."""

from typing import ClassVar

import numpy as np

from armflow.envs.deformable.goals import chamfer
from armflow.envs.deformable.tracks import draw_track_points
from armflow.envs.deformable.world import SoftWorld

__all__ = ["PARTICLES", "CloudTask"]

PARTICLES = 400


class CloudTask:
    """One kind of episode. A task's `build` draws and loads a scene, sets `goal` and `instruction`, draws `points`.

    Attributes:
        name: Such as "RopeShape".
        arm: The arm that the task is for.
        max_seconds: Time limit of an episode, s.
        threshold: Success is a Chamfer distance below this, m.
        instruction: The task in words.
        goal: [P, 3] where the thing's surface, or its centre line, shall be, m, world.
        points: `PARTICLES` material points of the thing, by which it is judged.
    """

    name: ClassVar[str]
    arm: ClassVar[str] = "xarm6"
    max_seconds: ClassVar[float] = 60.0
    threshold: ClassVar[float]
    instruction: str = ""
    goal: np.ndarray

    def build(self, world: SoftWorld, *, rng: np.random.Generator) -> None:
        """Start the next episode in a world; the same generator state gives the same episode, bit for bit."""
        raise NotImplementedError

    def draw_points(self, world: SoftWorld, rng: np.random.Generator) -> np.ndarray:
        """Draw the points by which the loaded thing is judged, and return where they are [N, 3], m."""
        self.points = draw_track_points(world.vertices(), world.body.faces, PARTICLES, rng=rng)
        return world.particles(self.points)

    def distance(self, world: SoftWorld) -> float:
        """Chamfer distance of the thing's surface to the goal, m."""
        return chamfer(world.particles(self.points), self.goal)

    def is_success(self, world: SoftWorld) -> bool:
        """Tell whether the thing is at its goal."""
        return self.distance(world) < self.threshold

    def state(self, world: SoftWorld) -> np.ndarray:
        """Return where the hand is [7], m and quaternion wxyz; the thing itself is the achieved goal."""
        return world.hand.pose7()

    def achieved_goal(self, world: SoftWorld) -> np.ndarray:
        """Return where the points are [N, 3], m."""
        return world.particles(self.points)

    def desired_goal(self, _world: SoftWorld) -> np.ndarray:
        """Return the goal [P, 3], m."""
        return self.goal

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell for clouds [..., N, 3] and goals [..., P, 3] whether they are met, [...] bool."""
        return -self.reward(achieved, desired) < self.threshold

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Return minus the Chamfer distance [...] of clouds [..., N, 3] to goals [..., P, 3], m."""
        ahead = np.broadcast_shapes(achieved.shape[:-2], desired.shape[:-2])
        clouds = np.broadcast_to(achieved, (*ahead, *achieved.shape[-2:])).reshape(-1, *achieved.shape[-2:])
        goals = np.broadcast_to(desired, (*ahead, *desired.shape[-2:])).reshape(-1, *desired.shape[-2:])
        return -np.array([chamfer(a, b) for a, b in zip(clouds, goals, strict=True)]).reshape(ahead)
