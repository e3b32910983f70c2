"""Small tool motions turned into joint motions, for environments controlled by pose."""

import numpy as np

from armflow.envs.world import CONTROL_PERIOD
from armflow.robot.model import RobotModel

__all__ = ["LINEAR_SPEED", "SPIN", "pose_step"]

LINEAR_SPEED = 0.25  # m/s at an action of 1
SPIN = 1.0  # rad/s at an action of 1
DAMPING = 0.05  # keeps joints slow near singularities, m and rad alike


def pose_step(arm: RobotModel, q: np.ndarray, action: np.ndarray, period: float = CONTROL_PERIOD) -> np.ndarray:
    """Find where the joints go for one control step of tool motion.

    dq = J^T (J J^T + lambda^2 I)^-1 dx, shortened so that no joint exceeds its speed limit.

    Args:
        arm: The arm.
        q: [D] joint positions, rad.
        action: [6] velocity along world axes and spin about them, shares of `LINEAR_SPEED` and `SPIN`.
        period: How long the step is, s.

    Returns:
        [D] joint target, rad.

    Reference:
        Nakamura and Hanafusa (1986), doi:10.1115/1.3143764; Wampler (1986), doi:10.1109/TSMC.1986.289285.
    """
    J = arm.jacobian(q)
    dx = action * np.repeat([LINEAR_SPEED, SPIN], 3) * period
    dq = J.T @ np.linalg.solve(J @ J.T + DAMPING**2 * np.eye(6), dx)
    excess = float((np.abs(dq) / (arm.v_max * period)).max())
    return q + dq / max(1.0, excess)
