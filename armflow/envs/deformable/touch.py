"""What a hand does when it plays: grasp and drag, lift, fold or let go; push with closed fingers; pause."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from armflow.envs.deformable.free_hand import hand_down

__all__ = ["HABITS", "Habit", "Move", "Touching"]

FRAME = 1 / 30  # s
TOUCH = 0.004  # m, height of the fingertips above the table when they grasp or push
CLEAR = 0.07  # m, height on the way
SPEEDS = (0.06, 0.3)  # m/s, of interaction
TRAVEL = 0.5  # m/s, on the way
TURN = 3.0  # rad/s
FINGERS = 4.0  # 1/s
REACH = 0.22  # m, half extent of the workspace


KINDS = ("drag", "lift", "fold", "push")


@dataclass(frozen=True, slots=True)
class Habit:
    """How a hand plays with one category of object.

    Attributes:
        shares: How often it drags, lifts, folds and pushes.
        solid: Whether fingers reach only part of the way down the object, and pushes go through its middle; a flat
            thing is touched at the table.
        top: Share of pieces that begin at the highest points, such as the edge of a lid.
        opened: Opening of the hand that comes to take hold.
        grip: How far fingertips reach below the touched point of a solid thing, m.
        closed: Opening of a hand that holds. Above 0 for what is soft all through and gives way to fingers that close
            further; these then go to both sides of the whole.
    """

    shares: tuple[float, float, float, float]
    solid: bool = False
    top: float = 0.0
    opened: float = 1.0
    grip: float = 0.0
    closed: float = 0.0


HABITS = {
    "rope": Habit((0.35, 0.15, 0.2, 0.3)),
    "cloth": Habit((0.25, 0.35, 0.3, 0.1), opened=0.25),
    "plush": Habit((0.3, 0.25, 0.0, 0.45), solid=True, top=0.5, grip=0.03, closed=0.3),
    "box": Habit((0.2, 0.1, 0.0, 0.7), solid=True, top=0.7, grip=0.012),
}
"""By category."""


@dataclass(slots=True)
class Move:
    """A straight move of the hand to a pose.

    Attributes:
        goal: [8] position, m; quaternion wxyz; opening.
        speed: m/s.
        pause: Frames to wait there.
        over: Whether it has ended.
    """

    goal: np.ndarray
    speed: float
    pause: int = 0
    over: bool = False

    def advance(self, now: np.ndarray) -> np.ndarray:
        """Return the next command [8] after `now`."""
        turns = Rotation.from_quat(np.stack([now[3:7], self.goal[3:7]]), scalar_first=True)
        gap = self.goal - now
        needs = (
            np.linalg.norm(gap[:3]) / (self.speed * FRAME),
            (turns[0].inv() * turns[1]).magnitude() / (TURN * FRAME),
            abs(gap[7]) / (FINGERS * FRAME),
        )
        steps = max(needs)
        if steps <= 1.0:
            self.over, self.pause = self.pause <= 0, self.pause - 1
            share = 1.0
        else:
            share = 1.0 / steps
        after = now + share * gap
        after[3:7] = Slerp([0.0, 1.0], turns)(share).as_quat(scalar_first=True)
        if after[3:7] @ now[3:7] < 0:
            after[3:7] *= -1
        return after


class Touching:
    """A hand that plays with an object without end, one piece of interaction after another."""

    def __init__(self, place: tuple[float, float], category: str, *, rng: np.random.Generator) -> None:
        """Play about a place [2], m, with an object of a category."""
        self._place, self._habit, self._rng, self._moves = place, HABITS[category], rng, list[Move]()

    def advance(self, now: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the next command [8] after `now`, for an object whose material points are at [N, 3], m."""
        if not self._moves:
            self._moves = self.draw(now, points)
        command = self._moves[0].advance(now)
        if self._moves[0].over:
            self._moves.pop(0)
        return command

    def draw(self, now: np.ndarray, points: np.ndarray) -> list[Move]:
        """Draw one piece of interaction with the object as it lies: what is done, where and how fast."""
        target = self._target(points)
        speed = float(np.exp(self._rng.uniform(*np.log(SPEEDS))))
        kind = str(self._rng.choice(KINDS, p=self._habit.shares))
        over = max(CLEAR, points[:, 2].max() + 0.04) if self._habit.solid else CLEAR
        first = Move(np.concatenate([now[:2], [max(over, now[2])], now[3:7], [float(kind != "push")]]), TRAVEL)
        if kind == "push":
            return [first, *self._push(points, target, speed, over)]
        return [first, *self._grasp(points, target, speed, over, kind)]

    def _target(self, points: np.ndarray) -> np.ndarray:
        """A point [3] to touch."""
        if self._habit.top and self._rng.uniform() < self._habit.top:
            points = points[points[:, 2] >= np.quantile(points[:, 2], 0.95)]
        return points[self._rng.integers(len(points))]

    def _grasp(self, points: np.ndarray, target: np.ndarray, speed: float, over: float, kind: str) -> list[Move]:
        rng, place, closed = self._rng, self._place, self._habit.closed
        near = points[:, :2] if closed else points[np.linalg.norm(points[:, :2] - target[:2], axis=1) < 0.03, :2]
        middle = near.mean(axis=0)
        along = np.linalg.svd(near - middle, full_matrices=False)[2][0]
        if closed:  # astride the whole body, somewhere along it
            middle = middle + 0.6 * along * ((target[:2] - middle) @ along)
        yaw = _half_turn(np.arctan2(along[1], along[0]) + rng.normal(0.0, 0.15))
        low = max(TOUCH, target[2] - self._habit.grip) if self._habit.solid else TOUCH
        held = _pose(middle, low, yaw, self._habit.opened)
        above = _pose(middle, max(over, target[2] + 0.05), yaw, self._habit.opened)
        moves = [Move(above, TRAVEL), Move(held, 0.3), Move(_closed(held, closed), 0.3, 2)]
        height = (
            low + {"drag": 0.0, "lift": rng.uniform(0.08, 0.2) - TOUCH, "fold": rng.uniform(0.03, 0.08) - TOUCH}[kind]
        )
        at = held.copy()
        for _ in range(rng.integers(1, 4)):
            step = rng.uniform(0.05, 0.18) * _heading(at, place, rng)
            if kind == "fold":
                step = 2.0 * (points[:, :2].mean(axis=0) - at[:2])
            if height > low:
                moves.append(Move(_pose(at[:2], height, yaw, closed), speed))
            at = _pose(_within(at[:2] + step, place), height, yaw := yaw + rng.normal(0.0, 0.4), closed)
            moves.append(Move(at, speed, int(rng.integers(0, 6))))
            if kind == "fold":
                break
        if rng.uniform() < 0.7 and height > low:
            at = _pose(at[:2], low + 0.006, yaw, closed)
            moves.append(Move(at, speed))
        return [*moves, Move(_closed(at, 1.0), 0.3, int(rng.integers(0, 8)))]

    def _push(self, points: np.ndarray, target: np.ndarray, speed: float, over: float) -> list[Move]:
        rng, place, low = self._rng, self._place, TOUCH
        heading = _heading(target, place, rng)
        if self._habit.solid:  # from outside, through the middle
            heading = _unit(_unit(points[:, :2].mean(axis=0) - target[:2]) + 0.5 * heading)
            low = max(low, target[2] * rng.uniform(0.4, 0.95))
        start = _within(target[:2] - rng.uniform(0.03, 0.05) * heading, place)
        end = _within(target[:2] + rng.uniform(0.06, 0.2) * heading, place)
        yaw = _half_turn(np.arctan2(heading[1], heading[0]) + rng.choice([0.0, np.pi / 2]))
        above, below = _pose(start, over, yaw, 0.0), _pose(start, low, yaw, 0.0)
        last = Move(_pose(end, low, yaw, 0.0), speed, int(rng.integers(0, 8)))
        return [Move(above, TRAVEL), Move(below, 0.3), last]


def _heading(at: np.ndarray, place: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """A random direction [2], rather towards the middle where the object is far from it."""
    angle = rng.uniform(-np.pi, np.pi)
    way = np.array([np.cos(angle), np.sin(angle)]) - 1.5 * (at[:2] - place) / REACH
    return _unit(way)


def _unit(way: np.ndarray) -> np.ndarray:
    return way / max(float(np.linalg.norm(way)), 1e-9)


def _half_turn(yaw: float) -> float:
    """The same line of the fingers, from -90 to 90 degrees."""
    return (yaw + np.pi / 2) % np.pi - np.pi / 2


def _within(at: np.ndarray, place: tuple[float, float]) -> np.ndarray:
    return np.clip(at, np.asarray(place) - REACH, np.asarray(place) + REACH)


def _pose(at: np.ndarray, height: float, yaw: float, opening: float) -> np.ndarray:
    return hand_down(np.array([*at, height]), yaw, opening)


def _closed(pose: np.ndarray, opening: float) -> np.ndarray:
    return np.append(pose[:7], opening)
