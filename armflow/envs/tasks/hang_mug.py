"""HangMug: hang the mug by its handle on the rack's peg, where it must stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.objects import Mug, Rack
from armflow.envs.shapes import place
from armflow.envs.tasks.layout import COLORS, add_distractors, bench_point, choose, pick_colors, try_until
from armflow.envs.tasks.task import body_state
from armflow.envs.world import CONTROL_PERIOD, World

if TYPE_CHECKING:
    from armflow.robot.model import RobotModel

__all__ = ["HangMug"]

VERBS = ("hang", "put", "place")
MUGS = ("mug", "coffee mug")
RACKS = ("rack", "mug rack", "peg", "hook", "stand")
HANDLE_TURN = np.radians(130.0)  # largest turn of the handle away from the far side, where the camera stands
PEG_TURN = np.radians(30.0)  # largest turn of the peg away from straight across the bench
HOLD_SECONDS = 1.0
NEAR = 0.06  # m, from the handle's opening to the peg's middle


class HangMug:
    """The mug stands on one side of the bench, the rack on the other with its peg pointing across, towards the mug.

    The handle points at most 130 degrees away from the direction base to bench: further round, the mug would hide it
    from a camera on the far side. Goals are points: achieved is the middle of the handle's opening, desired the middle
    of the peg.
    """

    name = "HangMug"
    max_seconds = 40.0

    def build(self, world: World, arm: RobotModel, *, rng: np.random.Generator) -> None:
        """Lay out mug, rack and up to two distractors."""
        mug_color, rack_color, *others = pick_colors(4, rng=rng)
        self.mug = Mug(rng.uniform(0.031, 0.035), rng.uniform(0.085, 0.1))
        self.rack = Rack(rng.uniform(0.2, 0.23), rng.uniform(0.09, 0.11), np.radians(rng.uniform(15.0, 20.0)))
        side = rng.choice([-1.0, 1.0])
        away = np.arctan2(arm.bench_center[1], arm.bench_center[0])
        peg_yaw = away + side * np.pi / 2 + rng.uniform(-PEG_TURN, PEG_TURN)
        peg_way = np.array([np.cos(peg_yaw), np.sin(peg_yaw)])
        mug_at, peg_at = try_until(
            lambda: (
                bench_point(arm, rng.uniform(-0.8, 0.8), side * rng.uniform(0.25, 0.9)),
                bench_point(arm, rng.uniform(-0.5, 0.7), -side * rng.uniform(0.35, 0.6)),
            ),
            lambda spots: bool(np.linalg.norm(spots[0] - spots[1]) > min(0.14, 1.1 * arm.bench_half[1])),
        )
        foot_at = peg_at - 0.06 * peg_way
        mug_yaw = away + rng.uniform(-HANDLE_TURN, HANDLE_TURN)
        self.target = world.add(
            self.mug.body(f"{mug_color} mug", COLORS[mug_color]),
            place(*mug_at, rotation=Rotation.from_euler("z", mug_yaw)),
        )
        T_world_foot = place(*foot_at, rotation=Rotation.from_euler("z", peg_yaw))
        self.reference = world.add(
            self.rack.body(f"{rack_color} rack", COLORS[rack_color]), T_world_foot * self.rack.peg_pose()
        )
        self._held_steps = 0
        taken = np.array([mug_at, foot_at, foot_at + 0.05 * peg_way, foot_at + 0.1 * peg_way])
        add_distractors(world, others[: rng.integers(3)], taken, gap=0.12, rng=rng)
        verb, mug, rack = (choose(words, rng=rng) for words in (VERBS, MUGS, RACKS))
        self.instruction = f"{verb} the {mug_color} {mug} on the {rack_color} {rack}"

    def update(self, world: World) -> None:
        """Count the control steps for which the mug has been hanging freely."""
        self._held_steps = self._held_steps + 1 if self._hangs(world) else 0

    def _hangs(self, world: World) -> bool:
        """Tell whether the peg goes through the handle, and neither gripper nor table touches the mug."""
        T_mug_peg = world.pose(self.target).inv() * world.pose(self.reference)
        ends = T_mug_peg.apply(np.array([[0.0, 0.0, 0.0], [self.rack.peg_length, 0.0, 0.0]]))
        through = self.mug.hole_crossing(ends[0], ends[1]) is not None
        return through and not world.touching(self.target) and not world.touching(self.target, world.table)

    def state(self, world: World) -> np.ndarray:
        """Mug and rack, [26]."""
        return body_state(world, self.target, self.reference)

    def achieved_goal(self, world: World) -> np.ndarray:
        """Middle of the handle's opening, [3] m."""
        return world.pose(self.target).apply(self.mug.hole_center)

    def desired_goal(self, world: World) -> np.ndarray:
        """Middle of the peg, [3] m."""
        return world.pose(self.reference).apply([self.rack.peg_length / 2, 0.0, 0.0])

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell whether the handle is at the peg, [...] bool."""
        return np.linalg.norm(achieved - desired, axis=-1) < NEAR

    def is_success(self, world: World) -> bool:
        """The mug has been hanging from the peg alone for one second and no longer swings much."""
        lasted = self._held_steps * CONTROL_PERIOD >= HOLD_SECONDS - 1e-9
        met = self.success(self.achieved_goal(world), self.desired_goal(world))
        return bool(lasted and met and world.at_rest(self.target, speed=0.1, spin=2.0))

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Minus the distance of the handle from the peg, [...] m."""
        return -np.linalg.norm(achieved - desired, axis=-1)
