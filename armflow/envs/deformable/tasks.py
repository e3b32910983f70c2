"""Tasks with things that bend: a goal is a cloud of points, and success is a small Chamfer distance to it."""

import numpy as np

from armflow.envs.deformable.goals import chamfer, drawn_shape
from armflow.envs.deformable.rope import LENGTH, RADIUS, SEGMENTS, rope
from armflow.envs.deformable.tracks import draw_track_points
from armflow.envs.deformable.world import SoftWorld

__all__ = ["RopeShape"]

WORDS = {"line": "straight line", "L": "letter L", "U": "letter U", "S": "letter S"}
PARTICLES = 400


class RopeShape:
    """Lay a rope in a drawn shape at a drawn place.

    Attributes:
        instruction: The task in words.
        goal: [P, 3] centre line of the rope as it shall lie, m, from its first end to the other.
        threshold: Success is a Chamfer distance below this, m; a rope's diameter is 0.012 to 0.02.
    """

    name = "RopeShape"
    arm = "xarm6"
    max_seconds = 60.0
    threshold = 0.02
    instruction = ""

    def build(self, world: SoftWorld, *, rng: np.random.Generator) -> None:
        """Draw rope, shape and place, and load the scene."""
        center = world.arm.bench_center
        body = rope(center + rng.uniform(-0.03, 0.03, 2), rng=rng)
        world.load(body)
        shape = str(rng.choice(list(WORDS)))
        length = LENGTH[0] + body.material["size"] * (LENGTH[1] - LENGTH[0])
        yaw = rng.uniform(-np.pi, np.pi)
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        line = drawn_shape(shape, length, 4 * SEGMENTS) @ turn.T + center + rng.uniform(-0.03, 0.03, 2)
        self.goal = np.column_stack([line, np.full(len(line), RADIUS[0])])
        self.points = draw_track_points(world.vertices(), body.faces, PARTICLES, rng=rng)
        self.instruction = f"lay the rope in the shape of a {WORDS[shape]}"

    def distance(self, world: SoftWorld) -> float:
        """Chamfer distance of the rope's surface to the goal, m."""
        return chamfer(world.particles(self.points), self.goal)

    def is_success(self, world: SoftWorld) -> bool:
        """Tell whether the rope lies in the shape."""
        return self.distance(world) < self.threshold
