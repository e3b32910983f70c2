"""`PlayTable`: a table with a drawer, a slider, a button that switches a lamp, and two blocks, as a `Task`."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.envs.play_table.furniture import BLOCK, DRAWER_TRAVEL, SLIDER_TRAVEL, blocks, fixtures, lamp
from armflow.envs.play_table.goals import GOAL_COLUMNS, KINDS, STATE_NAMES, draw_goal, find_kind, met
from armflow.envs.shapes import place, turn_z
from armflow.envs.world import Physics, World
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ValueRangeError
from armflow.robot.ik import solve_ik
from armflow.robot.model import RobotModel
from armflow.robot.tool_motion import CONTROL_STEP_SECONDS

__all__ = ["FIELD", "PlayTable", "Start", "clear_of", "draw_state"]

FIELD = np.array([[0.36, -0.14], [0.48, 0.12]])  # [2, 2] m, where block centres are put: lowest and highest x, y
PRESSED, RELEASED = 0.012, 0.006  # m of the button's travel: the lamp switches at the first, the second arms it again
TOOL_BOX = np.array([[0.34, -0.2, 0.12], [0.55, 0.2, 0.24]])  # [2, 3] m, where the tool starts
BOUNDS = np.array(  # [2, 18] of a state to start from; sines and cosines are normalised
    [
        [0.2, -0.45, 0.01, 0, 0, 0, 0, 0, 0.2, -0.4, 0.0, -1, -1, 0.2, -0.4, 0.0, -1, -1],
        [0.75, 0.45, 0.5, 1, DRAWER_TRAVEL, SLIDER_TRAVEL, 0.02, 1, 0.75, 0.4, 0.3, 1, 1, 0.75, 0.4, 0.3, 1, 1],
    ]
)
PHYSICS = Physics(period=CONTROL_STEP_SECONDS, substeps=16)  # half the substeps of the bench: play is long


@dataclass(frozen=True, slots=True)
class Start:
    """How the next episode begins; what is None is drawn.

    Attributes:
        state: [18] as `goals.STATE_NAMES` says.
        goal: [7] as `goals.GOAL_NAMES` says.
        kind: What counts, a key of `goals.KINDS`.
    """

    state: np.ndarray | None = None
    goal: np.ndarray | None = None
    kind: str | None = None

    def __post_init__(self) -> None:
        """Check what is given.

        Raises:
            ShapeError: A state that is not [18] or a goal that is not [7], or not finite.
            ValueRangeError: A number of the state is outside its range.
            ChoiceError: No such kind.
        """
        if self.state is not None:
            check_shape("state", self.state, "S", {"S": len(STATE_NAMES)})
            check_finite("state", self.state)
            wrong = np.flatnonzero((self.state < BOUNDS[0] - 0.02) | (self.state > BOUNDS[1] + 0.02))
            if len(wrong):
                at = int(wrong[0])
                bound = f"within {BOUNDS[0, at]} and {BOUNDS[1, at]}"
                raise ValueRangeError(f"state[{at}] ({STATE_NAMES[at]})", float(self.state[at]), bound)
        if self.goal is not None:
            check_shape("goal", self.goal, "G", {"G": len(GOAL_COLUMNS)})
            check_finite("goal", self.goal)
        if self.kind is not None:
            find_kind(self.kind)


def clear_of(spot: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether the open hand can go down over a block at spot [2] beside a block at other [2], m."""
    away = np.abs(spot - other)
    return bool(away[0] > 0.062 or away[1] > 0.115)


def draw_state(kind: str | None = None, *, rng: np.random.Generator) -> np.ndarray:
    """Draw a state [18] to start from; one in which the goal of that kind is still to be reached, if one is named."""
    while True:
        state = np.zeros(len(STATE_NAMES))
        state[:3] = rng.uniform(*TOOL_BOX)
        state[3] = 1.0
        state[4] = rng.choice([rng.uniform(0.0, 0.01), rng.uniform(0.11, 0.145)])
        state[5] = rng.choice([rng.uniform(0.0, 0.02), rng.uniform(0.17, 0.195)])
        state[7] = rng.integers(2)
        for column in (8, 13):
            yaw = rng.uniform(0, np.pi / 2)
            state[column : column + 2] = rng.uniform(*FIELD)
            state[column + 2 : column + 5] = BLOCK / 2, np.sin(4 * yaw), np.cos(4 * yaw)
        achieved = state[list(GOAL_COLUMNS)]
        reached = kind is not None and bool(met(achieved, draw_goal(achieved, kind), kind))
        if clear_of(state[8:10], state[13:15]) and not reached:
            return state


