"""`BlockPush`: two blocks, two zones, a rod that pushes; which block goes where is up to the goal."""

from typing import Literal

import numpy as np

from armflow.envs.block_push.state import (
    RADIUS,
    Pushes,
    check_state,
    draw_goal,
    draw_state,
    inside,
    meant,
    zones_of,
)
from armflow.envs.shapes import BodySpec, Part, place, turn_z
from armflow.envs.world import Physics, World
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ChoiceError
from armflow.robot.model import RobotModel
from armflow.robot.pusher import PusherKinematics

__all__ = ["RULES", "BlockPush"]

Rule = Literal["goal", "any"]
RULES = ("goal", "any")

SIDE = 0.04  # m, edge of a block
MASS = 0.01  # kg
ZONE = 0.1  # m, edge of the square that marks a zone; its inner circle is the success radius
RED, GREEN = (1.0, 0.34, 0.35, 1.0), (0.34, 0.85, 0.35, 1.0)
ZONE_COLORS = ((0.35, 0.6, 0.95, 1.0), (0.75, 0.5, 0.9, 1.0))
PHYSICS = Physics(period=0.1, substeps=24, gravity=9.8, table_friction=1.0, tool_friction=1.0, gain=0.095)
"""10 Hz control over 240 Hz physics, and servos that make up 9.5 % of their error a physics step: after a control step
9.1 % of it are left, the lag of the measured end effector behind the commanded one in the benchmark's recordings."""


