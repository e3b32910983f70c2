"""Pour: pour the beads from one cup into the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.objects import Cup, bead
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

__all__ = ["Pour"]

BEADS = 12
SHARE = 0.8
PHRASES = (
    "pour the {beads} from the {source} {cup} into the {goal} {cup}",
    "pour the {beads} in the {source} {cup} into the {goal} {cup}",
    "empty the {source} {cup} into the {goal} {cup}",
    "tip the {beads} from the {source} {cup} into the {goal} {cup}",
    "pour the {source} {cup} into the {goal} {cup}",
)
CUPS = ("cup", "beaker", "tumbler")
CONTENTS = ("beads", "balls", "marbles")


class Pour:
    """A cup with twelve beads stands on one side of the bench; a wider, empty one on the other.

    Goals have one number: achieved is the share of the beads in the wider cup, desired is 1.
    """

    name = "Pour"
    max_seconds = 40.0

    def build(self, world: World, arm: RobotModel, *, rng: np.random.Generator) -> None:
        """Lay out both cups, the beads and up to two distractors."""
        source_color, goal_color, bead_color, *others = pick_colors(5, rng=rng)
        widest = min(0.034, arm.gripper.max_width / 2 - 0.005)
        self.source = Cup(rng.uniform(widest - 0.006, widest), rng.uniform(0.085, 0.1))
        self.goal = Cup(0.045, rng.uniform(0.07, 0.085), mass=0.3)
        side = rng.choice([-1.0, 1.0])
        source_at, goal_at = try_until(
            lambda: (
                bench_point(arm, rng.uniform(-0.7, 0.7), side * rng.uniform(0.35, 0.8)),
                bench_point(arm, rng.uniform(-0.5, 0.7), -side * rng.uniform(0.35, 0.8)),
            ),
            lambda spots: bool(np.linalg.norm(spots[0] - spots[1]) > min(0.17, 1.4 * arm.bench_half[1])),
        )
        turns = Rotation.from_rotvec(rng.uniform(-np.pi, np.pi, (2, 1)) * np.array([0.0, 0.0, 1.0]))
        T_world_source = place(*source_at, rotation=turns[0])
        self.target = world.add(self.source.body(f"{source_color} cup", COLORS[source_color]), T_world_source)
        self.reference = world.add(
            self.goal.body(f"{goal_color} cup", COLORS[goal_color]), place(*goal_at, rotation=turns[1])
        )
        spots = T_world_source.apply(self.source.bead_spots(BEADS))
        self.beads = [world.add(bead(f"bead {n}", COLORS[bead_color]), place(*p)) for n, p in enumerate(spots)]
        taken = np.vstack([corridor(source_at), corridor(goal_at)])
        add_distractors(world, others[: rng.integers(3)], taken, gap=0.12, rng=rng)
        self.instruction = choose(PHRASES, rng=rng).format(
            beads=choose(CONTENTS, rng=rng), cup=choose(CUPS, rng=rng), source=source_color, goal=goal_color
        )

    def update(self, world: World) -> None:
        """Nothing to take note of."""

    def _bead_points(self, world: World) -> np.ndarray:
        return np.array([world.pose7(handle)[:3] for handle in self.beads])

    def state(self, world: World) -> np.ndarray:
        """Both cups, the beads' mean position and the share poured, [30]."""
        mean = self._bead_points(world).mean(axis=0)
        return np.concatenate([body_state(world, self.target, self.reference), mean, self.achieved_goal(world)])

    def achieved_goal(self, world: World) -> np.ndarray:
        """Share of the beads inside the wider cup, [1]."""
        points = world.pose(self.reference).inv().apply(self._bead_points(world))
        return np.array([self.goal.holds(points).mean()])

    def desired_goal(self, world: World) -> np.ndarray:
        """All of them, [1]."""
        return np.ones(1)

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell whether four fifths of the share asked for is there, [...] bool."""
        return achieved[..., 0] >= SHARE * desired[..., 0] - 1e-9

    def is_success(self, world: World) -> bool:
        """Enough beads are in the wider cup, and they have settled."""
        if not self.success(self.achieved_goal(world), self.desired_goal(world)):
            return False
        speeds = [float(np.linalg.norm(world.velocity(handle)[:3])) for handle in self.beads]
        return sorted(speeds)[int(np.ceil(SHARE * BEADS)) - 1] < 0.1

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Minus the share that is still missing, [...]."""
        return -np.maximum(0.0, desired[..., 0] - achieved[..., 0])
