"""Follow a path of poses with a chain of warm-started inverse kinematics, compiled."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numba import njit

from armflow.robot.kinematics import chain_jacobian

__all__ = [
    "NO_FREE_AXIS",
    "POSITION_ONLY",
    "Chain",
    "Reach",
    "chain_of",
    "follow",
    "follow_kernel",
    "is_free",
    "solve_pose",
]

NO_FREE_AXIS = np.zeros(3)
POSITION_ONLY = np.full(3, 2.0)  # in place of a unit axis: any turn at all will do
LOOSE = np.full(3, 3.0)  # in place of a unit axis: the position is met, the orientation only as well as it can be
_ANGLE_WEIGHT = 0.3  # m/rad: how much one radian of error counts beside one metre


_LOOSE_WEIGHT = 0.02  # m/rad: the same where the orientation is only a wish
_REST_PULL = 1e-5  # m^2: how strongly joints are drawn to their rest position where the pose leaves them free
_HOMING = 0.05  # share of the way home that spare freedom may take from one pose to the next
_PATIENCE = 8  # steps without progress before giving up


class Chain(NamedTuple):
    """An arm, possibly with something in its hand, as the kernels here take it.

    Attributes:
        placements: [D + 1, 4, 4] fixed transforms; the last ends at the frame that targets speak of, m.
        axes: [D, 3] unit joint axes.
        q_min: [D] lower limits, rad.
        q_max: [D] upper limits, rad.
        home: [D] comfortable position, rad.
    """

    placements: np.ndarray
    axes: np.ndarray
    q_min: np.ndarray
    q_max: np.ndarray
    home: np.ndarray


class ChainArm(Protocol):
    """The part of `robot.model.RobotModel` that makes a chain."""

    @property
    def placements(self) -> np.ndarray:
        """Fixed transforms [D + 1, 4, 4], m."""
        ...

    @property
    def axes(self) -> np.ndarray:
        """Joint axes [D, 3]."""
        ...

    @property
    def q_min(self) -> np.ndarray:
        """Lower limits [D], rad."""
        ...

    @property
    def q_max(self) -> np.ndarray:
        """Upper limits [D], rad."""
        ...

    @property
    def home(self) -> np.ndarray:
        """Rest position [D], rad."""
        ...


def chain_of(arm: ChainArm, T_tool_end: np.ndarray | None = None) -> Chain:
    """Chain of an arm, made longer by a frame that hangs on the tool at T_tool_end [4, 4]."""
    placements = np.array(arm.placements, dtype=float)
    if T_tool_end is not None:
        placements[-1] = placements[-1] @ T_tool_end
    return Chain(placements, arm.axes, arm.q_min, arm.q_max, arm.home)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a chain of solutions got.

    Attributes:
        ok: True when every pose was met.
        q_path: [T, D] joint positions, rad; rows from `row` on are not to be used when `ok` is False.
        row: First pose that failed, -1 when none.
        reason: One sentence.
    """

    ok: bool
    q_path: np.ndarray
    row: int
    reason: str


@njit(cache=True, inline="always")
def is_free(axis: np.ndarray) -> bool:
    """Tell a unit axis from zeros and from `POSITION_ONLY` and `LOOSE`."""
    return 0.5 < axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2 < 2.0


@njit(cache=True, inline="always")
def _turned(T: np.ndarray, v: np.ndarray, out: np.ndarray) -> None:
    """Write the rotation of T [4, 4] applied to v [3] into out [3]."""
    for a in range(3):
        out[a] = T[a, 0] * v[0] + T[a, 1] * v[1] + T[a, 2] * v[2]


@njit(cache=True)
def _pose_error(current: np.ndarray, target: np.ndarray, free_axis: np.ndarray, error: np.ndarray) -> None:
    """Write the twist [6] (m, rad, base axes) from current to target; turning about the free axis is no error."""
    for a in range(3):
        error[a] = target[a, 3] - current[a, 3]
    turn, error[3:] = np.zeros(3), 0.0
    if free_axis[0] == POSITION_ONLY[0]:
        return
    if is_free(free_axis):
        u, v = np.empty(3), np.empty(3)
        _turned(current, free_axis, u)
        _turned(target, free_axis, v)
        turn[0], turn[1], turn[2] = u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]
        cosine = u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
    else:
        # The rotation from current to target is the sum over columns k of target_k current_k^T; its skew part is half
        # the sum of current_k x target_k.
        trace = 0.0
        for k in range(3):
            for a in range(3):
                b, c = (a + 1) % 3, (a + 2) % 3
                turn[a] += (current[b, k] * target[c, k] - current[c, k] * target[b, k]) / 2
                trace += current[a, k] * target[a, k]
        cosine = (trace - 1) / 2
    sine = np.sqrt(turn[0] ** 2 + turn[1] ** 2 + turn[2] ** 2)
    if sine > 1e-9:
        error[3:] = turn * (np.arctan2(sine, cosine) / sine)
    elif cosine < 0:
        # Exactly opposite: every axis is as good as another.
        error[3] = np.pi


@njit(cache=True)
def _leave_out_turns(J: np.ndarray, tool: np.ndarray, free_axis: np.ndarray, axis: np.ndarray) -> None:
    """Remove from the angular rows of J [6, D] the part about the free axis of the tool; `axis` [3] is for scratch."""
    if free_axis[0] == POSITION_ONLY[0]:
        J[3:] = 0.0
    if not is_free(free_axis):
        return
    _turned(tool, free_axis, axis)
    for j in range(J.shape[1]):
        along = axis[0] * J[3, j] + axis[1] * J[4, j] + axis[2] * J[5, j]
        for a in range(3):
            J[3 + a, j] -= along * axis[a]


