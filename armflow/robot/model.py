"""`RobotModel`: one arm with its limits, chain, gripper and collision capsules; pinocchio is the reference."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.capsules import Capsules, capsule_ends
from armflow.robot.errors import RobotError
from armflow.robot.kinematics import chain_frames, chain_jacobian, chain_tool, turn_axes_to_z

if TYPE_CHECKING:
    from armflow.robot.pinocchio_arm import PinocchioArm

__all__ = ["Gripper", "RobotModel"]


@dataclass(frozen=True, slots=True)
class Gripper:
    """A parallel gripper, measured in the tool frame: z out of the hand, y the closing direction.

    Attributes:
        joints: Names of the finger joints in the composed URDF.
        open: [F] their positions when open, m.
        closed: [F] when closed, m.
        max_width: Opening between the pads, m.
        tip: How far the fingertips reach past the tool origin along z, m.
        finger_depth: Depth between the fingers, from the front of the palm to the fingertips, m.
        finger_thickness: Extent of one finger along y, m.
        pad_width: Extent of a finger along x, m.
        pad_height: Extent along z, about the tool origin, that both pads hold, m.
    """

    joints: tuple[str, ...]
    open: np.ndarray
    closed: np.ndarray
    max_width: float
    tip: float
    finger_depth: float
    finger_thickness: float
    pad_width: float
    pad_height: float

    def positions(self, opening: float) -> np.ndarray:
        """Finger joint positions [F], m, at an opening from 0 (closed) to 1 (open)."""
        return self.closed + np.clip(opening, 0.0, 1.0) * (self.open - self.closed)


@dataclass(frozen=True)
class RobotModel:
    """One arm of D revolute joints with a gripper; world is its base frame, z up, the table top at z = 0.

    Attributes:
        name: Name of the embodiment.
        joint_names: D names, base to tool.
        q_min: [D] lower position limits, rad.
        q_max: [D] upper position limits, rad.
        v_max: [D] velocity limits, rad/s.
        a_max: [D] acceleration limits, rad/s^2.
        home: [D] rest position, rad.
        placements: [D + 1, 4, 4] fixed transforms of the chain, as `robot.kinematics` takes them, m.
        axes: [D, 3] unit joint axes.
        gripper: The hand.
        capsules: Collision capsules, fingers fully open.
        self_pairs: [P, 2] indices of capsules that can hit each other and must be checked.
        workspace: [2, 3] lowest and highest tool position allowed, m.
        bench_center: [2] centre of the table region where tasks put objects for this arm, m.
        bench_half: [2] half its extent, m.
        urdf_file: The composed URDF.
        tool_link: Name of the tool's link there.
    """

    name: str
    joint_names: tuple[str, ...]
    q_min: np.ndarray
    q_max: np.ndarray
    v_max: np.ndarray
    a_max: np.ndarray
    home: np.ndarray
    placements: np.ndarray
    axes: np.ndarray
    gripper: Gripper
    capsules: Capsules
    self_pairs: np.ndarray
    workspace: np.ndarray
    bench_center: np.ndarray
    bench_half: np.ndarray
    urdf_file: Path
    tool_link: str

    def __post_init__(self) -> None:
        """Check shapes and that the limits are complete.

        Raises:
            ShapeError: An array has the wrong shape or is not finite.
            RobotError: A limit is empty or not positive, or home lies outside.
        """
        sizes = {"D": len(self.joint_names), "P": len(self.self_pairs)}
        for name in ("q_min", "q_max", "v_max", "a_max", "home"):
            check_shape(name, getattr(self, name), "D", sizes)
            check_finite(name, getattr(self, name))
        check_shape("axes", self.axes, "D 3", sizes)
        check_shape("self_pairs", self.self_pairs, "P 2", sizes)
        check_shape("workspace", self.workspace, "2 3")
        for index, joint in enumerate(self.joint_names):
            self._check_joint(index, joint)
        if not (self.workspace[0] < self.workspace[1]).all():
            raise RobotError(f"robot {self.name}: workspace low {self.workspace[0]} is not below {self.workspace[1]}")

    def _check_joint(self, index: int, joint: str) -> None:
        low, high = self.q_min[index], self.q_max[index]
        if not low < high:
            raise RobotError(f"robot {self.name}: joint '{joint}': position limits are missing ({low} to {high} rad)")
        for field, unit in (("v_max", "rad/s"), ("a_max", "rad/s^2")):
            value = getattr(self, field)[index]
            if value <= 0:
                raise RobotError(f"robot {self.name}: joint '{joint}': {field} is missing ({value} {unit})")
        if not low <= self.home[index] <= high:
            raise RobotError(
                f"robot {self.name}: joint '{joint}': home {self.home[index]} rad is outside {low} to {high}"
            )

    @property
    def dof(self) -> int:
        """Number of arm joints D."""
        return len(self.joint_names)

    @property
    def finger_joints(self) -> tuple[str, ...]:
        """Names of the finger joints."""
        return self.gripper.joints

    def urdf_path(self) -> Path:
        """The complete URDF file, arm and gripper, with absolute mesh paths."""
        return self.urdf_file

    def frames(self, q: np.ndarray) -> np.ndarray:
        """Frames [D + 1, 4, 4] of the links and, last, the tool at q [D] rad, m."""
        return chain_frames(self.placements, self.axes, q)

    def tool(self, q: np.ndarray) -> RigidTransform:
        """Pose of the tool T_world_tool at q [D] rad."""
        return RigidTransform.from_matrix(chain_tool(self.placements, self.axes, q))

    def jacobian(self, q: np.ndarray) -> np.ndarray:
        """Geometric Jacobian [6, D] of the tool at q [D] rad: linear (m/rad) over angular, along world axes."""
        return chain_jacobian(self.placements, self.axes, q)[1]

    def capsules_at(self, opening: float) -> Capsules:
        """Capsules with the fingers at an opening from 0 (closed) to 1 (open)."""
        return self.capsules.closed_by((1.0 - float(np.clip(opening, 0, 1))) * self.gripper.max_width / 2)

    def capsule_ends(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both ends of all capsules, [C, 3] each, in the world at q [D] rad, m, fingers open."""
        return capsule_ends(self.frames(q), self.capsules.frame, self.capsules.a, self.capsules.b)

    @cached_property
    def z_placements(self) -> np.ndarray:
        """The chain [D + 1, 4, 4] written with all axes along z, m."""
        return turn_axes_to_z(self.placements, self.axes)

    @cached_property
    def pinocchio(self) -> "PinocchioArm":
        """The same arm in pinocchio, the readable reference for the kinematics; imported here, as it loads slowly."""
        from armflow.robot.pinocchio_arm import PinocchioArm

        return PinocchioArm.from_urdf(self.urdf_file.read_text(), self.joint_names, {}, self.tool_link)
