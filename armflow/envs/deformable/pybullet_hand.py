"""The hand in Bullet: two fingers on a body that a stiff constraint draws along, as `hand` has it in MuJoCo."""

import numpy as np
import pybullet
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.envs.deformable.hand import FORCE, FRICTION, MASS, PAD_DEPTH
from armflow.robot.model import Gripper

__all__ = ["BulletHand"]

PULL = 60.0  # N, most that the constraint draws with: a hand that presses on a rope gives way


class BulletHand:
    """Where the hand shall be, and where it is.

    Attributes:
        width: Opening between the pads at 1, m.
    """

    def __init__(self, gripper: Gripper, touched: float, client: int) -> None:
        """Make the hand; `touched` is the friction of what it grasps, since Bullet multiplies those of a pair."""
        self.width, self._client = gripper.max_width, client
        thick, wide = gripper.finger_thickness / 2, gripper.pad_width / 2
        box = [wide, thick, PAD_DEPTH / 2]
        pads = [
            pybullet.createCollisionShape(
                pybullet.GEOM_BOX,
                halfExtents=box,
                collisionFramePosition=[0.0, sign * thick, gripper.tip - PAD_DEPTH / 2],
                physicsClientId=client,
            )
            for sign in (1, -1)
        ]
        still = [[0.0, 0.0, 0.0]] * 2
        self._body = pybullet.createMultiBody(
            MASS,
            -1,
            -1,
            [0.0, 0.0, 1.0],
            linkMasses=[0.03, 0.03],
            linkCollisionShapeIndices=pads,
            linkVisualShapeIndices=[-1, -1],
            linkPositions=still,
            linkOrientations=[[0.0, 0.0, 0.0, 1.0]] * 2,
            linkInertialFramePositions=[[0.0, 0.0, gripper.tip - PAD_DEPTH / 2]] * 2,
            linkInertialFrameOrientations=[[0.0, 0.0, 0.0, 1.0]] * 2,
            linkParentIndices=[0, 0],
            linkJointTypes=[pybullet.JOINT_PRISMATIC] * 2,
            linkJointAxis=[[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]],
            physicsClientId=client,
        )
        pybullet.changeDynamics(self._body, -1, localInertiaDiagonal=[2e-3] * 3, physicsClientId=client)
        for finger in (0, 1):
            pybullet.changeDynamics(self._body, finger, lateralFriction=FRICTION / touched, physicsClientId=client)
        none = [0.0, 0.0, 0.0]
        self._weld = pybullet.createConstraint(
            self._body, -1, -1, -1, pybullet.JOINT_FIXED, none, none, [0.0, 0.0, 1.0], physicsClientId=client
        )

    def put(self, T_world_tool: RigidTransform, opening: float) -> None:
        """Place the hand at once, at rest."""
        place, turn = T_world_tool.as_components()
        pybullet.resetBasePositionAndOrientation(
            self._body, place.tolist(), turn.as_quat().tolist(), physicsClientId=self._client
        )
        for finger in (0, 1):
            pybullet.resetJointState(self._body, finger, opening * self.width / 2, physicsClientId=self._client)
        self.aim(T_world_tool, opening)

    def aim(self, T_world_tool: RigidTransform, opening: float) -> None:
        """Let the constraint draw the hand to a pose, and the motors the fingers to an opening, 0 to 1."""
        place, turn = T_world_tool.as_components()
        pybullet.changeConstraint(
            self._weld, place.tolist(), turn.as_quat().tolist(), maxForce=PULL, physicsClientId=self._client
        )
        goal = float(np.clip(opening, 0.0, 1.0)) * self.width / 2
        pybullet.setJointMotorControlArray(
            self._body,
            [0, 1],
            pybullet.POSITION_CONTROL,
            targetPositions=[goal, goal],
            forces=[FORCE, FORCE],
            positionGains=[0.3, 0.3],
            physicsClientId=self._client,
        )

    def opening(self) -> float:
        """Measured opening, 0 closed to 1 open."""
        states = pybullet.getJointStates(self._body, [0, 1], physicsClientId=self._client)
        return float(np.clip(sum(state[0] for state in states) / self.width, 0.0, 1.0))

    def pose7(self) -> np.ndarray:
        """Where the hand is [7]: m, quaternion wxyz."""
        place, turn = pybullet.getBasePositionAndOrientation(self._body, physicsClientId=self._client)
        return np.concatenate([place, Rotation.from_quat(turn).as_quat(scalar_first=True)])
