"""Tasks with a rope, a plush body and a box; those with a cloth are in `cloth_tasks`."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.deformable.box import lid_box
from armflow.envs.deformable.cloud_task import CloudTask
from armflow.envs.deformable.goals import chamfer, drawn_shape
from armflow.envs.deformable.plush import plush
from armflow.envs.deformable.rope import SEGMENTS, center_line, draw_cord, lay_line, rope_of
from armflow.envs.deformable.world import SoftWorld

__all__ = ["BoxClose", "PlushPlace", "RopeShape"]

WORDS = {"line": "straight line", "L": "letter L", "U": "letter U", "S": "letter S"}
CARRY = (0.10, 0.16)  # m, how far the plush body is from its goal
TURN = 0.6  # rad, at most, between them


class RopeShape(CloudTask):
    """Lay a rope in a shape at a drawn place; the goal is the centre line of that rope, laid so and left to settle.

    A stiff rope need not keep corners that it cannot keep. The threshold is a thick rope's diameter; at the start the
    distance is at least half as much again.
    """

    name = "RopeShape"
    threshold = 0.02

    def build(self, world: SoftWorld, *, rng: np.random.Generator) -> None:
        """Draw rope, shape and place, let the goal settle, and load the scene."""
        center = world.arm.bench_center
        cord = draw_cord(center + rng.uniform(-0.03, 0.03, 2), rng=rng)
        while True:
            shape, yaw = str(rng.choice(list(WORDS))), rng.uniform(-np.pi, np.pi)
            turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
            line = drawn_shape(shape, SEGMENTS * cord.step, SEGMENTS + 1) @ turn.T
            line += center + rng.uniform(-0.03, 0.03, 2)
            world.load(rope_of(replace(cord, curve=lay_line(line))))
            self.goal = center_line(world.vertices())
            world.load(rope_of(cord))
            if chamfer(self.draw_points(world, rng), self.goal) > 1.5 * self.threshold:
                break
        self.instruction = f"lay the rope in the shape of a {WORDS[shape]}"


class PlushPlace(CloudTask):
    """Bring a plush body to another place and turn it; the goal is the body at rest, moved rigidly.

    At the start the distance is 0.06 m and more. The threshold is that of the right pose shifted by 0.013 m: a cloud
    tells the turn of so round a body only roughly, and turns are small.
    """

    name = "PlushPlace"
    threshold = 0.008

    def build(self, world: SoftWorld, *, rng: np.random.Generator) -> None:
        """Draw the body, and the goal across the middle of the bench."""
        center, heading = world.arm.bench_center, rng.uniform(-np.pi, np.pi)
        half = 0.5 * rng.uniform(*CARRY) * np.array([np.cos(heading), np.sin(heading)])
        world.load(plush(center - half, rng=rng))
        points = self.draw_points(world, rng)
        middle = points.mean(axis=0) * [1.0, 1.0, 0.0]
        turn = Rotation.from_euler("z", rng.uniform(-TURN, TURN))
        self.goal = turn.apply(points - middle) + np.append(center + half, 0.0)
        self.instruction = "bring the plush body to the goal"


class BoxClose(CloudTask):
    """Close the lid of a box; the goal is the box where it stands, with its hinge at 0.

    The lid is a quarter of the surface, so the distance is only 0.008 to 0.011 m at the start. The threshold is a lid
    that is open by 0.5 rad, or a closed box that was pushed away by 0.006 m.
    """

    name = "BoxClose"
    threshold = 0.005

    def build(self, world: SoftWorld, *, rng: np.random.Generator) -> None:
        """Draw the box, and find where its surface is when closed."""
        world.load(lid_box(world.arm.bench_center + rng.uniform(-0.03, 0.03, 2), rng=rng))
        self.draw_points(world, rng)
        saved = world.save()
        world.bend("box_lid", 0.0)
        self.goal = world.particles(self.points)
        world.restore(saved)
        self.instruction = "close the lid of the box"
