"""Follow a path of poses with a chain of warm-started inverse kinematics, compiled."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from armflow.robot.kinematics import chain_jacobian

__all__ = ["NO_FREE_AXIS", "Reach", "follow", "solve_pose"]

NO_FREE_AXIS = np.zeros(3)
_ANGLE_WEIGHT = 0.3  # m/rad: how much one radian of error counts beside one metre


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
def _is_free(axis: np.ndarray) -> bool:
    """Tell a unit axis from zeros."""
    return axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2 > 0.5


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
    turn = np.zeros(3)
    if _is_free(free_axis):
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
    error[3:] = 0.0
    if sine > 1e-9:
        error[3:] = turn * (np.arctan2(sine, cosine) / sine)
    elif cosine < 0:
        # Exactly opposite: every axis is as good as another.
        error[3] = np.pi


@njit(cache=True)
def _leave_out_turns(J: np.ndarray, axis: np.ndarray) -> None:
    """Remove from the angular rows of J [6, D] the part about a unit axis [3]."""
    for j in range(J.shape[1]):
        along = axis[0] * J[3, j] + axis[1] * J[4, j] + axis[2] * J[5, j]
        for a in range(3):
            J[3 + a, j] -= along * axis[a]


@njit(cache=True)
def solve_pose(
    chain: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    target: np.ndarray,
    free_axis: np.ndarray,
    q: np.ndarray,
    iterations: int,
) -> bool:
    """Move q [D] in place to the pose `target` by damped least squares inside the joint limits.

    dq = (J^T W J + lambda I)^-1 J^T W e, lambda falling with the error (Levenberg-Marquardt after
    Sugihara 2011, doi:10.1109/TRO.2011.2148230).

    Args:
        chain: placements [D + 1, 4, 4], axes [D, 3], q_min [D], q_max [D].
        target: [4, 4] wanted pose in the base frame, m.
        free_axis: [3] unit axis in the target's frame about which any turn will do, or zeros.
        q: [D] start, rad; holds the answer afterwards.
        iterations: Most steps to take.

    Returns:
        True when the position is within 0.5 mm and the orientation within 0.25 degrees.
    """
    placements, axes, q_min, q_max = chain
    dof = len(q)
    error, axis = np.empty(6), np.empty(3)
    for _ in range(iterations):
        tool, J = chain_jacobian(placements, axes, q)
        _pose_error(tool, target, free_axis, error)
        distance, angle = np.linalg.norm(error[:3]), np.linalg.norm(error[3:])
        if distance < 5e-4 and angle < 4.4e-3:
            return True
        if _is_free(free_axis):
            _turned(tool, free_axis, axis)
            _leave_out_turns(J, axis)
        J[3:] *= _ANGLE_WEIGHT
        error[3:] *= _ANGLE_WEIGHT
        H = J.T @ J
        gradient = J.T @ error
        damping = 1e-5 + 0.1 * (error @ error)
        for j in range(dof):
            H[j, j] += damping
            # A joint at its limit that would go further is held.
            if (q[j] <= q_min[j] and gradient[j] < 0) or (q[j] >= q_max[j] and gradient[j] > 0):
                H[j, :] = 0.0
                H[:, j] = 0.0
                H[j, j], gradient[j] = 1.0, 0.0
        step = np.linalg.solve(H, gradient)
        step *= min(1.0, 0.5 / (np.abs(step).max() + 1e-12))
        for j in range(dof):
            q[j] = min(max(q[j] + step[j], q_min[j]), q_max[j])
    return False


@njit(cache=True)
def follow_kernel(
    chain: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    targets: np.ndarray,
    free_axis: np.ndarray,
    q_path: np.ndarray,
    max_jump: float,
) -> int:
    """Solve the targets [T, 4, 4] one after the other, each from the last; row 0 of q_path [T, D] holds the seed.

    Returns:
        -1, or the first row that was not met, or 1000 plus the first row that needed a joint to move more than
        `max_jump` rad.
    """
    q = q_path[0].copy()
    for t in range(len(targets)):
        if not solve_pose(chain, targets[t], free_axis, q, 40 if t == 0 else 25):
            return t
        if t > 0 and np.abs(q - q_path[t - 1]).max() > max_jump:
            return 1000 + t
        q_path[t] = q
    return -1


def follow(
    chain: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    targets: np.ndarray,
    q_seed: np.ndarray,
    *,
    free_axis: np.ndarray = NO_FREE_AXIS,
    max_jump: float = 0.6,
) -> Reach:
    """Chain inverse kinematics along a path.

    Args:
        chain: placements [D + 1, 4, 4], axes [D, 3], q_min [D], q_max [D]; the last placement ends at the frame
            that the targets speak of (the tool, or an object held by it).
        targets: [T, 4, 4] wanted poses in the base frame, m.
        q_seed: [D] where to start, rad.
        free_axis: [3] unit axis in the targets' frame about which any turn will do; zeros for none.
        max_jump: Largest allowed change of a joint between neighbouring poses, rad.
    """
    q_path = np.tile(np.asarray(q_seed, dtype=float), (len(targets), 1))
    code = follow_kernel(chain, np.ascontiguousarray(targets), np.asarray(free_axis, dtype=float), q_path, max_jump)
    if code < 0:
        return Reach(True, q_path, -1, f"all {len(targets)} poses are reachable")
    row = code % 1000
    what = "needs a jump of a joint" if code >= 1000 else "is out of reach"
    return Reach(False, q_path, row, f"pose {row} of {len(targets)} {what}")
