"""Tasks with a cloth: lift it by a corner, fold it corner to corner."""

import numpy as np

from armflow.envs.deformable.cloth import SIDE, THICKNESS, cloth
from armflow.envs.deformable.cloud_task import CloudTask
from armflow.envs.deformable.free_hand import FreeHand, hand_down
from armflow.envs.deformable.world import SoftWorld

__all__ = ["CORNERS", "ClothFold", "ClothLift", "corner_grasp"]

CORNERS = (0, SIDE - 1, SIDE * SIDE - 1, SIDE * (SIDE - 1))  # vertices, around the sheet
INWARD = 0.1  # of the way from the corner to the middle, where fingers take hold
PINCH = 0.004  # m, height of the fingertips that take hold: in the sheet, not through it
ABOUT = 0.25  # opening about what they take: from wider, they gather the sheet and drag it along
FOLDING = (1, 3)  # corners that fold over the line along which triangles meet; across it, they lock
HEIGHT = (0.10, 0.18)  # m, of the lifted corner
LIFT_SPEED = 0.25  # m/s
CLOSE_FRAMES, HOLD_FRAMES = 14, 15
LEAST_RISE = 0.7  # of the height; whoever rises less has slipped out


def corner_grasp(vertices: np.ndarray, corner: int) -> np.ndarray:
    """Pose [8] of open fingertips about a corner of a lying cloth, closing along its diagonal."""
    to_middle = vertices.mean(axis=0) - vertices[CORNERS[corner]]
    yaw = np.arctan2(to_middle[1], to_middle[0]) % np.pi - np.pi / 2
    at = vertices[CORNERS[corner]] + INWARD * to_middle
    return hand_down(np.array([at[0], at[1], PINCH]), yaw, ABOUT)


class ClothLift(CloudTask):
    """Lift a cloth by a corner and hold it there; the goal is what simulating just that in the same scene leaves.

    At the start the distance is 0.025 m and more. Two lifts by the same corner hang in different folds, up to 0.010 m
    apart, which is what the threshold allows. The cloth falls when it is let go, so only a hand that still holds it at
    the end has done the task.
    """

    name = "ClothLift"
    threshold = 0.015

    def build(self, world: SoftWorld, *, rng: np.random.Generator) -> None:
        """Draw cloth, corner and height; lift it once for the goal, and put it back; slips are drawn anew."""
        height = 0.0
        while height == 0.0 or self.goal[:, 2].max() < LEAST_RISE * height:
            world.load(cloth(world.arm.bench_center + rng.uniform(-0.03, 0.03, 2), rng=rng))
            self.draw_points(world, rng)
            corner, height = int(rng.integers(4)), rng.uniform(*HEIGHT)
            saved = world.save()
            self.hold = _lift(world, corner_grasp(world.vertices(), corner), height)
            self.goal = world.particles(self.points)
            world.restore(saved)
        self.instruction = f"lift the cloth by a corner, {100 * height:.0f} cm high, and hold it"


class ClothFold(CloudTask):
    """Fold a cloth corner to corner; the goal is one half mirrored onto the other, one thickness higher.

    At the start the distance is 0.012 m and more, as half of the points are 0.05 m from the goal on average.
    """

    name = "ClothFold"
    threshold = 0.008

    def build(self, world: SoftWorld, *, rng: np.random.Generator) -> None:
        """Draw cloth and corner, and mirror the corner's half."""
        world.load(cloth(world.arm.bench_center + rng.uniform(-0.03, 0.03, 2), rng=rng))
        points, vertices = self.draw_points(world, rng), world.vertices()
        self.corner = int(rng.choice(FOLDING))
        middle = vertices.mean(axis=0)
        out = (vertices[CORNERS[self.corner]] - middle) * [1.0, 1.0, 0.0]
        out /= np.linalg.norm(out)
        over = np.maximum((points - middle) @ out, 0.0)[:, None]
        self.goal = points - 2.0 * over * out + np.where(over > 0.0, [0.0, 0.0, THICKNESS], 0.0)
        self.instruction = "fold the cloth corner to corner"


def _lift(world: SoftWorld, grasp: np.ndarray, height: float) -> np.ndarray:
    """Take hold, go straight up and wait; return where the hand then is [8]."""
    hand, low, high = FreeHand(world, grasp), np.append(grasp[:7], 0.0), np.append(grasp[:7], 0.0)
    high[2] = height
    frames = int(np.ceil((height - PINCH) / LIFT_SPEED * 30.0))
    for share in np.minimum(np.arange(1, CLOSE_FRAMES + 1) / (CLOSE_FRAMES - 4), 1.0):
        hand.step(grasp + share * (low - grasp))
    for share in np.minimum(np.arange(1, frames + HOLD_FRAMES + 1) / frames, 1.0):
        hand.step(low + share * (high - low))
    return high
