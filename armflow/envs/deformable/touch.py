"""What a hand does when it plays: grasp and drag, lift, fold or let go; push with closed fingers; pause."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from armflow.envs.deformable.free_hand import hand_down

__all__ = ["Move", "Touching", "draw_moves"]

FRAME = 1 / 30  # s
TOUCH = 0.004  # m, height of the fingertips above the table when they grasp or push
CLEAR = 0.07  # m, height on the way
SPEEDS = (0.06, 0.3)  # m/s, of interaction
TRAVEL = 0.5  # m/s, on the way
TURN = 3.0  # rad/s
FINGERS = 4.0  # 1/s
REACH = 0.22  # m, half extent of the workspace


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

    def __init__(self, place: tuple[float, float], *, rng: np.random.Generator) -> None:
        """Play about a place [2], m."""
        self._place, self._rng, self._moves = place, rng, list[Move]()

    def advance(self, now: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the next command [8] after `now`, for an object whose material points are at [N, 3], m."""
        if not self._moves:
            self._moves = draw_moves(now, points, self._place, rng=self._rng)
        command = self._moves[0].advance(now)
        if self._moves[0].over:
            self._moves.pop(0)
        return command


def draw_moves(
    now: np.ndarray, points: np.ndarray, place: tuple[float, float], *, rng: np.random.Generator
) -> list[Move]:
    """Draw one piece of interaction with the object as it lies.

    Args:
        now: [8] pose of the hand.
        points: [N, 3] material points, m.
        place: [2] middle of the workspace, m.
        rng: Draws what is done, where and how fast.
    """
    target = points[rng.integers(len(points))]
    speed = float(np.exp(rng.uniform(*np.log(SPEEDS))))
    kind = rng.choice(["drag", "lift", "fold", "push"], p=[0.35, 0.15, 0.2, 0.3])
    if kind == "push":
        return _push(now, target, place, speed, rng)
    near = points[np.linalg.norm(points[:, :2] - target[:2], axis=1) < 0.03, :2]
    along = np.linalg.svd(near - near.mean(axis=0))[2][0]
    yaw = np.arctan2(along[1], along[0]) + rng.normal(0.0, 0.15)
    yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2
    over, low = _pose(target[:2], max(CLEAR, target[2] + 0.05), yaw, 1.0), _pose(near.mean(0), TOUCH, yaw, 1.0)
    moves = [_raise(now, 1.0), Move(over, TRAVEL), Move(low, 0.3), Move(_closed(low, 0.0), 0.3, 2)]
    height = {"drag": TOUCH, "lift": rng.uniform(0.08, 0.2), "fold": rng.uniform(0.03, 0.08)}[kind]
    at = low.copy()
    for _ in range(rng.integers(1, 4)):
        step = rng.uniform(0.05, 0.18) * _heading(at, place, rng)
        if kind == "fold":
            step = 2.0 * (points[:, :2].mean(axis=0) - at[:2])
        if height > TOUCH:
            moves.append(Move(_pose(at[:2], height, yaw, 0.0), speed))
        at = _pose(_within(at[:2] + step, place), height, yaw := yaw + rng.normal(0.0, 0.4), 0.0)
        moves.append(Move(at, speed, int(rng.integers(0, 6))))
        if kind == "fold":
            break
    if rng.uniform() < 0.7 and height > TOUCH:
        at = _pose(at[:2], TOUCH + 0.006, yaw, 0.0)
        moves.append(Move(at, speed))
    return [*moves, Move(_closed(at, 1.0), 0.3, int(rng.integers(0, 8)))]


def _push(
    now: np.ndarray, target: np.ndarray, place: tuple[float, float], speed: float, rng: np.random.Generator
) -> list[Move]:
    heading = _heading(target, place, rng)
    start = _within(target[:2] - rng.uniform(0.03, 0.05) * heading, place)
    end = _within(target[:2] + rng.uniform(0.06, 0.2) * heading, place)
    yaw = np.arctan2(heading[1], heading[0]) + rng.choice([0.0, np.pi / 2])
    yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2
    over, low = _pose(start, CLEAR, yaw, 0.0), _pose(start, TOUCH, yaw, 0.0)
    last = Move(_pose(end, TOUCH, yaw, 0.0), speed, int(rng.integers(0, 8)))
    return [_raise(now, 0.0), Move(over, TRAVEL), Move(low, 0.3), last]


def _heading(at: np.ndarray, place: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """A random direction [2], rather towards the middle where the object is far from it."""
    angle = rng.uniform(-np.pi, np.pi)
    way = np.array([np.cos(angle), np.sin(angle)]) - 1.5 * (at[:2] - place) / REACH
    return way / max(float(np.linalg.norm(way)), 1e-9)


def _within(at: np.ndarray, place: tuple[float, float]) -> np.ndarray:
    return np.clip(at, np.asarray(place) - REACH, np.asarray(place) + REACH)


def _pose(at: np.ndarray, height: float, yaw: float, opening: float) -> np.ndarray:
    return hand_down(np.array([*at, height]), yaw, opening)


def _closed(pose: np.ndarray, opening: float) -> np.ndarray:
    return np.append(pose[:7], opening)


def _raise(now: np.ndarray, opening: float) -> Move:
    return Move(np.concatenate([now[:2], [max(CLEAR, now[2])], now[3:7], [opening]]), TRAVEL)
