"""`BulletRope`: the rope in a second simulator, to see what dynamics learned in the first are worth in another.

Bullet at 960 Hz: a chain of capsules with spherical joints in reduced coordinates. A spring's torque on a segment of a
gram would need a far shorter step, so each joint has a motor that draws it straight within the step, at most with the
torque that the spring would have: k |theta|, k = EI / length. Contact, friction and damping are Bullet's own, segments
pass through each other, and nothing is tuned to look like MuJoCo. It takes the place of a `SoftWorld` for a free hand.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pybullet
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.envs.deformable.pybullet_hand import BulletHand
from armflow.envs.deformable.rope import Cord, tube, tube_faces
from armflow.envs.deformable.tracks import TrackPoints
from armflow.envs.deformable.world import FRAME_RATE, SETTLE_SECONDS
from armflow.envs.world import Physics
from armflow.robot.model import RobotModel

__all__ = ["BulletRope"]

RATE = 960  # Hz
SEGMENTS = 12  # half of MuJoCo's: Bullet's time grows faster than the chain
ITERATIONS = 40  # of the contact solver
DRAW = 0.1  # share of its bend that a joint makes up in one step, if its torque allows
LEAST_TORQUE = 1e-6  # N m
BOUND = 0.6  # m, how far the rope may be from where it was laid


class BulletRope:
    """One rope on a table, and a hand without an arm.

    Attributes:
        arm: Whose hand it is.
        physics: Its clock.
        faces: [F, 3] triangles of `vertices`.
        material: As in `SoftBody`.
        hand: Pose and opening.
        poisoned: Why the simulation can no longer be trusted; None while it can.
    """

    def __init__(self, arm: RobotModel) -> None:
        """Start a Bullet of its own; `load` makes a scene."""
        self.arm = arm
        self.physics = Physics(period=1 / FRAME_RATE, substeps=RATE // FRAME_RATE)
        self._client = pybullet.connect(pybullet.DIRECT)
        self.poisoned: str | None = None

    def close(self) -> None:
        """End this Bullet."""
        pybullet.disconnect(self._client)

    def load(self, cord: Cord) -> None:
        """Start a scene: the rope at rest on the table, the hand open and out of the way."""
        self._cord = cord = _coarser(cord)
        self.faces, self.material, self.poisoned = tube_faces(SEGMENTS), cord.material, None
        client = {"physicsClientId": self._client}
        pybullet.resetSimulation(**client)
        pybullet.setGravity(0, 0, -self.physics.gravity, **client)
        pybullet.setPhysicsEngineParameter(fixedTimeStep=1 / RATE, numSolverIterations=ITERATIONS, **client)
        table = pybullet.createMultiBody(0, pybullet.createCollisionShape(pybullet.GEOM_PLANE, **client), **client)
        pybullet.changeDynamics(table, -1, lateralFriction=1.0, **client)  # Bullet multiplies: the rope's decides
        self._rope = _make_rope(cord, self._client)
        self._joints = list(range(pybullet.getNumJoints(self._rope, **client)))
        self.hand = BulletHand(self.arm.gripper, cord.friction, self._client)
        away = RigidTransform.from_components([0.4, 0.0, 0.4], Rotation.from_euler("x", np.pi))
        self.place_hand(away, 1.0)
        for _ in range(round(SETTLE_SECONDS * FRAME_RATE)):
            self.draw_hand([away] * self.physics.substeps, np.ones(self.physics.substeps))

    def place_hand(self, T_world_tool: RigidTransform, opening: float) -> None:
        """Put the hand somewhere at once, at rest."""
        self.hand.put(T_world_tool, opening)

    def draw_hand(self, tools: Sequence[RigidTransform], openings: np.ndarray) -> None:
        """Run one control step with the hand drawn along poses of the tool and openings, one of each a substep."""
        for tool, opening in zip(tools, openings, strict=True):
            self.hand.aim(tool, float(opening))
            self._bend()
            pybullet.stepSimulation(physicsClientId=self._client)
        points = self.vertices()
        far = np.abs(points[:, :2] - self._cord.curve[:, :2].mean(axis=0)).max(), points[:, 2].max()
        if self.poisoned is None and not max(far) < BOUND:
            self.poisoned = f"the simulation has broken down: the rope is {max(far):.1f} m from where it was laid"

    def _bend(self) -> None:
        """Set what each joint's motor may do: at most k |theta|."""
        client = {"physicsClientId": self._client}
        states = pybullet.getJointStatesMultiDof(self._rope, self._joints, **client)
        turns = np.array([state[0] for state in states])
        angles = 2.0 * turns[:, :3] * np.sign(turns[:, 3:])  # small turns
        torques = self._cord.bending / self._cord.step * np.abs(angles) + LEAST_TORQUE
        count = len(self._joints)
        pybullet.setJointMotorControlMultiDofArray(
            self._rope,
            self._joints,
            pybullet.POSITION_CONTROL,
            targetPositions=[[0.0, 0.0, 0.0, 1.0]] * count,
            targetVelocities=[[0.0, 0.0, 0.0]] * count,
            forces=torques.tolist(),
            positionGains=[DRAW] * count,
            velocityGains=[1.0] * count,
            **client,
        )

    def vertices(self) -> np.ndarray:
        """Surface of the rope [V, 3], m."""
        states = pybullet.getLinkStates(self._rope, self._joints, physicsClientId=self._client)
        root = pybullet.getBasePositionAndOrientation(self._rope, physicsClientId=self._client)
        turns = Rotation.from_quat([root[1], *(state[5] for state in states)]).as_matrix()
        middles = np.array([root[0], *(state[0] for state in states)])
        return tube(middles - 0.5 * self._cord.step * turns[:, :, 0], turns, self._cord.step, self._cord.radius)

    def particles(self, points: TrackPoints) -> np.ndarray:
        """Where material points [n, 3] are, m."""
        return points.at(self.vertices())


