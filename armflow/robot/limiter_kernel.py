"""The compiled step of the limiter: one command in, the next joint positions out, every limit kept.

Time is discrete: v is the last step divided by dt, and one step changes it by at most A = a_max dt. Two invariants
hold after every step and make the next one feasible, whatever the next command is:
1. Braking each joint by A a step comes to rest within its position limits.
2. Along that braking motion the tool stays in the workspace and no joint sinks below the floor.
"""

import numpy as np
from numba import njit

__all__ = ["FLOOR", "REASONS", "limit_step", "reach_bounds", "slack", "stopping_speed"]

FLOOR = 0.02  # lowest height of a joint's origin, from the third joint on, above the base plane, m
REASONS = ("", "acceleration", "velocity", "position", "workspace", "not finite", "jump", "wrong type", "wrong shape")
_ROUNDING = 1e-12  # kept free before a limit, rad and m


def reach_bounds(chain: np.ndarray) -> np.ndarray:
    """How far anything up to the tool can be from each joint's axis: [D] m, from the chain [D + 1, 4, 4]."""
    lengths = np.linalg.norm(chain[1:, :3, 3], axis=1)
    return np.cumsum(lengths[::-1])[::-1].copy()


@njit(cache=True)
def stopping_speed(room: float, change: float, dt: float) -> float:
    """Highest speed from which a joint stops within `room`, the step at that speed included.

    From speed v, at most n A, the braking steps v, v - A, … sum to dt (n v - A n (n - 1) / 2). Its inverse: n is the
    smallest whole number with dt A n (n + 1) / 2 >= room.

    Args:
        room: Distance left, rad, >= 0.
        change: A, largest change of speed in one step, rad/s.
        dt: Time step, s.
    """
    n = np.ceil(0.5 * (np.sqrt(1.0 + 8.0 * room / (dt * change)) - 1.0))
    n = max(n, 1.0)
    return room / (dt * n) + 0.5 * change * (n - 1.0)


@njit(cache=True)
def slack(chain: np.ndarray, box: np.ndarray, q: np.ndarray) -> float:
    """Least distance from the tool to the sides of the box, or of a joint from the floor; negative outside, m."""
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0
    x, y, z = 0.0, 0.0, 0.0
    least = np.inf
    dof = len(q)
    for j in range(dof + 1):
        f = chain[j]
        x += r00 * f[0, 3] + r01 * f[1, 3] + r02 * f[2, 3]
        y += r10 * f[0, 3] + r11 * f[1, 3] + r12 * f[2, 3]
        z += r20 * f[0, 3] + r21 * f[1, 3] + r22 * f[2, 3]
        if j == dof:
            break
        if j >= 2:
            least = min(least, z - FLOOR)
        a, b, c = r00, r01, r02
        u, v = a * f[0, 0] + b * f[1, 0] + c * f[2, 0], a * f[0, 1] + b * f[1, 1] + c * f[2, 1]
        r02 = a * f[0, 2] + b * f[1, 2] + c * f[2, 2]
        cosine, sine = np.cos(q[j]), np.sin(q[j])
        r00, r01 = cosine * u + sine * v, cosine * v - sine * u
        a, b, c = r10, r11, r12
        u, v = a * f[0, 0] + b * f[1, 0] + c * f[2, 0], a * f[0, 1] + b * f[1, 1] + c * f[2, 1]
        r12 = a * f[0, 2] + b * f[1, 2] + c * f[2, 2]
        r10, r11 = cosine * u + sine * v, cosine * v - sine * u
        a, b, c = r20, r21, r22
        u, v = a * f[0, 0] + b * f[1, 0] + c * f[2, 0], a * f[0, 1] + b * f[1, 1] + c * f[2, 1]
        r22 = a * f[0, 2] + b * f[1, 2] + c * f[2, 2]
        r20, r21 = cosine * u + sine * v, cosine * v - sine * u
    least = min(least, x - box[0, 0], y - box[0, 1], z - box[0, 2])
    return min(least, box[1, 0] - x, box[1, 1] - y, box[1, 2] - z)


@njit(cache=True)
def _brake(v: float, change: float) -> float:
    """Speed after one step of braking."""
    return max(v - change, 0.0) if v > 0 else min(v + change, 0.0)


