"""Arms: models, inverse kinematics, and the limiter that every command passes.

Names are imported when they are first asked for, so that `armflow.robot.errors` does not cost a second.
"""

from typing import TYPE_CHECKING

from armflow.robot.lazy import lazy_names

if TYPE_CHECKING:
    from armflow.robot.arm import Arm
    from armflow.robot.capsules import Capsules
    from armflow.robot.chunk import ActionChunk
    from armflow.robot.embodiments import ARMS, arm_names, load_arm
    from armflow.robot.ik import IKResult, solve_ik, solve_ik_batch
    from armflow.robot.limiter import LimitedChunk, LimitedCommand, Limiter
    from armflow.robot.model import Gripper, RobotModel
    from armflow.robot.watchdog import Watchdog

_HOMES = {
    "arm": ("Arm",),
    "capsules": ("Capsules",),
    "chunk": ("ActionChunk",),
    "embodiments": ("ARMS", "arm_names", "load_arm"),
    "ik": ("IKResult", "solve_ik", "solve_ik_batch"),
    "limiter": ("LimitedChunk", "LimitedCommand", "Limiter"),
    "model": ("Gripper", "RobotModel"),
    "watchdog": ("Watchdog",),
}

__all__ = [
    "ARMS",
    "ActionChunk",
    "Arm",
    "Capsules",
    "Gripper",
    "IKResult",
    "LimitedChunk",
    "LimitedCommand",
    "Limiter",
    "RobotModel",
    "Watchdog",
    "arm_names",
    "load_arm",
    "solve_ik",
    "solve_ik_batch",
]

__getattr__ = lazy_names(__name__, _HOMES)
