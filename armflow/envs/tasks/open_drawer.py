"""OpenDrawer: pull the drawer out by its handle."""

import numpy as np

from armflow.envs.shapes import drawer_cabinet, place, turn_z
from armflow.envs.tasks.layout import COLORS, add_distractors, bench_point, choose, pick_colors
from armflow.envs.tasks.task import body_state
from armflow.envs.world import World
from armflow.robot.model import RobotModel

__all__ = ["OpenDrawer"]

PHRASES = (
    "open the {color} drawer",
    "pull the {color} drawer open",
    "pull open the {color} drawer",
    "open the {color} cabinet",
    "slide the {color} drawer open",
)
OPEN = 0.12  # m that count as open
TRAVEL = 0.18  # m that the drawer can come out
CABINETS: dict[str, tuple[float, float, float, float]] = {
    "red": COLORS["red"],
    "green": COLORS["green"],
    "blue": COLORS["blue"],
    "white": (0.93, 0.93, 0.92, 1.0),
}


class OpenDrawer:
    """The cabinet stands beyond the middle of the bench, its handle turned to the robot, give or take 20 degrees.

    Goals are points: achieved is the handle's centre, desired where it is when the drawer is fully out. The drawer
    counts as open where no more than `TRAVEL - OPEN` is left.
    """

    name = "OpenDrawer"
    max_seconds = 30.0

    def build(self, world: World, arm: RobotModel, *, rng: np.random.Generator) -> None:
        """Lay out the cabinet and up to two distractors beside it."""
        color = choose(tuple(CABINETS), rng=rng)
        depth, width, height = rng.uniform(0.18, 0.2), rng.uniform(0.2, 0.25), rng.uniform(0.115, 0.135)
        standoff = rng.uniform(0.036, 0.042)
        handle_at = bench_point(arm, rng.uniform(0.4, 0.9), rng.uniform(-0.5, 0.5))
        # On a short bench the pulled handle would end at the arm's foot.
        handle_at[0] = max(handle_at[0], bench_point(arm, -1.0, 0.0)[0] + OPEN + 0.01)
        yaw = np.arctan2(-handle_at[1], -handle_at[0]) + rng.uniform(-1, 1) * np.radians(20.0)
        out = np.array([np.cos(yaw), np.sin(yaw)])
        cabinet_at = handle_at - (depth / 2 + 0.01 + standoff) * out
        rgba = CABINETS[color]
        front = (0.85 * rgba[0], 0.85 * rgba[1], 0.85 * rgba[2], 1.0)
        spec = drawer_cabinet(
            f"{color} cabinet", rgba, front, size=(depth, width, height), travel=TRAVEL, standoff=standoff
        )
        self.target = self.reference = world.add(spec, place(*cabinet_at, rotation=turn_z(yaw)))
        self._goal = world.link_pose(self.target, "drawer").apply([TRAVEL, 0.0, 0.0])
        path = handle_at + np.linspace(-depth - 0.08, TRAVEL + 0.1, 10)[:, None] * out
        others = [name for name in pick_colors(5, rng=rng) if name != color][: rng.integers(3)]
        add_distractors(world, others, path, gap=0.18, rng=rng)
        self.instruction = choose(PHRASES, rng=rng).format(color=color)

    def update(self, world: World) -> None:
        """Nothing to take note of."""

    def state(self, world: World) -> np.ndarray:
        """Cabinet, and the drawer's travel, m, and speed, m/s, [15]."""
        return np.concatenate([body_state(world, self.target), world.joint(self.target, "drawer")])

    def achieved_goal(self, world: World) -> np.ndarray:
        """Centre of the handle, [3] m."""
        return world.link_pose(self.target, "drawer").translation

    def desired_goal(self, world: World) -> np.ndarray:
        """Centre of the handle with the drawer fully out, [3] m."""
        return self._goal.copy()

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell whether the drawer is out by `OPEN`, [...] bool."""
        return np.linalg.norm(achieved - desired, axis=-1) <= TRAVEL - OPEN

    def is_success(self, world: World) -> bool:
        """The drawer is open and no longer moves."""
        travel, speed = world.joint(self.target, "drawer")
        return travel >= OPEN and abs(speed) < 0.01

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Minus what is left to pull, [...] m."""
        return -np.linalg.norm(achieved - desired, axis=-1)
