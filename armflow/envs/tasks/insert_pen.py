"""InsertPen: take the pen that lies on the table and let it stand in the holder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.objects import Holder, Pen
from armflow.envs.shapes import place
from armflow.envs.tasks.layout import (
    COLORS,
    add_distractors,
    bench_point,
    choose,
    corridor,
    pick_colors,
    try_until,
)
from armflow.envs.tasks.task import body_state
from armflow.envs.world import World

if TYPE_CHECKING:
    from armflow.robot.model import RobotModel

__all__ = ["InsertPen"]

VERBS = ("put", "insert", "place", "stick", "drop", "stand")
PENS = ("pen", "marker", "pencil")
HOLDERS = ("holder", "pen holder", "pencil holder", "pot")
PREPOSITIONS = ("in", "into", "inside")
MAX_LEAN = np.radians(40.0)  # a pen leans up to 38 degrees in the widest and lowest holder
MAX_TIP = np.radians(10.0)  # how far the holder itself may tip
REACH = 0.03  # m, sideways and in height, from the pen's lower end to the middle of the holder's bottom


class InsertPen:
    """The pen lies with any yaw on one side of the bench; the holder stands on the other.

    Goals are points: achieved is the pen's lower end, desired the middle of the holder's inner bottom.
    """

    name = "InsertPen"
    max_seconds = 30.0

    def build(self, world: World, arm: RobotModel, *, rng: np.random.Generator) -> None:
        """Lay out pen, holder and up to two distractors."""
        pen_color, holder_color, *others = pick_colors(4, rng=rng)
        self.pen = Pen(rng.uniform(0.12, 0.15), rng.uniform(0.007, 0.009))
        self.holder = Holder(rng.uniform(0.028, 0.032), rng.uniform(0.075, 0.09))
        side = rng.choice([-1.0, 1.0])
        pen_at, holder_at = try_until(
            lambda: (
                bench_point(arm, rng.uniform(-0.8, 0.8), side * rng.uniform(0.2, 0.8)),
                bench_point(arm, rng.uniform(-0.6, 0.9), -side * rng.uniform(0.2, 0.85)),
            ),
            lambda spots: bool(np.linalg.norm(spots[0] - spots[1]) > self.pen.length / 2 + 0.08),
        )
        yaw = rng.uniform(-np.pi, np.pi)
        turn = Rotation.from_euler("z", yaw)
        self.target = world.add(
            self.pen.body(f"{pen_color} pen", COLORS[pen_color]), place(pen_at[0], pen_at[1], self.pen.radius, turn)
        )
        self.reference = world.add(
            self.holder.body(f"{holder_color} holder", COLORS[holder_color]), place(*holder_at, rotation=turn)
        )
        ends = pen_at + np.outer([-0.5, 0.0, 0.5], self.pen.length * np.array([np.cos(yaw), np.sin(yaw)]))
        taken = np.vstack([ends, corridor(holder_at)])
        add_distractors(world, others[: rng.integers(3)], taken, gap=0.1, rng=rng)
        self.instruction = (
            f"{choose(VERBS, rng=rng)} the {pen_color} {choose(PENS, rng=rng)} "
            f"{choose(PREPOSITIONS, rng=rng)} the {holder_color} {choose(HOLDERS, rng=rng)}"
        )

    def update(self, world: World) -> None:
        """Nothing to take note of."""

    def state(self, world: World) -> np.ndarray:
        """Pen and holder, [26]."""
        return body_state(world, self.target, self.reference)

    def achieved_goal(self, world: World) -> np.ndarray:
        """Lower end of the pen, [3] m."""
        half = np.array([self.pen.length / 2, 0.0, 0.0])
        ends = world.pose(self.target).apply(np.array([half, -half]))
        return ends[np.argmin(ends[:, 2])]

    def desired_goal(self, world: World) -> np.ndarray:
        """Middle of the holder's inner bottom, [3] m."""
        return world.pose(self.reference).apply([0.0, 0.0, 0.008])

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell whether the lower end is as near the bottom's middle as only a pen inside can be, [...] bool."""
        gap = achieved - desired
        return (np.linalg.norm(gap[..., :2], axis=-1) < REACH) & (abs(gap[..., 2]) < REACH)

    def is_success(self, world: World) -> bool:
        """The pen stands in the upright holder, released and at rest."""
        pen, holder = world.pose(self.target), world.pose(self.reference)
        lean = np.arccos(min(1.0, abs(pen.rotation.as_matrix()[2, 0])))
        tip = np.arccos(min(1.0, holder.rotation.as_matrix()[2, 2]))
        return bool(
            self.success(self.achieved_goal(world), self.desired_goal(world))
            and lean < MAX_LEAN
            and tip < MAX_TIP
            and world.at_rest(self.target, speed=0.02, spin=0.5)
            and not world.touching(self.target)
        )

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Minus the distance of the pen's lower end from the holder's bottom, [...] m."""
        return -np.linalg.norm(achieved - desired, axis=-1)
