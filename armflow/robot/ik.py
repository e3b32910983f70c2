"""Inverse kinematics: Levenberg-Marquardt within joint limits, restarted until a pose is met; compiled.

The damping follows the error, lambda = E + w, which keeps steps bounded far from the target and quadratic near it:
Sugihara (2011), doi:10.1109/TRO.2011.2148230, eqs. 12 to 14. Joints that press against a limit are left out of a step.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from scipy.spatial.transform import RigidTransform

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.cholesky import solve_cholesky
from armflow.robot.errors import ChoiceError, ShapeError
from armflow.robot.model import RobotModel

__all__ = ["FreeAxis", "IKResult", "solve_ik", "solve_ik_batch"]

FreeAxis = Literal["none", "x", "y", "z", "all"]
_FREE = {"x": 0, "y": 1, "z": 2, "none": 3, "all": 4}

_POSITION_TOLERANCE = 1e-5  # m
_ANGLE_TOLERANCE = 1e-4  # rad
_ITERATIONS = 40  # of one descent
_DAMPING = 1e-6  # w of Sugihara's eq. 14, m^2


@dataclass(frozen=True, slots=True)
class IKResult:
    """An answer of the solver, checked by forward kinematics.

    Attributes:
        q: [D] best joint positions found, within the limits, rad.
        ok: Whether the pose is met within the tolerances.
        position_error: Distance of the tool from the target, m.
        angle_error: Angle between the tool and the target, the free axis left out, rad.
        reason: Empty when ok, else why not.
    """

    q: np.ndarray
    ok: bool
    position_error: float
    angle_error: float
    reason: str


def solve_ik(
    arm: RobotModel,
    T_world_tool: RigidTransform | np.ndarray,
    q_seed: np.ndarray,
    *,
    rng: np.random.Generator,
    axis_free: FreeAxis = "none",
    restarts: int = 100,
) -> IKResult:
    """Find joint positions that put the tool at a pose: first from the seed, then from random starts.

    Args:
        arm: The arm.
        T_world_tool: Target pose, or its [4, 4] matrix, m.
        q_seed: [D] where to start, rad; a start close to the answer gives the answer close to it.
        rng: Source of the random starts.
        axis_free: Tool axis about which any rotation will do; "all" asks for the position only.
        restarts: How many random starts at most; 0 keeps to the seed's own branch.

    Returns:
        The result; not ok when the pose is out of reach, with the closest that was found.

    Raises:
        ShapeError: The target is no finite [4, 4] pose, or the seed not [D].
        ChoiceError: No such free axis.
    """
    target = T_world_tool.as_matrix() if isinstance(T_world_tool, RigidTransform) else T_world_tool
    check_shape("T_world_tool", target, "4 4")
    q, errors = _solve_checked(arm, target[None], np.asarray(q_seed, float)[None], rng, (axis_free, restarts))
    return _result(q[0], errors[0])


def solve_ik_batch(
    arm: RobotModel,
    Ts_world_tool: np.ndarray,
    q_seeds: np.ndarray,
    *,
    rng: np.random.Generator,
    axis_free: FreeAxis = "none",
    restarts: int = 100,
) -> list[IKResult]:
    """Solve many independent poses [B, 4, 4] from seeds [B, D]; else as `solve_ik`."""
    q, errors = _solve_checked(arm, Ts_world_tool, q_seeds, rng, (axis_free, restarts))
    return [_result(q[b], errors[b]) for b in range(len(q))]


def _solve_checked(
    arm: RobotModel,
    targets: np.ndarray,
    q_seeds: np.ndarray,
    rng: np.random.Generator,
    options: tuple[FreeAxis, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Check the input, then solve all poses; returns q [B, D] and errors [B, 2] (m, rad)."""
    sizes = check_shape("T_world_tool", targets, "B 4 4", {"D": arm.dof})
    check_shape("q_seed", q_seeds, "B D", sizes)
    check_finite("T_world_tool", targets)
    check_finite("q_seed", q_seeds)
    if np.abs(targets[:, :3, :3] @ targets[:, :3, :3].mT - np.eye(3)).max(initial=0.0) > 1e-6:
        raise ShapeError("T_world_tool", "a rotation in its first three rows and columns", "another matrix")
    free = _FREE.get(options[0])
    if free is None:
        raise ChoiceError("free axis", options[0], _FREE)
    limits = np.stack([arm.q_min, arm.q_max])
    random = int(rng.integers(1, 2**63 - 1))
    targets, seeds = np.ascontiguousarray(targets, float), np.ascontiguousarray(q_seeds, float)
    return _solve_all(arm.z_placements, limits, targets, seeds, free, options[1], random)


