"""What Push and PickPlace share: one block whose centre shall come to the middle of one disc."""

import numpy as np

from armflow.envs.tasks.task import body_state
from armflow.envs.world import World

__all__ = ["BLOCKS", "DISCS", "DISC_RADIUS", "BlockOnDisc"]

BLOCKS = ("block", "cube", "box")
DISCS = ("disc", "disk", "circle")
DISC_RADIUS = 0.05  # m


class BlockOnDisc:
    """State, goals and reward; the tasks lay out the bodies and say when the block counts as being there.

    Goals are points: achieved is the block's centre, desired where that is when the block rests in the disc's middle.
    """

    target: int
    reference: int
    _goal: np.ndarray

    def update(self, world: World) -> None:
        """Nothing to take note of."""

    def state(self, world: World) -> np.ndarray:
        """Block and disc, [26]."""
        return body_state(world, self.target, self.reference)

    def achieved_goal(self, world: World) -> np.ndarray:
        """Centre of the block, [3] m."""
        return world.pose7(self.target)[:3]

    def desired_goal(self, world: World) -> np.ndarray:
        """Centre of the block when it rests in the middle of the disc, [3] m."""
        return self._goal.copy()

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Minus the distance of the block from where it shall be, [...] m."""
        return -np.linalg.norm(achieved - desired, axis=-1)