@njit(cache=True)
def _braking_stays_inside(
    chain: np.ndarray,
    box: np.ndarray,
    reach: np.ndarray,
    change: np.ndarray,
    dt: float,
    motion: tuple[np.ndarray, np.ndarray],
    room: np.ndarray,
) -> bool:
    """Whether the tool stays inside at the next step and along the braking that follows it.

    No frame moves further than sum_j reach_j |dq_j|, so steps whose way is shorter than the slack need no check.

    Args:
        chain: [D + 1, 4, 4] with all axes along z.
        box: [2, 3] workspace, m.
        reach: [D] from `reach_bounds`, m.
        change: [D] A of each joint, rad/s.
        dt: Time step, s.
        motion: q [D] before the step, rad, and its speed [D], rad/s.
        room: [1] slack known at q, m, on entry; on exit that known at the end of the step.
    """
    dof = len(change)
    q, v = motion[0].copy(), motion[1].copy()
    left = room[0]
    first = True
    while True:
        way = 0.0
        for j in range(dof):
            q[j] += v[j] * dt
            way += reach[j] * abs(v[j]) * dt
        left -= way
        if left < _ROUNDING and way > 0.0:
            left = slack(chain, box, q)
            if left < _ROUNDING:
                return False
        if first:
            room[0] = left
            first = False
        ahead = 0.0
        for j in range(dof):
            v[j] = _brake(v[j], change[j])
            ahead += reach[j] * abs(v[j]) * (abs(v[j]) / change[j] + 1.0) * dt  # more than the way to rest
        if ahead == 0.0 or ahead <= left - _ROUNDING:
            return True


@njit(cache=True)
def limit_step(
    chain: np.ndarray,
    limits: np.ndarray,
    box: np.ndarray,
    reach: np.ndarray,
    settings: tuple[float, float],
    state: np.ndarray,
    target: np.ndarray,
) -> int:
    """Move the state one step towards a target.

    Args:
        chain: [D + 1, 4, 4] with all axes along z, m.
        limits: [4, D] lowest and highest position (rad), speed (rad/s) and acceleration (rad/s^2).
        box: [2, 3] workspace, m.
        reach: [D] from `reach_bounds`, m.
        settings: Time step, s, and the largest distance of a joint's target from its position, rad.
        state: [3, D + 1], changed: q and v, and in state[2, 0] the slack known at q, m.
        target: [D] rad, anything at all.

    Returns:
        Index into `REASONS`: 0 passed as it is, below 5 clipped, from 5 rejected and braking.
    """
    dof = limits.shape[1]
    dt, jump = settings
    q, v, room = state[0, :dof], state[1, :dof], state[2, :1]
    braking, wanted, change = np.empty(dof), np.empty(dof), np.empty(dof)
    for j in range(dof):
        change[j] = limits[3, j] * dt
        braking[j] = _brake(v[j], change[j])
    code = _defect(q, target, jump)
    share = 0.0
    if code == 0:
        for j in range(dof):
            wanted[j], reason = _joint_speed(q[j], v[j], target[j], limits[:, j], dt)
            code = max(code, reason)
        known, share = room[0], 1.0
        while share > 0.0 and not _braking_stays_inside(chain, box, reach, change, dt, (q, wanted), room):
            room[0] = known
            code = 4
            share = 0.5 * share if share > 0.2 else 0.0  # three tries between the wish and full braking
            wanted[:] = braking + 0.5 * (wanted - braking)
    if share == 0.0:  # the second invariant vouches for this motion
        wanted[:] = braking
        room[0] -= np.sum(reach * np.abs(braking)) * dt
    for j in range(dof):
        v[j] = wanted[j]
        q[j] = min(max(q[j] + v[j] * dt, limits[0, j]), limits[1, j])
    return code


@njit(cache=True)
def _defect(q: np.ndarray, target: np.ndarray, jump: float) -> int:
    """Index of what makes a target unusable, 0 if nothing does."""
    code = 0
    for j in range(len(q)):
        if not np.isfinite(target[j]):
            return 5
        if abs(target[j] - q[j]) > jump:
            code = 6
    return code


@njit(cache=True)
def _joint_speed(q: float, v: float, target: float, limit: np.ndarray, dt: float) -> tuple[float, int]:
    """Speed of one joint for this step, and the index of the limit that changed it, 0 for none.

    A target that can be reached in one step passes; any other is approached so that the joint could stop at it.
    """
    change = limit[3] * dt
    reason = 0
    if target < limit[0] or target > limit[1]:
        target = min(max(target, limit[0]), limit[1])
        reason = 3
    up = stopping_speed(max(limit[1] - q - _ROUNDING, 0.0), change, dt)
    down = -stopping_speed(max(q - limit[0] - _ROUNDING, 0.0), change, dt)
    low = max(v - change, -limit[2], down)
    high = min(v + change, limit[2], up)
    wanted = (target - q) / dt
    if low <= wanted <= high:
        return wanted, reason
    bound = high if wanted > high else low
    if abs(bound) == limit[2]:
        reason = 2
    elif bound in (up, down):
        reason = 3
    else:
        reason = max(reason, 1)
    safe = stopping_speed(abs(target - q), change, dt)
    wanted = min(max(wanted, -safe), safe)
    return min(max(wanted, low), high), reason