def _result(q: np.ndarray, errors: np.ndarray) -> IKResult:
    position, angle = float(errors[0]), float(errors[1])
    ok = bool(np.isfinite(q).all() and position <= _POSITION_TOLERANCE and angle <= _ANGLE_TOLERANCE)
    reason = "" if ok else f"closest pose found is {position * 1e3:.2f} mm and {np.degrees(angle):.2f} deg off"
    return IKResult(q, ok, position, angle, reason)


@njit(cache=True)
def _solve_all(
    chain: np.ndarray,
    limits: np.ndarray,
    targets: np.ndarray,
    seeds: np.ndarray,
    free: int,
    restarts: int,
    random: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Solve every pose: the seed first, then random starts until the tolerances are met."""
    count, dof = seeds.shape
    answers, errors = np.empty((count, dof)), np.empty((count, 2))
    q, best = np.empty(dof), np.empty(dof)
    work = np.empty((2 * dof + 14, max(dof, 6)))
    state = np.uint64(random)
    for index in range(count):
        lowest = np.inf
        for attempt in range(restarts + 1):
            for j in range(dof):
                q[j] = min(max(seeds[index, j], limits[0, j]), limits[1, j])
                if attempt > 0:
                    state, share = _next_random(state)
                    low, high = max(limits[0, j], -np.pi), min(limits[1, j], np.pi)
                    q[j] = low + share * (high - low)
            position, angle = _descend(chain, limits, targets[index], q, free, work)
            if position + 0.1 * angle < lowest:
                lowest = position + 0.1 * angle
                errors[index, 0], errors[index, 1] = position, angle
                best[:] = q
            if position <= _POSITION_TOLERANCE and angle <= _ANGLE_TOLERANCE:
                break
        _unwind(best, seeds[index], limits)
        answers[index] = best
    return answers, errors


@njit(cache=True)
def _next_random(state: np.uint64) -> tuple[np.uint64, float]:
    """One step of xorshift64 (Marsaglia 2003, doi:10.18637/jss.v008.i14) and a number in 0 .. 1."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    return state, float(state >> np.uint64(11)) / 9007199254740992.0


@njit(cache=True)
def _unwind(q: np.ndarray, seed: np.ndarray, limits: np.ndarray) -> None:
    """Turn each joint by full turns to where it is closest to the seed, within the limits."""
    for j in range(len(q)):
        turned = q[j] + 2 * np.pi * np.round((seed[j] - q[j]) / (2 * np.pi))
        if limits[0, j] <= turned <= limits[1, j]:
            q[j] = turned


@njit(cache=True)
def _descend(
    chain: np.ndarray, limits: np.ndarray, target: np.ndarray, q: np.ndarray, free: int, work: np.ndarray
) -> tuple[float, float]:
    """Levenberg-Marquardt from q, which it overwrites; returns the errors left, m and rad.

    Gives up early when the error has not halved over eight iterations.
    """
    dof = len(q)
    jacobian, normal = work[:6, :dof], work[6 : 6 + dof, :dof]
    room = work[6 + dof : 12 + dof, :dof]
    error, step = work[12 + dof], work[13 + dof]
    checkpoint = np.inf
    position, angle = np.inf, np.inf
    for iteration in range(_ITERATIONS):
        position, angle = _linearise(chain, target, q, free, jacobian, error, room)
        if position <= _POSITION_TOLERANCE and angle <= _ANGLE_TOLERANCE:
            break
        cost = 0.0
        for i in range(6):
            cost += 0.5 * error[i] * error[i]
        if iteration % 8 == 7:
            if cost > 0.25 * checkpoint:
                break
            checkpoint = cost
        _damped_step(jacobian, error, cost + _DAMPING, q, limits, normal, step)
        for j in range(dof):
            q[j] = min(max(q[j] + step[j], limits[0, j]), limits[1, j])
    return position, angle


@njit(cache=True)
def _linearise(
    chain: np.ndarray,
    target: np.ndarray,
    q: np.ndarray,
    free: int,
    jacobian: np.ndarray,
    error: np.ndarray,
    room: np.ndarray,
) -> tuple[float, float]:
    """Pose error and its Jacobian at q; `room` [6, D] takes the joints' places and axes on the way."""
    dof, origin, spin = len(q), room[:3], room[3:]
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0
    x, y, z = 0.0, 0.0, 0.0
    for j in range(dof + 1):
        f = chain[j]
        x += r00 * f[0, 3] + r01 * f[1, 3] + r02 * f[2, 3]
        y += r10 * f[0, 3] + r11 * f[1, 3] + r12 * f[2, 3]
        z += r20 * f[0, 3] + r21 * f[1, 3] + r22 * f[2, 3]
        a, b, c = r00, r01, r02
        r00, r01, r02 = (
            a * f[0, 0] + b * f[1, 0] + c * f[2, 0],
            a * f[0, 1] + b * f[1, 1] + c * f[2, 1],
            a * f[0, 2] + b * f[1, 2] + c * f[2, 2],
        )
        a, b, c = r10, r11, r12
        r10, r11, r12 = (
            a * f[0, 0] + b * f[1, 0] + c * f[2, 0],
            a * f[0, 1] + b * f[1, 1] + c * f[2, 1],
            a * f[0, 2] + b * f[1, 2] + c * f[2, 2],
        )
        a, b, c = r20, r21, r22
        r20, r21, r22 = (
            a * f[0, 0] + b * f[1, 0] + c * f[2, 0],
            a * f[0, 1] + b * f[1, 1] + c * f[2, 1],
            a * f[0, 2] + b * f[1, 2] + c * f[2, 2],
        )
        if j < dof:
            origin[0, j], origin[1, j], origin[2, j] = x, y, z
            spin[0, j], spin[1, j], spin[2, j] = r02, r12, r22
            cosine, sine = np.cos(q[j]), np.sin(q[j])
            r00, r01 = cosine * r00 + sine * r01, cosine * r01 - sine * r00
            r10, r11 = cosine * r10 + sine * r11, cosine * r11 - sine * r10
            r20, r21 = cosine * r20 + sine * r21, cosine * r21 - sine * r20
    _fill_jacobian(origin, spin, (x, y, z), jacobian)
    error[0], error[1], error[2] = target[0, 3] - x, target[1, 3] - y, target[2, 3] - z
    position = np.sqrt(error[0] ** 2 + error[1] ** 2 + error[2] ** 2)
    if free == 4:
        error[3:6] = 0.0
        jacobian[3:6, :] = 0.0
        return position, 0.0
    if free < 3:
        ax, ay, az = (r00, r10, r20) if free == 0 else (r01, r11, r21) if free == 1 else (r02, r12, r22)
        return position, _swing_error((ax, ay, az), target[:, free], error, jacobian)
    return position, _rotation_error((r00, r01, r02, r10, r11, r12, r20, r21, r22), target, error)


@njit(cache=True)
def _fill_jacobian(
    origin: np.ndarray, spin: np.ndarray, tool: tuple[float, float, float], jacobian: np.ndarray
) -> None:
    """Write the geometric Jacobian of the tool's position for joints at origin [3, D] with axes spin [3, D]."""
    for j in range(jacobian.shape[1]):
        u, v, w = tool[0] - origin[0, j], tool[1] - origin[1, j], tool[2] - origin[2, j]
        jacobian[0, j] = spin[1, j] * w - spin[2, j] * v
        jacobian[1, j] = spin[2, j] * u - spin[0, j] * w
        jacobian[2, j] = spin[0, j] * v - spin[1, j] * u
        jacobian[3, j], jacobian[4, j], jacobian[5, j] = spin[0, j], spin[1, j], spin[2, j]


@njit(cache=True)
def _swing_error(
    axis: tuple[float, float, float], wanted: np.ndarray, error: np.ndarray, jacobian: np.ndarray
) -> float:
    """Write the shortest rotation vector from a unit axis to another into error[3:6]; returns its angle, rad.

    Rotation about the axis itself does not count, so that part is taken out of the Jacobian.
    """
    for j in range(jacobian.shape[1]):
        along = axis[0] * jacobian[3, j] + axis[1] * jacobian[4, j] + axis[2] * jacobian[5, j]
        for k in range(3):
            jacobian[3 + k, j] -= along * axis[k]
    x = axis[1] * wanted[2] - axis[2] * wanted[1]
    y = axis[2] * wanted[0] - axis[0] * wanted[2]
    z = axis[0] * wanted[1] - axis[1] * wanted[0]
    sine = np.sqrt(x * x + y * y + z * z)
    angle = np.arctan2(sine, axis[0] * wanted[0] + axis[1] * wanted[1] + axis[2] * wanted[2])
    scale = angle / sine if sine > 1e-12 else 1.0
    error[3], error[4], error[5] = scale * x, scale * y, scale * z
    return angle


@njit(cache=True)
def _rotation_error(r: tuple, target: np.ndarray, error: np.ndarray) -> float:
    """Write the rotation vector of R_target R^T into error[3:6]; returns its angle, rad.

    Half the antisymmetric part is axis times sine, and the trace gives the cosine.
    """
    t = target
    d00 = t[0, 0] * r[0] + t[0, 1] * r[1] + t[0, 2] * r[2]
    d01 = t[0, 0] * r[3] + t[0, 1] * r[4] + t[0, 2] * r[5]
    d02 = t[0, 0] * r[6] + t[0, 1] * r[7] + t[0, 2] * r[8]
    d10 = t[1, 0] * r[0] + t[1, 1] * r[1] + t[1, 2] * r[2]
    d11 = t[1, 0] * r[3] + t[1, 1] * r[4] + t[1, 2] * r[5]
    d12 = t[1, 0] * r[6] + t[1, 1] * r[7] + t[1, 2] * r[8]
    d20 = t[2, 0] * r[0] + t[2, 1] * r[1] + t[2, 2] * r[2]
    d21 = t[2, 0] * r[3] + t[2, 1] * r[4] + t[2, 2] * r[5]
    d22 = t[2, 0] * r[6] + t[2, 1] * r[7] + t[2, 2] * r[8]
    x, y, z = 0.5 * (d21 - d12), 0.5 * (d02 - d20), 0.5 * (d10 - d01)
    sine = np.sqrt(x * x + y * y + z * z)
    angle = np.arctan2(sine, 0.5 * (d00 + d11 + d22 - 1.0))
    scale = angle / sine if sine > 1e-9 else 1.0
    error[3], error[4], error[5] = scale * x, scale * y, scale * z
    return angle


@njit(cache=True)
def _damped_step(
    jacobian: np.ndarray,
    error: np.ndarray,
    damping: float,
    q: np.ndarray,
    limits: np.ndarray,
    normal: np.ndarray,
    step: np.ndarray,
) -> None:
    """Solve (J^T J + damping I) step = J^T error, joints that press against a limit left out."""
    dof = len(q)
    for i in range(dof):
        step[i] = 0.0
        for k in range(6):
            step[i] += jacobian[k, i] * error[k]
        if (q[i] >= limits[1, i] and step[i] > 0) or (q[i] <= limits[0, i] and step[i] < 0):
            step[i] = 0.0
            jacobian[:, i] = 0.0
    for i in range(dof):
        for j in range(i + 1):
            normal[i, j] = damping if i == j else 0.0
            for k in range(6):
                normal[i, j] += jacobian[k, i] * jacobian[k, j]
    solve_cholesky(normal, step)
