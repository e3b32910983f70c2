"""Push: slide the block over the table until it lies on the disc."""

import numpy as np

from armflow.envs.shapes import block, disc, place, turn_z
from armflow.envs.tasks.block_on_disc import BLOCKS, DISC_RADIUS, DISCS, BlockOnDisc
from armflow.envs.tasks.layout import (
    COLORS,
    add_distractors,
    bench_point,
    choose,
    pick_colors,
    try_until,
)
from armflow.envs.world import World
from armflow.robot.model import RobotModel

__all__ = ["Push"]

VERBS = ("push", "slide", "shove", "nudge")
PREPOSITIONS = ("onto", "to", "on")
DISC_THICKNESS = 0.002  # m; a mere mark, so that the block slides over it
NEAR = 0.025  # m, block's centre from the disc's


class Push(BlockOnDisc):
    """The block lies flat on the table with any yaw, the disc 0.10 to 0.25 m from it."""

    name = "Push"
    max_seconds = 30.0

    def build(self, world: World, arm: RobotModel, *, rng: np.random.Generator) -> None:
        """Lay out block, disc and up to two distractors."""
        block_color, disc_color, *others = pick_colors(4, rng=rng)
        size = (rng.uniform(0.04, 0.05), rng.uniform(0.035, 0.04), rng.uniform(0.035, 0.045))
        limit = min(0.25, 1.7 * float(arm.bench_half[1]))
        block_at, disc_at = try_until(
            lambda: (bench_point(arm, *rng.uniform(-0.8, 0.8, 2)), bench_point(arm, *rng.uniform(-0.8, 0.8, 2))),
            lambda spots: bool(0.1 < np.linalg.norm(spots[0] - spots[1]) < limit),
        )
        yaw = turn_z(rng.uniform(-np.pi, np.pi))
        self.target = world.add(
            block(f"{block_color} block", size, COLORS[block_color]), place(block_at[0], block_at[1], size[2] / 2, yaw)
        )
        mark = disc(f"{disc_color} disc", DISC_RADIUS, COLORS[disc_color], thickness=DISC_THICKNESS, collides=False)
        self.reference = world.add(mark, place(disc_at[0], disc_at[1], DISC_THICKNESS))
        self._goal = np.array([*disc_at, size[2] / 2])
        away = (block_at - disc_at) / np.linalg.norm(block_at - disc_at)
        path = disc_at + np.linspace(0.0, float(np.linalg.norm(block_at - disc_at)) + 0.1, 8)[:, None] * away
        add_distractors(world, others[: rng.integers(3)], path, gap=0.1, rng=rng)
        self.instruction = (
            f"{choose(VERBS, rng=rng)} the {block_color} {choose(BLOCKS, rng=rng)} "
            f"{choose(PREPOSITIONS, rng=rng)} the {disc_color} {choose(DISCS, rng=rng)}"
        )

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell whether the block is at the disc's middle and at table height, [...] bool."""
        gap = achieved - desired
        return (np.linalg.norm(gap[..., :2], axis=-1) < NEAR) & (abs(gap[..., 2]) < 0.02)

    def is_success(self, world: World) -> bool:
        """The block lies on the disc, at rest."""
        met = self.success(self.achieved_goal(world), self.desired_goal(world))
        return bool(met) and world.at_rest(self.target)
