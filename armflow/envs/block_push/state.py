"""The state of BlockPush: sixteen numbers, where episodes begin, which goals they get, and when a block is in a zone.

The task and its figures are those of the multimodal block pushing of Florence et al. (2022, implicit behavioural
cloning) as Cui et al. (2023, C-BeT, arXiv 2210.10047) and Reuss et al. (2023, BESO) use it.
"""

from dataclasses import dataclass, field

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ValueRangeError
from armflow.robot.pusher import PUSHER_HIGH, PUSHER_LOW

__all__ = [
    "FIELDS",
    "GOAL_FIELDS",
    "RADIUS",
    "Pushes",
    "check_state",
    "draw_goal",
    "draw_state",
    "inside",
    "meant",
    "zones_of",
]

FIELDS = (
    *("block0_x", "block0_y", "block0_yaw", "block1_x", "block1_y", "block1_yaw"),
    *("effector_x", "effector_y", "effector_command_x", "effector_command_y"),
    *("target0_x", "target0_y", "target0_yaw", "target1_x", "target1_y", "target1_yaw"),
)
"""What the sixteen numbers are, m and rad in the world."""
GOAL_FIELDS = (0, 1, 3, 4)
"""Which of them make a goal: where both blocks are."""
TARGET_FIELDS = (10, 11, 13, 14)

RADIUS = 0.05  # m; a block is in a zone when its centre is nearer to the zone's than this
START = np.array([0.3, -0.4])  # m, first command
_BLOCKS_LOW, _BLOCKS_HIGH = np.array([0.3, -0.35]), np.array([0.5, -0.05])  # m
_APART = 0.1  # m in x between the blocks at the start
_YAWS = (1.0, np.pi)  # rad; what the benchmark draws from, though it means 0 to pi
_ZONES_X, _ZONES_Y, _ASIDE = 0.4, 0.2, 0.12  # m; the zones are this far aside of their common middle
_JITTER = np.array([0.005, 0.0075])  # m, of a zone in x and y
_ZONE_YAW = np.pi / 30  # rad, about pi
_TOUCHING = 0.039  # m; blocks of 0.04 m overlap when nearer than this

# Where pushed blocks end, from the 947 solved demonstrations: block less zone in the last frame, m. A demonstration
# stops as soon as the second block is in its zone, so blocks rest on the near side, just inside.
_REST_MEAN = np.array([-0.0224, -0.0282])
_REST_STD = np.array([0.0127, 0.0103])
_REST_CORRELATION = -0.5


def zones_of(state: np.ndarray) -> np.ndarray:
    """Return the zones' centres [..., 2, 2], m, of states [..., 16]."""
    return state[..., list(TARGET_FIELDS)].reshape(*state.shape[:-1], 2, 2)


def meant(goal: np.ndarray, zones: np.ndarray) -> np.ndarray:
    """Return for goals [..., 4], m, which of the zones [2, 2], m, each block is meant for: the nearest, [..., 2]."""
    blocks = np.reshape(goal, (*np.shape(goal)[:-1], 2, 1, 2))
    return np.linalg.norm(blocks - zones, axis=-1).argmin(axis=-1)


def draw_state(rng: np.random.Generator) -> np.ndarray:
    """Draw a first state [16] as the benchmark does: blocks on the near side, zones on the far side, pusher aside."""
    state = np.zeros(16)
    while True:
        blocks = rng.uniform(_BLOCKS_LOW, _BLOCKS_HIGH, (2, 2))
        if abs(blocks[0, 0] - blocks[1, 0]) > _APART:
            break
    side = rng.choice([-1.0, 1.0])
    for index in range(2):
        state[3 * index : 3 * index + 2] = blocks[index]
        state[3 * index + 2] = rng.uniform(*_YAWS)
        middle = np.array([_ZONES_X + (side if index == 0 else -side) * _ASIDE, _ZONES_Y])
        state[10 + 3 * index : 12 + 3 * index] = middle + rng.uniform(-_JITTER, _JITTER)
        yaw = np.pi + rng.uniform(-_ZONE_YAW, _ZONE_YAW)
        state[12 + 3 * index] = yaw - 2 * np.pi if yaw > np.pi else yaw
    state[6:8] = state[8:10] = START
    return state


def draw_goal(zones: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw where the blocks shall be [4], m: which of the zones [2, 2] each goes into, and where in it."""
    x, y = _REST_STD
    covariance = np.array([[x * x, _REST_CORRELATION * x * y], [_REST_CORRELATION * x * y, y * y]])
    order = rng.permutation(2)
    spots = np.empty((2, 2))
    for block, zone in enumerate(order):
        while True:
            offset = rng.multivariate_normal(_REST_MEAN, covariance)
            if np.hypot(*offset) < RADIUS:
                break
        spots[block] = zones[zone] + offset
    return spots.ravel()


def check_state(state: object) -> np.ndarray:
    """Return a state to start from as an array [16].

    Raises:
        ShapeError: It is not sixteen finite numbers.
        ValueRangeError: The pusher or a block is out of the pusher's rectangle, or the blocks overlap.
    """
    array = np.asarray(state, float)
    check_shape("state", array, "16")
    check_finite("state", array)
    rectangle = f"within x {PUSHER_LOW[0]} to {PUSHER_HIGH[0]} m and y {PUSHER_LOW[1]} to {PUSHER_HIGH[1]} m"
    for what, start, margin in (("blocks", 0, 0.1), ("blocks", 3, 0.1), ("effector", 6, 0.02), ("command", 8, 1e-6)):
        point = array[start : start + 2]
        if (point < PUSHER_LOW - margin).any() or (point > PUSHER_HIGH + margin).any():
            raise ValueRangeError(f"state[{start}:{start + 2}] ({what})", point, rectangle)
    gap = float(np.hypot(*(array[0:2] - array[3:5])))
    if gap < _TOUCHING:
        raise ValueRangeError("distance of the blocks in the state", gap, f"at least {_TOUCHING} m")
    return array


@dataclass(slots=True)
class Pushes:
    """Which block came into which zone, in order: the first time that its centre is within `RADIUS`.

    Attributes:
        made: (block, zone) pairs.
    """

    made: list[tuple[int, int]] = field(default_factory=list)

    def update(self, state: np.ndarray) -> None:
        """Take note of a state [16]."""
        for block, zone in np.argwhere(inside(state)).tolist():
            if (block, zone) not in self.made:
                self.made.append((block, zone))


def inside(state: np.ndarray) -> np.ndarray:
    """Tell which block is in which zone of a state [16]: [2 blocks, 2 zones] bool."""
    blocks = state[list(GOAL_FIELDS)].reshape(2, 1, 2)
    return np.linalg.norm(blocks - zones_of(state), axis=-1) < RADIUS
