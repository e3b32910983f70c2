"""PickPlace: lift the block and put it down on the disc."""

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

__all__ = ["PickPlace"]

VERBS = ("put", "place", "set", "lay")
PREPOSITIONS = ("on", "onto", "on top of")
DISC_THICKNESS = 0.004
NEAR = 0.03  # m, block's centre from the disc's


class PickPlace(BlockOnDisc):
    """The block lies flat on the table with any yaw; the disc is a thin solid plate fixed to the table."""

    name = "PickPlace"
    max_seconds = 30.0

    def build(self, world: World, arm: RobotModel, *, rng: np.random.Generator) -> None:
        """Lay out block, disc and up to three distractors."""
        block_color, disc_color, *others = pick_colors(5, rng=rng)
        size = (rng.uniform(0.04, 0.05), rng.uniform(0.035, 0.04), rng.uniform(0.035, 0.05))
        block_at, disc_at = try_until(
            lambda: (bench_point(arm, *rng.uniform(-0.9, 0.9, 2)), bench_point(arm, *rng.uniform(-0.9, 0.9, 2))),
            lambda spots: bool(np.linalg.norm(spots[0] - spots[1]) > 0.11),
        )
        yaw = turn_z(rng.uniform(-np.pi, np.pi))
        self.target = world.add(
            block(f"{block_color} block", size, COLORS[block_color]), place(block_at[0], block_at[1], size[2] / 2, yaw)
        )
        plate = disc(f"{disc_color} disc", DISC_RADIUS, COLORS[disc_color], thickness=DISC_THICKNESS)
        self.reference = world.add(plate, place(disc_at[0], disc_at[1], DISC_THICKNESS))
        self._goal = np.array([*disc_at, DISC_THICKNESS + size[2] / 2])
        add_distractors(world, others[: rng.integers(4)], np.array([block_at, disc_at]), gap=0.11, rng=rng)
        self.instruction = (
            f"{choose(VERBS, rng=rng)} the {block_color} {choose(BLOCKS, rng=rng)} "
            f"{choose(PREPOSITIONS, rng=rng)} the {disc_color} {choose(DISCS, rng=rng)}"
        )

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell whether the block is above the disc's middle at the height where it rests, [...] bool."""
        gap = achieved - desired
        return (np.linalg.norm(gap[..., :2], axis=-1) < NEAR) & (abs(gap[..., 2]) < 0.015)

    def is_success(self, world: World) -> bool:
        """The block lies on the disc, released and at rest."""
        met = self.success(self.achieved_goal(world), self.desired_goal(world))
        return bool(met) and world.at_rest(self.target) and not world.touching(self.target)
