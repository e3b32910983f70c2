"""`BlockPlay`: pushes both blocks into different zones from behind, in one of four ways, with pauses and recoveries."""

from dataclasses import dataclass

import numpy as np

from armflow.envs.block_push.state import zones_of

__all__ = ["BlockPlay"]

CLEAR = 0.056  # m from a block's centre that the rod keeps on its way: half a diagonal, the rod and some air
BEHIND = 0.066  # m behind a block where a push begins
REACHED = 0.006  # m
OFF_LINE = 0.013  # m beside the line of the push at which it is broken off and begun again
STEERING = 35.0  # 1/m: how sharply the rod returns to that line
OTHER = 0.075  # m that a pushed block keeps from the other one
DEPTHS = (0.028, 0.042)  # m from the zone's centre at which a push is enough
SPEEDS, PUSH_SPEEDS = (0.02, 0.03), (0.013, 0.02)  # m a step
PAUSE, PAUSES = 0.3, (3, 12)  # chance of one before a new way, and its length in steps
PATIENCE = 50  # steps on the way behind a block before the other side is tried
LAST_PAUSE = 3  # steps that follow the last push


@dataclass(slots=True)
class _Push:
    """One block to be pushed into one zone: its numbers, how deep, how fast, and which way round things."""

    block: int
    zone: int
    depth: float
    speed: float
    push_speed: float
    side: float


class BlockPlay:
    """A player of BlockPush that reads the sixteen numbers of the state.

    Which block goes first, and which zone it gets, is drawn from the four ways; so are speeds, depths, pauses, and the
    side on which the rod goes round a block. A push that goes astray is broken off and begun again from behind.
    """

    def reset(self, observation: dict[str, np.ndarray], *, rng: np.random.Generator) -> None:
        """Draw how this episode shall go."""
        self._rng = rng
        block, zone = (int(number) for number in rng.integers(2, size=2))
        self._left = [self._draw(block, zone), self._draw(1 - block, 1 - zone)]
        self._pushing, self._waited = False, 0
        self._leaving: np.ndarray | None = None
        self._pause, self._end = 0, LAST_PAUSE

    def _draw(self, block: int, zone: int) -> _Push:
        rng = self._rng
        side = float(rng.choice([-1.0, 1.0]))
        return _Push(block, zone, rng.uniform(*DEPTHS), rng.uniform(*SPEEDS), rng.uniform(*PUSH_SPEEDS), side)

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray | None:
        """Return the next shift [2], m; None once both blocks are where they were to go."""
        state = observation["observation"]
        rod, blocks = state[6:8], np.stack([state[0:2], state[3:5]])
        if self._pause > 0:
            self._pause -= 1
            return np.zeros(2)
        if self._leaving is not None:
            return self._leave(rod, blocks)
        if not self._left:
            self._end -= 1
            return np.zeros(2) if self._end >= 0 else None
        push, zone = self._left[0], zones_of(state)[self._left[0].zone]
        if np.linalg.norm(blocks[push.block] - zone) < push.depth:
            self._left.pop(0)
            return self._turn_away(rod, blocks[push.block])
        return self._work(push, rod, blocks, _aim(blocks[push.block], blocks[1 - push.block], zone))

    def _work(self, push: _Push, rod: np.ndarray, blocks: np.ndarray, aim: np.ndarray) -> np.ndarray:
        """Go behind the block, or push it towards a point [2]."""
        block = blocks[push.block]
        ahead = _unit(aim - block)
        aside = np.array([-ahead[1], ahead[0]])
        back, off = float((block - rod) @ ahead), float((rod - block) @ aside)
        if self._pushing and (abs(off) > OFF_LINE or back < 0.0 or back > BEHIND + 0.02):
            self._pushing = False
            return self._turn_away(rod, block)
        start = block - BEHIND * ahead
        if not self._pushing and np.linalg.norm(rod - start) < REACHED:
            self._pushing = True
        if self._pushing:
            return push.push_speed * _unit(ahead - STEERING * off * aside)
        self._waited += 1
        if self._waited > PATIENCE:
            push.side, self._waited = -push.side, 0
        step = start - rod
        length = float(np.linalg.norm(step))
        return min(push.speed, length) * _around(rod, start, blocks, push.side)

    def _turn_away(self, rod: np.ndarray, block: np.ndarray) -> np.ndarray:
        """Begin to leave a block, perhaps after a pause."""
        self._pushing, self._waited = False, 0
        self._leaving = _unit(rod - block)
        if self._rng.random() < PAUSE:
            self._pause = int(self._rng.integers(*PAUSES))
        return np.zeros(2)

    def _leave(self, rod: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Back off until no block is near; what is pushed next may be gone about from there."""
        assert self._leaving is not None
        step = SPEEDS[0] * self._leaving
        if np.linalg.norm(blocks - rod - step, axis=-1).min() > CLEAR:
            self._leaving = None
        return step


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]])


def _aim(block: np.ndarray, other: np.ndarray, zone: np.ndarray) -> np.ndarray:
    """Return where to push a block: its zone, or a point beside the other block where that is in the way."""
    nearest, gap = _passing(block, zone, other)
    if gap >= OTHER or np.linalg.norm(other - block) < 1e-6:
        return zone
    away = nearest - other
    if np.linalg.norm(away) < 1e-6:
        away = _turned(_unit(zone - block), np.pi / 2)
    return other + (OTHER + 0.02) * _unit(away)


def _passing(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the point of a segment that is nearest to `point`, ends left out, and their distance, m."""
    along = end - start
    share = float((point - start) @ along) / max(float(along @ along), 1e-12)
    if not 0.0 < share < 1.0:
        return start, np.inf
    nearest = start + share * along
    return nearest, float(np.linalg.norm(point - nearest))


def _around(rod: np.ndarray, goal: np.ndarray, blocks: np.ndarray, side: float) -> np.ndarray:
    """Return the direction [2] to a goal, along the tangent of the first block in the way, on the chosen side."""
    for block in sorted(blocks, key=lambda one: float(np.linalg.norm(one - rod))):
        to_block = block - rod
        distance = float(np.linalg.norm(to_block))
        clear = min(CLEAR, float(np.linalg.norm(goal - block)) - REACHED)  # a goal beside a block has to be reached
        if distance < clear:  # slide round it, and outwards
            return _unit(_turned(_unit(to_block), side * np.pi / 2) - 0.8 * _unit(to_block))
        if _passing(rod, goal, block)[1] < clear:
            return _turned(_unit(to_block), side * float(np.arcsin(clear / distance)) * 1.05)
    return _unit(goal - rod)
