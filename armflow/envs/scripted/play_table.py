"""Scripted play at the play table: drawer, slider, button and blocks in any order, each in several ways.

A behaviour is a generator of actions that reads the newest state from its player, so that it reads as the motion runs:
go above, go down, push, go up. It is drawn at random from what is possible now; hands miss, give up and wander.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from armflow.envs.play_table.goals import GOAL_COLUMNS, KINDS, draw_goal, met
from armflow.envs.play_table.table import FIELD, clear_of
from armflow.robot.tool_motion import CONTROL_STEP_SECONDS, CONTROL_STEPS, TOOL_SPEED

__all__ = ["Done", "TablePlay"]

Moves = Generator[np.ndarray, None, Any]

PERIOD = CONTROL_STEPS * CONTROL_STEP_SECONDS  # s, one action
KIND_NAMES = tuple(KINDS)
OPEN, CLOSED = 1.0, -1.0
BAR_X, BAR_Y = 0.52, 0.3  # m, middle of the drawer's bar when shut; it opens towards -x
SLIDER_X, SLIDER_Y = 0.65, -0.16  # m, middle of the slider's handle at the right end
BUTTON = (0.48, -0.33)  # m
BAR_GAP = 0.019  # m between the middles of bar and fist when they touch
HANDLE_GAP = 0.037  # m between the middles of the slider's handle and the fist when they touch
BLOCK_GAP = 0.05  # m between the middles of a block and the fist when they touch
REACH = np.array([[0.31, -0.19], [0.55, 0.165]])  # m, where a block can be taken: the hand is 0.2 m wide along y
BLOCK_WEIGHT = 2.0  # blocks are in each other's way now and then, and would come up too seldom
SIDE_HALF = 0.04  # m, blocks are put within this of a side's middle


@dataclass(frozen=True, slots=True)
class Done:
    """One behaviour that has ended.

    Attributes:
        kind: A key of `KINDS`.
        start: First frame.
        end: The frame behind the last.
        reached: Whether its goal was met at the end.
        gave_up: Whether it was broken off, as the script has it now and then.
    """

    kind: str
    start: int
    end: int
    reached: bool
    gave_up: bool


class TablePlay:
    """Plays for a random while; a `Demonstrator` for `armflow/PlayTable-v0`.

    Attributes:
        label: Index in `KINDS` of what is being done now; -1 between behaviours.
        done: The behaviours so far.
    """

    def __init__(self, seconds: tuple[float, float] = (30.0, 60.0)) -> None:
        """Draw the length of each play from this range, s."""
        self._seconds = seconds
        self.label = -1
        self.done: list[Done] = []

    def reset(self, observation: dict[str, np.ndarray], *, rng: np.random.Generator) -> None:
        """Begin a play of its own pace, clumsiness and order."""
        self._rng, self._state = rng, observation["observation"]
        self.label, self.done, self._frame = -1, [], 0
        self._frames = round(rng.uniform(*self._seconds) / PERIOD)
        self._pace = rng.uniform(0.65, 1.0)
        self._clumsy = rng.choice([0.0, rng.uniform(0.01, 0.05)])
        self._slip = np.zeros(4)
        self._grip = CLOSED
        self._moves = self._play()

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray | None:
        """Return the next action [4], or None when the play is over."""
        self._state = observation["observation"]
        action = next(self._moves, None)
        self._frame += 1
        if action is None:
            return None
        self._slip = 0.8 * self._slip + self._clumsy * self._rng.normal(size=4) * (1, 1, 1, 0)
        return np.clip(action + self._slip, -1.0, 1.0).astype(np.float32)

    # What is where, m.

    @property
    def _tool(self) -> np.ndarray:
        return self._state[:3]

    @property
    def _bar(self) -> float:
        return BAR_X - float(self._state[4])

    @property
    def _handle(self) -> float:
        return SLIDER_Y + float(self._state[5])

    def _block(self, color: str) -> np.ndarray:
        return self._state[8:11] if color == "red" else self._state[13:16]

    def _other(self, color: str) -> np.ndarray:
        return self._block("blue" if color == "red" else "red")

    # The play as a whole.

    def _play(self) -> Moves:
        while self._frame < self._frames:
            chance = self._rng.random()
            if chance < 0.1:
                yield from self._wait(int(self._rng.integers(2, 9)))
            elif chance < 0.17:
                yield from self._wander()
            kinds = [kind for kind in KIND_NAMES if self._possible(kind)]
            weights = np.array([BLOCK_WEIGHT if kind.startswith(("red", "blue")) else 1.0 for kind in kinds])
            yield from self._try(str(self._rng.choice(kinds, p=weights / weights.sum())))

    def _try(self, kind: str) -> Moves:
        """Carry one behaviour out, or give up in the middle now and then, and take note of what came of it."""
        start, before = self._frame, self._state[list(GOAL_COLUMNS)].copy()
        goal = draw_goal(before, kind)
        self.label = KIND_NAMES.index(kind)
        patience = int(self._rng.integers(5, 25)) if self._rng.random() < 0.05 else 150
        gave_up = False
        for count, action in enumerate(self._behaviour(kind)):
            yield action
            if gave_up := count >= patience:
                self._grip = OPEN
                yield from self._rise()
                break
        reached = bool(met(self._state[list(GOAL_COLUMNS)], goal, kind))
        self.done.append(Done(kind, start, self._frame, reached, gave_up))
        self.label = -1

    def _possible(self, kind: str) -> bool:
        goal = self._state[list(GOAL_COLUMNS)]
        if met(goal, draw_goal(goal, kind), kind):
            return False
        color = kind.split()[0]
        if color not in ("red", "blue"):
            return True
        block = self._block(color)
        inside = (REACH[0] < block[:2]).all() and (block[:2] < REACH[1]).all() and block[2] < 0.03
        return bool(inside) and clear_of(block[:2], self._other(color)[:2])

    def _behaviour(self, kind: str) -> Moves:
        color, _, side = kind.partition(" ")
        ways: dict[str, Callable[[], Moves]] = {
            "open drawer": self._open_drawer,
            "close drawer": self._close_drawer,
            "slider left": lambda: self._slide(1.0),
            "slider right": lambda: self._slide(-1.0),
            "lamp on": self._press,
            "lamp off": self._press,
        }
        return ways[kind]() if kind in ways else self._move_block(color, side)

    # Motions that behaviours are made of.

    def _step(self, velocity: np.ndarray) -> np.ndarray:
        return np.append(velocity / TOOL_SPEED, self._grip)

    def _wait(self, count: int) -> Moves:
        for _ in range(count):
            yield self._step(np.zeros(3))

    def _go(self, target: Callable[[], tuple[float, float, float]], speed: float = 1.0, near: float = 0.008) -> Moves:
        """Go straight to a target that may move, m, at a share of full speed; gives up after 5 s."""
        for _ in range(42):
            error = np.array(target()) - self._tool
            distance = float(np.linalg.norm(error))
            if distance < near:
                return
            fastest = speed * self._pace * TOOL_SPEED
            yield self._step(error * min(1 / (1.4 * PERIOD), fastest / distance))

    def _to(self, x: float, y: float, z: float, speed: float = 1.0, near: float = 0.008) -> Moves:
        return self._go(lambda: (x, y, z), speed, near)

    def _rise(self) -> Moves:
        """Go up to where nothing is in the way."""
        x, y, z = self._tool
        yield from self._to(x, y, max(z, self._rng.uniform(0.12, 0.15)), near=0.02)

    def _above(self, x: float, y: float, grip: float) -> Moves:
        """Go up, over and nearly down, with the fingers as told."""
        if self._tool[2] < 0.11:
            yield from self._rise()
        self._grip = grip
        height = self._rng.uniform(0.115, 0.15)
        yield from self._to(x, y, height, near=0.03)
        yield from self._to(x, y, 0.105, near=0.015)

    def _wander(self) -> Moves:
        """Go somewhere for no reason."""
        if self._tool[2] < 0.11:
            yield from self._rise()
        self._grip = float(self._rng.choice([OPEN, CLOSED]))
        x, y, z = self._rng.uniform([0.36, -0.25, 0.12], [0.6, 0.25, 0.2])
        yield from self._to(x, y, z, speed=self._rng.uniform(0.6, 1.0), near=0.02)

    # Behaviours.

    def _open_drawer(self) -> Moves:
        """Put the fist behind the bar, anywhere along it, and pull, in one go or two."""
        y, z = BAR_Y + self._rng.uniform(-0.03, 0.03), self._rng.uniform(0.05, 0.06)
        yield from self._above(self._bar + 0.032, y, CLOSED)
        yield from self._to(self._bar + 0.032, y, z)
        speed, last = self._rng.uniform(0.5, 1.0), BAR_X - self._rng.uniform(0.118, 0.145) + BAR_GAP
        if self._rng.random() < 0.3:
            yield from self._to((self._tool[0] + last) / 2, y, z, speed)
            yield from self._wait(int(self._rng.integers(1, 5)))
        yield from self._to(last, y, z, speed)
        yield from self._to(self._tool[0] + 0.012, y, z)
        yield from self._rise()

    def _close_drawer(self) -> Moves:
        """Push the bar home from before it."""
        y, z = BAR_Y + self._rng.uniform(-0.04, 0.04), self._rng.uniform(0.05, 0.065)
        x = self._bar - self._rng.uniform(0.04, 0.055)
        yield from self._above(x, y, float(self._rng.choice([CLOSED, CLOSED, -0.4])))
        yield from self._to(x, y, z)
        yield from self._to(BAR_X - self._rng.uniform(0.0, 0.012) - BAR_GAP, y, z, self._rng.uniform(0.5, 1.0))
        yield from self._to(self._tool[0] - 0.012, y, z)
        yield from self._rise()

    def _slide(self, way: float) -> Moves:
        """Push the handle with the fist from behind, or hold it between the fingers and draw it along."""
        x, z = SLIDER_X + self._rng.uniform(-0.008, 0.015), self._rng.uniform(0.052, 0.06)
        end = SLIDER_Y + (self._rng.uniform(0.172, 0.195) if way > 0 else self._rng.uniform(0.005, 0.028))
        speed = self._rng.uniform(0.5, 1.0)
        if self._rng.random() < 0.5:
            start = self._handle - way * self._rng.uniform(0.055, 0.07)
            yield from self._above(x, start, CLOSED)
            yield from self._to(x, start, z)
            yield from self._to(x, end - way * HANDLE_GAP, z, speed)
            yield from self._to(x, self._tool[1] - way * 0.012, z)
        else:
            yield from self._above(x, self._handle, self._rng.uniform(0.2, 1.0))
            yield from self._to(x, self._handle, z)
            self._grip = CLOSED
            yield from self._wait(3)
            yield from self._to(x, end, z, speed)
            self._grip = self._rng.uniform(0.2, 1.0)
            yield from self._wait(3)
        yield from self._rise()

    def _press(self) -> Moves:
        """Press the button down with the fist, anywhere on it, and let it come up."""
        x, y = np.array(BUTTON) + self._rng.uniform(-0.014, 0.014, 2)
        before = self._state[7]
        yield from self._above(x, y, float(self._rng.choice([CLOSED, CLOSED, -0.5])))
        for _ in range(25):
            yield self._step(np.array([0.0, 0.0, -self._pace * self._rng.uniform(0.2, 0.35) * TOOL_SPEED]))
            if self._state[7] != before or self._tool[2] < 0.05:
                break
        yield from self._wait(int(self._rng.integers(0, 4)))
        yield from self._rise()

    def _move_block(self, color: str, side: str) -> Moves:
        """Carry the block to the other side, drag it there, or push it."""
        middle = KINDS[f"{color} {side}"].value
        spot = self._free_spot(color, middle)
        way = self._rng.random()
        if way < 0.25 and self._corridor_free(color, spot):
            yield from self._push_block(color, spot)
        else:
            yield from self._carry_block(color, spot, height=self._rng.uniform(0.08, 0.13) if way < 0.75 else 0.024)

    def _free_spot(self, color: str, middle: float) -> np.ndarray:
        """Draw a place [2] for a block about a side's middle, with room for the hand beside the other block."""
        other = self._other(color)[:2]
        for _ in range(50):
            x, y = self._rng.uniform(FIELD[0, 0], FIELD[1, 0]), middle + self._rng.uniform(-SIDE_HALF, SIDE_HALF)
            if clear_of(np.array([x, y]), other):
                break
        return np.array([x, y])

    def _corridor_free(self, color: str, spot: np.ndarray) -> bool:
        """Tell whether the other block is off the way along y, at this block's x, on which the fist pushes."""
        return abs(self._other(color)[0] - self._block(color)[0]) > 0.07

    def _carry_block(self, color: str, spot: np.ndarray, height: float) -> Moves:
        """Take the block from above, once more if it slips, and set it down at a spot [2]."""
        for _ in range(2):
            x, y, _ = self._block(color)
            yield from self._above(x, y, self._rng.uniform(0.6, 1.0))
            yield from self._to(x, y, self._rng.uniform(0.018, 0.024))
            self._grip = CLOSED
            yield from self._wait(4)
            if height < 0.05 and abs(self._other(color)[0] - x) < 0.07:
                height = 0.09  # the other block is in the way of a drag
            yield from self._to(x, y, height, near=0.02)
            if height < 0.05 or self._block(color)[2] > 0.04:
                break
            self._grip = OPEN
        yield from self._to(spot[0], spot[1], height, speed=self._rng.uniform(0.6, 1.0), near=0.01)
        yield from self._to(spot[0], spot[1], self._rng.uniform(0.022, 0.026))
        self._grip = self._rng.uniform(0.5, 1.0)
        yield from self._wait(3)
        yield from self._rise()

    def _push_block(self, color: str, spot: np.ndarray) -> Moves:
        """Push the block along y with the fist, following it where it drifts."""
        way = float(np.sign(spot[1] - self._block(color)[1]))
        x, y, _ = self._block(color)
        start = y - way * (BLOCK_GAP + 0.03)
        yield from self._above(x, start, CLOSED)
        yield from self._to(x, start, 0.022)
        speed = self._rng.uniform(0.3, 0.5)
        for _ in range(50):
            block = self._block(color)
            if way * (spot[1] - block[1]) < 0.005 or way * (block[1] - self._tool[1]) < 0.02:
                break
            steer = 2.5 * (block[0] - self._tool[0])
            yield self._step(np.array([steer, way * speed * self._pace * TOOL_SPEED, 0.5 * (0.022 - self._tool[2])]))
        yield from self._to(self._tool[0], self._tool[1] - way * 0.015, 0.025)
        yield from self._rise()