class BlockPush:
    """Push each of two blocks into a zone.

    Actions are commands to the pusher; see `robot.pusher`. An episode ends as soon as it succeeds, as in the benchmark.

    Attributes:
        rule: "goal": each block has to be in the zone that is nearest to its place in the goal. "any": in different
            zones, whichever (the benchmark's own rule, for behaviour without a goal).
        pushes: Which block came into which zone, in order.
        goal: [4] where the blocks shall be, m.
        commanded: [D] joints of the command that the episode starts with, rad.
    """

    name = "BlockPush"
    max_seconds = 35.0
    arm = "xarm6_pusher"
    physics = PHYSICS
    ends_at_success = True
    instruction = "push the red and the green block into the two zones"

    def __init__(self, rule: Rule = "goal") -> None:
        """Choose what counts as success.

        Raises:
            ChoiceError: No such rule.
        """
        if rule not in RULES:
            raise ChoiceError("rule", rule, RULES)
        self.rule = rule
        self._start: np.ndarray | None = None
        self._asked: np.ndarray | None = None

    def ask(self, state: object = None, goal: object = None) -> None:
        """Let the next episode begin in a state [16] and have a goal [4], instead of drawing them.

        Raises:
            ShapeError: Not so many finite numbers.
            ValueRangeError: A state that cannot be.
        """
        self._start = None if state is None else check_state(state)
        self._asked = None if goal is None else _checked_goal(goal)

    def build(self, world: World, arm: RobotModel, *, rng: np.random.Generator) -> None:
        """Lay out zones and blocks, and put the arm where the state says."""
        self.kinematics = PusherKinematics(arm)
        state = draw_state(rng)
        asked = self._start is not None
        state = self._start if self._start is not None else state
        drawn = draw_goal(zones_of(state), rng)
        self.goal = drawn if self._asked is None else self._asked
        self._start = self._asked = None
        self.commanded = self.kinematics.joints(state[8:10])
        world.put_arm(self.kinematics.joints_measured(state[6:8]) if asked else self.commanded)
        for index, color in enumerate(ZONE_COLORS):
            x, y, yaw = state[10 + 3 * index : 13 + 3 * index].tolist()
            world.add(_zone(index, color), place(x, y, 0.0, turn_z(yaw)))
        self.blocks = tuple(
            world.add(
                _block(name, color),
                place(float(state[at]), float(state[at + 1]), SIDE / 2, turn_z(float(state[at + 2]))),
            )
            for name, color, at in (("red block", RED, 0), ("green block", GREEN, 3))
        )
        self.target = self.reference = self.blocks[0]
        self._zone_state = state[10:].copy()
        self.pushes = Pushes()
        self.update(world)

    def update(self, world: World) -> None:
        """Take note of the blocks in zones."""
        self.pushes.update(self.numbers(world, self.commanded))

    def numbers(self, world: World, q_sent: np.ndarray) -> np.ndarray:
        """Return the sixteen numbers that the benchmark gives a policy.

        Args:
            world: The world.
            q_sent: [D] joints that the arm was last sent, rad.
        """
        state = np.empty(16)
        for index, handle in enumerate(self.blocks):
            x, y, _, qw, qx, qy, qz = world.pose7(handle).tolist()
            yaw = np.arctan2(2 * (qw * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz))
            state[3 * index : 3 * index + 3] = x, y, yaw
        state[6:8] = self.kinematics.measured(world.read_q())
        state[8:10] = self.kinematics.command(q_sent)
        state[10:] = self._zone_state
        return state

    def state(self, world: World) -> np.ndarray:
        """Return the sixteen numbers with the first command as the last; `numbers` knows the newest."""
        return self.numbers(world, self.commanded)

    def achieved_goal(self, world: World) -> np.ndarray:
        """Where the blocks are [4], m."""
        return np.concatenate([world.pose7(handle)[:2] for handle in self.blocks])

    def desired_goal(self, world: World) -> np.ndarray:
        """Where they shall be [4], m."""
        return self.goal.copy()

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell for goals [..., 4], m, whether each block is in the zone it is meant for, [...] bool."""
        zones = self._zone_state[[0, 1, 3, 4]].reshape(2, 2)
        blocks = np.reshape(achieved, (*np.shape(achieved)[:-1], 2, 2))
        return (np.linalg.norm(blocks - zones[meant(desired, zones)], axis=-1) < RADIUS).all(axis=-1)

    def blocks_in_goal(self, world: World) -> int:
        """How many blocks are in the zones they are meant for."""
        chosen = meant(self.goal, self._zone_state[[0, 1, 3, 4]].reshape(2, 2))
        return int(inside(self.state(world))[[0, 1], chosen].sum())

    def facts(self, world: World) -> dict[str, str]:
        """Which block came into which zone first and second, and how many are where they are meant to be."""
        sides = "left", "right"
        zones = self._zone_state[[0, 3]]
        names = [
            f"{('red', 'green')[block]} {sides[int(zones[zone] > zones.mean())]}" for block, zone in self.pushes.made
        ]
        return {"pushes": ", then ".join(names[:2]) or "none", "blocks in goal": str(self.blocks_in_goal(world))}

    def solved(self, world: World) -> bool:
        """Whether the blocks are in different zones, whichever they are meant for."""
        now = inside(self.state(world))
        return bool((now[0, 0] and now[1, 1]) or (now[0, 1] and now[1, 0]))

    def is_success(self, world: World) -> bool:
        """Whether the rule is met now."""
        if self.rule == "any":
            return self.solved(world)
        return bool(self.success(self.achieved_goal(world), self.goal))

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Minus the mean distance of the blocks from their places in the goal, m, [...]."""
        gap = np.reshape(np.subtract(achieved, desired), (*np.shape(achieved)[:-1], 2, 2))
        return -np.linalg.norm(gap, axis=-1).mean(axis=-1)


def _checked_goal(goal: object) -> np.ndarray:
    array = np.asarray(goal, float)
    check_shape("goal", array, "4")
    check_finite("goal", array)
    return array


def _block(name: str, color: tuple[float, float, float, float]) -> BodySpec:
    return BodySpec(
        name,
        (Part("box", (SIDE, SIDE, SIDE), rgba=color),),
        MASS,
        friction=1.0,
        rolling_friction=0.0001,
        inertia_scale=3.0,
    )


def _zone(index: int, color: tuple[float, float, float, float]) -> BodySpec:
    part = Part("box", (ZONE, ZONE, 0.002), place(z=-0.0005), color)
    return BodySpec(f"zone {index}", (part,), collides=False)
