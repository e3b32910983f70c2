"""Tool velocities turned into joint motion with the hand pointing down, for controllers and environments alike."""

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.chunk import ActionChunk
from armflow.robot.kinematics import chain_jacobian
from armflow.robot.model import RobotModel

__all__ = ["CONTROL_STEPS", "CONTROL_STEP_SECONDS", "TOOL_SPEED", "tool_chunk", "tool_motion"]

TOOL_SPEED = 0.3  # m/s along each world axis at an action of 1
CONTROL_STEP_SECONDS = 0.0625  # s, one row of a chunk
CONTROL_STEPS = 2  # rows that one action lasts: 8 Hz
UPRIGHT = 5.0  # 1/s, how fast a tilted hand is put right
POSTURE = 1.0  # 1/s, how fast the joints drift to their rest position where the tool does not mind
DAMPING = 0.005  # keeps joints slow near singularities, m and rad alike
DOWN = np.diag([1.0, -1.0, -1.0])  # the tool's z down, its fingers closing along the world's y


def tool_motion(arm: RobotModel, q: np.ndarray, velocity: np.ndarray, steps: int, dt: float) -> np.ndarray:
    """Find where the joints go while the tool moves straight on and the hand points down.

    Each step is dq = J+ dx + (I - J+ J) dq_0 with the damped inverse J+ = J^T (J J^T + lambda^2 I)^-1, where dx holds
    the tool's path and what is left to turn, and dq_0 leads to the rest position: a long play then does not wander
    through the redundant arm's self-motions. Steps are shortened so that no joint exceeds its speed limit.

    Args:
        arm: The arm.
        q: [D] measured joint positions, rad.
        velocity: [3] of the tool along world axes, m/s.
        steps: How many steps.
        dt: Length of each, s.

    Returns:
        [steps, D] joint targets, rad, within the joint limits.

    Reference:
        Nakamura and Hanafusa (1986), doi:10.1115/1.3143764; Liegeois (1977), doi:10.1109/TSMC.1977.4309644, eq. 12.
    """
    rows, at = np.empty((steps, arm.dof)), np.asarray(q, float)
    for k in range(steps):
        tool, J = chain_jacobian(arm.placements, arm.axes, at)
        dx = dt * np.concatenate([velocity, UPRIGHT * _turn_left(tool[:3, :3])])
        rest = POSTURE * dt * (arm.home - at)
        dq = rest + J.T @ np.linalg.solve(J @ J.T + DAMPING**2 * np.eye(6), dx - J @ rest)
        at = at + dq / max(1.0, float((np.abs(dq) / (arm.v_max * dt)).max()))
        rows[k] = at = np.clip(at, arm.q_min, arm.q_max)
    return rows


def _turn_left(rotation: np.ndarray) -> np.ndarray:
    """Axis times sine of the angle that turns a hand [3, 3] to `DOWN`: half the antisymmetric part of the way, [3]."""
    way = DOWN @ rotation.T
    return 0.5 * np.array([way[2, 1] - way[1, 2], way[0, 2] - way[2, 0], way[1, 0] - way[0, 1]])


def tool_chunk(arm: RobotModel, q: np.ndarray, action: np.ndarray, stamp: float) -> ActionChunk:
    """Turn one action of `armflow/PlayTable-v0` into the chunk that carries it out.

    Args:
        arm: The arm.
        q: [D] measured joint positions, rad.
        action: [4] tool velocity along world x, y, z as a share of `TOOL_SPEED` and the gripper (-1 closed, 1 open);
            each is clipped to -1 .. 1.
        stamp: Time of the measurement, s.

    Returns:
        `CONTROL_STEPS` rows of `CONTROL_STEP_SECONDS`.

    Raises:
        ShapeError: q is not [D] or the action not [4], or a number is not finite.
    """
    check_shape("q", q, "D", {"D": arm.dof})
    check_shape("action", action, "A", {"A": 4})
    check_finite("q", q)
    check_finite("action", action)
    x, y, z, grip = np.clip(np.asarray(action, float), -1.0, 1.0)
    rows = tool_motion(arm, q, TOOL_SPEED * np.array([x, y, z]), CONTROL_STEPS, CONTROL_STEP_SECONDS)
    return ActionChunk(rows, np.full(CONTROL_STEPS, 0.5 * (grip + 1.0)), CONTROL_STEP_SECONDS, stamp)
