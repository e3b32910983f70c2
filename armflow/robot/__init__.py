"""Arms: models, inverse kinematics, and the limiter that every command passes."""

from armflow.robot.arm import Arm
from armflow.robot.capsules import Capsules
from armflow.robot.chunk import ActionChunk
from armflow.robot.embodiments import ARMS, arm_names, load_arm
from armflow.robot.ik import IKResult, solve_ik, solve_ik_batch
from armflow.robot.limiter import LimitedChunk, LimitedCommand, Limiter
from armflow.robot.model import Gripper, RobotModel
from armflow.robot.watchdog import Watchdog

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