def _coarser(cord: Cord) -> Cord:
    """The same rope in fewer segments."""
    share = len(cord.curve) // SEGMENTS
    heading = cord.curve[:, 2].reshape(SEGMENTS, share).mean(axis=1)
    return replace(cord, step=share * cord.step, curve=np.column_stack([cord.curve[::share, :2], heading]))


def _make_rope(cord: Cord, client: int) -> int:
    """Chain of capsules; each link's frame is where it starts, x along it, its mass in the middle."""
    count, step = len(cord.curve), cord.step
    along = Rotation.from_euler("y", np.pi / 2).as_quat().tolist()  # Bullet's capsules lie along z
    middle = [step / 2, 0.0, 0.0]
    shape = pybullet.createCollisionShape(
        pybullet.GEOM_CAPSULE,
        radius=cord.radius,
        height=step,
        collisionFramePosition=[0.0, 0.0, 0.0],
        collisionFrameOrientation=along,
        physicsClientId=client,
    )
    link = pybullet.createCollisionShape(
        pybullet.GEOM_CAPSULE,
        radius=cord.radius,
        height=step,
        collisionFramePosition=middle,
        collisionFrameOrientation=along,
        physicsClientId=client,
    )
    mass = cord.density * np.pi * cord.radius**2 * step
    heading = float(cord.curve[0, 2])
    place = [*(cord.curve[0, :2] + 0.5 * step * np.array([np.cos(heading), np.sin(heading)])), cord.radius + 0.001]
    rest = count - 1
    joint = [[step / 2 if k == 0 else step, 0.0, 0.0] for k in range(rest)]
    rope = pybullet.createMultiBody(
        mass,
        shape,
        -1,
        place,
        Rotation.from_euler("z", heading).as_quat().tolist(),
        linkMasses=[mass] * rest,
        linkCollisionShapeIndices=[link] * rest,
        linkVisualShapeIndices=[-1] * rest,
        linkPositions=joint,
        linkOrientations=[[0.0, 0.0, 0.0, 1.0]] * rest,
        linkInertialFramePositions=[middle] * rest,
        linkInertialFrameOrientations=[[0.0, 0.0, 0.0, 1.0]] * rest,
        linkParentIndices=list(range(rest)),
        linkJointTypes=[pybullet.JOINT_SPHERICAL] * rest,
        linkJointAxis=[[0.0, 0.0, 1.0]] * rest,
        physicsClientId=client,
    )
    facts = {"lateralFriction": cord.friction, "linearDamping": 0.0, "angularDamping": 0.0, "physicsClientId": client}
    turns = Rotation.from_euler("z", np.diff(cord.curve[:, 2])[:, None]).as_quat().tolist()
    for k in range(-1, rest):
        pybullet.changeDynamics(rope, k, **facts)
        if k >= 0:
            pybullet.resetJointStateMultiDof(rope, k, turns[k], [0.0, 0.0, 0.0], physicsClientId=client)
    return rope
