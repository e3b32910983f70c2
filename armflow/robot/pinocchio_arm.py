"""The arm in pinocchio: reads the chain out of a URDF, and is the reference for the compiled kinematics."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pinocchio as pin

from armflow.robot.errors import RobotError

__all__ = ["PinocchioArm"]


@dataclass(frozen=True, slots=True)
class PinocchioArm:
    """A serial chain of revolute joints; every other joint of the URDF is locked.

    Attributes:
        model: The reduced pinocchio model, its joints in chain order.
        tool: Index of the tool frame.
    """

    model: pin.Model
    tool: int

    @classmethod
    def from_urdf(
        cls, urdf: str, joints: tuple[str, ...], locked: Mapping[str, float], tool_link: str
    ) -> "PinocchioArm":
        """Read a URDF.

        Args:
            urdf: Text of the URDF.
            joints: Names of the arm's joints, base to tool.
            locked: Positions of other joints, m or rad; those not named are locked at 0.
            tool_link: Name of the tool's link.

        Raises:
            RobotError: The URDF is invalid, a joint is missing or not revolute, or the joints are no chain so ordered.
        """
        try:
            full = pin.buildModelFromXML(urdf)
        except ValueError as error:
            raise RobotError(f"the URDF is invalid: {error}") from error
        q = pin.neutral(full)
        for name, position in locked.items():
            q[full.joints[full.getJointId(name)].idx_q] = position
        missing = [name for name in joints if not full.existJointName(name)]
        if missing:
            raise RobotError(f"joint '{missing[0]}' does not move in this URDF")
        fixed = [index for index in range(1, full.njoints) if full.names[index] not in joints]
        model = pin.buildReducedModel(full, fixed, q)
        if tuple(model.names[1:]) != joints or list(model.parents[1:]) != list(range(len(joints))):
            raise RobotError(f"joints {', '.join(joints)} are no chain; the URDF has {', '.join(model.names[1:])}")
        for joint, name in zip(model.joints[1:], joints, strict=True):
            if joint.nq != 1 or not joint.shortname().startswith("JointModelR"):
                raise RobotError(f"joint '{name}' is {joint.shortname()}; only revolute arm joints are supported")
        return cls(model, model.getFrameId(tool_link))

    @property
    def placements(self) -> np.ndarray:
        """[D + 1, 4, 4] fixed transforms before each joint and from the last joint to the tool, m."""
        fixed = [placement.homogeneous for placement in self.model.jointPlacements[1:]]
        return np.stack([*fixed, self.model.frames[self.tool].placement.homogeneous])

    @property
    def axes(self) -> np.ndarray:
        """[D, 3] unit joint axes, each in its joint's frame."""
        return np.stack([_axis(joint) for joint in self.model.joints[1:]])

    def link_frame(self, link: str) -> tuple[int, np.ndarray]:
        """Index of the chain joint that carries a link (-1 is the base) and T_joint_link [4, 4], m."""
        frame = self.model.frames[self.model.getFrameId(link, pin.FrameType.BODY)]
        return frame.parentJoint - 1, frame.placement.homogeneous

    def tool_pose(self, q: np.ndarray) -> np.ndarray:
        """T_base_tool [4, 4] at q [D] rad, m."""
        data = self.model.createData()
        pin.framesForwardKinematics(self.model, data, q)
        return data.oMf[self.tool].homogeneous

    def jacobian(self, q: np.ndarray) -> np.ndarray:
        """Geometric Jacobian [6, D] of the tool, linear over angular, along base axes."""
        data = self.model.createData()
        frame = pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        return pin.computeFrameJacobian(self.model, data, q, self.tool, frame)


def _axis(joint: pin.JointModel) -> np.ndarray:
    data = joint.createData()
    joint.calc(data, np.zeros(1))
    axis = np.asarray(data.S).reshape(6)[3:]
    return axis / np.linalg.norm(axis)