@njit(cache=True)
def _step(chain: Chain, J: np.ndarray, error: np.ndarray, rest: np.ndarray, q: np.ndarray, weight: float) -> float:
    """Take one damped step from q [D], in place; J [6, D] and error [6] are scaled on the way.

    Solves (J^T J + (lambda + mu) I) dq = J^T e + mu (rest - q), so that joints which the pose leaves free settle near
    their rest position; lambda falls with the error. The angular rows count with `weight` (m/rad). Returns the largest
    joint motion, rad.
    """
    J[3:] *= weight
    error[3:] *= weight
    H, gradient = J.T @ J, J.T @ error
    damping = _REST_PULL + 1e-5 + 0.1 * (error @ error)
    for j in range(len(q)):
        H[j, j] += damping
        gradient[j] += _REST_PULL * (rest[j] - q[j])
        # A joint at its limit that would go further is held.
        if (q[j] <= chain.q_min[j] and gradient[j] < 0) or (q[j] >= chain.q_max[j] and gradient[j] > 0):
            H[j, :] = 0.0
            H[:, j] = 0.0
            H[j, j], gradient[j] = 1.0, 0.0
    step = np.linalg.solve(H, gradient)
    step *= min(1.0, 0.5 / (np.abs(step).max() + 1e-12))
    for j in range(len(q)):
        q[j] = min(max(q[j] + step[j], chain.q_min[j]), chain.q_max[j])
    return np.abs(step).max()


@njit(cache=True)
def solve_pose(
    chain: Chain, target: np.ndarray, free_axis: np.ndarray, rest: np.ndarray, q: np.ndarray, iterations: int
) -> bool:
    """Move q [D] in place to the pose `target` by damped least squares inside the joint limits.

    Args:
        chain: The arm.
        target: [4, 4] wanted pose in the base frame, m.
        free_axis: [3] unit axis in the target's frame about which any turn will do, zeros, `POSITION_ONLY` or `LOOSE`.
        rest: [D] position to stay near where the pose leaves a choice, rad.
        q: [D] start, rad; holds the answer afterwards.
        iterations: Most steps to take; it gives up earlier where the error has stopped falling.

    Returns:
        True when the position is within 0.5 mm and the orientation within 0.25 degrees.

    Reference:
        Damping by the error: Sugihara (2011), doi:10.1109/TRO.2011.2148230.
    """
    error, axis = np.empty(6), np.empty(3)
    least, waited, moved = np.inf, 0, np.inf
    loose = free_axis[0] == LOOSE[0]
    weight = _LOOSE_WEIGHT if loose else _ANGLE_WEIGHT
    for _ in range(iterations):
        tool, J = chain_jacobian(chain.placements, chain.axes, q)
        _pose_error(tool, target, free_axis, error)
        distance, angle = np.linalg.norm(error[:3]), np.linalg.norm(error[3:])
        if distance < 5e-4 and (angle < 4.4e-3 or (loose and moved < 0.02)):
            return True
        total = distance + weight * angle
        waited = 0 if total < 0.95 * least else waited + 1
        least = min(least, total)
        if waited > _PATIENCE:
            return False
        _leave_out_turns(J, tool, free_axis, axis)
        moved = _step(chain, J, error, rest, q, weight)
    return False


@njit(cache=True)
def follow_kernel(
    chain: Chain,
    targets: np.ndarray,
    free_axes: np.ndarray,
    q_path: np.ndarray,
    max_jump: float,
) -> int:
    """Solve the targets [T, 4, 4] one after the other, each from the last; row 0 of q_path [T, D] holds the seed.

    Each row of free_axes [T, 3] is a free axis as `solve_pose` takes it.

    Returns:
        -1, or the first row that was not met, or 1000 plus the first row that needed a joint to move more than
        `max_jump` rad.
    """
    q = q_path[0].copy()
    for t in range(len(targets)):
        # Spare freedom leads slowly back to the comfortable position, without a jump.
        rest = q + _HOMING * (chain.home - q)
        if not solve_pose(chain, targets[t], free_axes[t], rest, q, 40 if t == 0 else 25):
            return t
        if t > 0 and np.abs(q - q_path[t - 1]).max() > max_jump:
            return 1000 + t
        q_path[t] = q
    return -1


def follow(
    chain: Chain,
    targets: np.ndarray,
    q_seed: np.ndarray,
    *,
    max_jump: float = 0.6,
) -> Reach:
    """Chain inverse kinematics along a path.

    Args:
        chain: The arm, ending at the frame that the targets speak of (the tool, or an object held by it).
        targets: [T, 4, 4] wanted poses in the base frame, m.
        q_seed: [D] where to start, rad.
        max_jump: Largest allowed change of a joint between neighbouring poses, rad.
    """
    q_path = np.tile(np.asarray(q_seed, dtype=float), (len(targets), 1))
    free_axes = np.tile(NO_FREE_AXIS, (len(targets), 1))
    code = follow_kernel(chain, np.ascontiguousarray(targets, dtype=float), free_axes, q_path, max_jump)
    if code < 0:
        return Reach(True, q_path, -1, f"all {len(targets)} poses are reachable")
    row = code % 1000
    what = "needs a jump of a joint" if code >= 1000 else "is out of reach"
    return Reach(False, q_path, row, f"pose {row} of {len(targets)} {what}")