class PlayTable:
    """Ten kinds of goals on one table; `goals.STATE_NAMES` says what a state holds.

    An episode of a controller ends when it succeeds.

    Attributes:
        kind: What the episode asks for, a key of `goals.KINDS`.
        next_start: How the next episode begins; used once.
    """

    name = "PlayTable"
    max_seconds = 30.0
    arm = "panda"
    physics = PHYSICS
    ends_at_success = True

    def __init__(self, kind: str | None = None) -> None:
        """Ask for one kind of goal in every episode, or for any."""
        self._fixed = Start(kind=kind).kind
        self.kind = self._fixed or next(iter(KINDS))
        self.next_start = Start()

    def build(self, world: World, arm: RobotModel, *, rng: np.random.Generator) -> None:
        """Set the table, put the arm where the episode starts, and choose the goal."""
        start, self.next_start = self.next_start, Start()
        drawn = start.kind or self._fixed or str(rng.choice(list(KINDS)))
        state = draw_state(None if start.goal is not None else drawn, rng=rng)
        if start.state is not None:
            state = np.asarray(start.state, float)
        world.start_anew(_joints_at(arm, state[:3]), float(np.clip(state[3], 0, 1)))
        bodies = {name: world.add(*body) for name, body in fixtures().items()}
        self._cabinet, self._rail, self._box = bodies["cabinet"], bodies["rail"], bodies["button box"]
        world.set_joint(self._cabinet, "drawer", float(np.clip(state[4], 0, DRAWER_TRAVEL)))
        world.set_joint(self._rail, "slider", float(np.clip(state[5], 0, SLIDER_TRAVEL)))
        self._lit, self._armed = bool(state[7] > 0.5), True
        self._lamp = world.add(*lamp(self._lit))
        self._blocks = tuple(
            world.add(spec, _block_pose(state[at : at + 5]))
            for spec, at in zip(blocks().values(), (8, 13), strict=True)
        )
        self._ask(world, drawn, start.goal)

    def _ask(self, world: World, kind: str, goal: np.ndarray | None) -> None:
        achieved = self.achieved_goal(world)
        self.kind = kind
        self._goal = draw_goal(achieved, kind) if goal is None else np.array(goal, float)
        self.instruction = find_kind(kind).words
        column = find_kind(kind).column
        self.target = (self._cabinet, self._rail, self._box, *2 * self._blocks[:1], *2 * self._blocks[1:])[column]
        self.reference = self.target

    def update(self, world: World) -> None:
        """Switch the lamp when the button goes down; it must come up before it switches again."""
        depth = world.joint(self._box, "button")[0]
        if self._armed and depth > PRESSED:
            self._armed, self._lit = False, not self._lit
            world.specs[self._lamp] = lamp(self._lit)[0]
        elif depth < RELEASED:
            self._armed = True

    def state(self, world: World) -> np.ndarray:
        """Tool, gripper and everything on the table, [18], as `goals.STATE_NAMES` says."""
        tool = world.arm.frames(world.read_q())[-1, :3, 3]
        numbers = [*tool, world.read_gripper(), world.joint(self._cabinet, "drawer")[0]]
        numbers += [world.joint(self._rail, "slider")[0], world.joint(self._box, "button")[0], float(self._lit)]
        for handle in self._blocks:
            numbers += _block_numbers(world.pose7(handle))
        return np.array(numbers)

    def numbers(self, world: World, q_sent: np.ndarray) -> np.ndarray:
        """What a policy may see, [18]: the whole state; q_sent [D] is not needed."""
        return self.state(world)

    def achieved_goal(self, world: World) -> np.ndarray:
        """Where things are, [7], as `goals.GOAL_NAMES` says."""
        parts = [world.joint(self._cabinet, "drawer")[0], world.joint(self._rail, "slider")[0], float(self._lit)]
        return np.concatenate([parts, *(world.pose7(handle)[:2] for handle in self._blocks)])

    def desired_goal(self, world: World) -> np.ndarray:
        """Where things shall be, [7]; only the column of `kind` counts."""
        return self._goal.copy()

    def facts(self, world: World) -> dict[str, str]:
        """The kind of goal."""
        return {"goal": self.kind}

    def success(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Tell from goals [..., 7] whether the episode's kind is met, [...] bool."""
        return met(achieved, desired, self.kind)

    def is_success(self, world: World) -> bool:
        """The goal is met, and a block that it asks for lies on the table, at rest."""
        if not self.success(self.achieved_goal(world), self._goal):
            return False
        column = find_kind(self.kind).column
        if column < 3:
            return True
        return bool(world.pose7(self.target)[2] < 0.03 and world.at_rest(self.target, speed=0.03, spin=0.5))

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Minus how far the column that counts is off, [...]."""
        return -np.abs(np.asarray(achieved) - desired)[..., find_kind(self.kind).column]


def _joints_at(arm: RobotModel, position: np.ndarray) -> np.ndarray:
    """Joints [D], rad, near the rest position with the hand at a position [3], m, pointing down.

    Raises:
        ValueRangeError: The arm cannot reach it.
    """
    down = RigidTransform.from_components(position, Rotation.from_matrix(np.diag([1.0, -1.0, -1.0])))
    result = solve_ik(arm, down, arm.home, rng=np.random.default_rng(0))
    if not result.ok:
        raise ValueRangeError("tool of the state", position, f"where {arm.name} can reach; {result.reason}")
    return result.q


def _block_pose(numbers: np.ndarray) -> RigidTransform:
    """Pose of a block from x, y, z, sin 4 yaw, cos 4 yaw."""
    x, y, z, sine, cosine = numbers
    return place(x, y, max(float(z), BLOCK / 2), turn_z(float(np.arctan2(sine, cosine)) / 4))


def _block_numbers(pose: np.ndarray) -> list[float]:
    """x, y, z m, and sine and cosine of four times the yaw, from position and quaternion [7], whatever face is down."""
    w, x, y, z = pose[3:].tolist()
    first = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))  # the body's x and y axes in the world
    second = (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))
    flattest = min(first, second, key=lambda axis: abs(axis[2]))
    angle = 4 * math.atan2(flattest[1], flattest[0])
    return [*pose[:3].tolist(), math.sin(angle), math.cos(angle)]
