"""`World`: one pybullet client with a floor, a table, an arm and the bodies of an episode."""

import math
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.envs.body_urdf import body_urdf
from armflow.envs.physics_urdf import physics_urdf
from armflow.envs.shapes import BodySpec, Part, place, table
from armflow.envs.silence import silent_stderr, silent_stdout
from armflow.robot.errors import ChoiceError, ShapeError
from armflow.robot.model import RobotModel

with silent_stderr():  # it says hello
    import pybullet

__all__ = ["BENCH_PHYSICS", "CONTROL_PERIOD", "SUBSTEPS", "Physics", "Saved", "World"]

CONTROL_PERIOD = 0.04  # s, one control step
SUBSTEPS = 20  # physics steps in it, 2 ms each
SOLVER_ITERATIONS = 50  # at most; fewer once the velocities change by less than the root of the residual below
SOLVER_RESIDUAL = 1e-5  # m2/s2
FINGER_FORCE = 20.0  # N, at each finger; thin things turn a little in a firmer grip, as the solver stops early
FINGER_RATE = 1.6  # largest speed of the gripper, openings per second
FINGER_FRICTION = 1.2
SPEED_BOUND = 100.0  # m/s; whatever is faster shows that the simulation has broken down
SPIN_BOUND = 1e4  # rad/s; small beads roll fast, so only the absurd counts
FLOOR_Z = -0.75


@dataclass(frozen=True, slots=True)
class Physics:
    """How time runs in a world, and how its joints follow their targets.

    Attributes:
        period: One control step, s.
        substeps: Physics steps in it.
        gravity: m/s2, downwards.
        table_friction: Sliding friction of the table; two bodies in contact multiply theirs.
        tool_friction: Sliding friction of the last link of an arm without fingers.
        gain: Share of its error that a joint makes up in one physics step, as a soft servo does; None for joints that
            run at the constant speed which reaches the target at the end of the period.
        torque: Largest torque of such a soft servo, Nm.
    """

    period: float = CONTROL_PERIOD
    substeps: int = SUBSTEPS
    gravity: float = 9.81
    table_friction: float = 0.6
    tool_friction: float = 0.6
    gain: float | None = None
    torque: float = 1200.0


BENCH_PHYSICS = Physics()


@dataclass(frozen=True, slots=True)
class Saved:
    """A state to come back to: Bullet's number of it, the bodies it holds, and the count of steps."""

    number: int
    bodies: tuple[int, ...]
    steps: int


class World:
    """The simulated bench; the arm's base is the world's origin and the table's top is z = 0.

    Poses, velocities and joint readings are those after the last `step` (or `add`, `restore`). One control step is one
    call into Bullet: joints run at the constant speed that reaches the target at its end, so a tracking error never
    outlives one step; where `physics` has a gain, they lag behind instead.

    Attributes:
        arm: The robot.
        physics: Its clock and its motors.
        specs: Every body by handle, table and floor included, in the order of adding.
        table: Handle of the table.
        steps: Control steps since `reset`.
        poisoned: Why the simulation can no longer be trusted; None while it can.
    """

    def __init__(self, arm: RobotModel, *, gui: bool = False, physics: Physics = BENCH_PHYSICS) -> None:
        """Start a client and load the arm; `gui` opens pybullet's window."""
        self.arm, self.physics = arm, physics
        self._gui = gui
        self.client = pybullet.connect(pybullet.GUI if gui else pybullet.DIRECT)
        memory = Path("/dev/shm")  # files there never touch a disk, which makes `add` ten times quicker
        self._files = Path(tempfile.mkdtemp(prefix="armflow-", dir=memory if os.access(memory, os.W_OK) else None))
        self._end = weakref.finalize(self, _shut_down, self.client, self._files)
        self._build()

    def close(self) -> None:
        """End the client, once; the world is of no use afterwards."""
        self._end()

    def _build(self) -> None:
        """Load table and arm into an empty simulation and remember that state."""
        c = {"physicsClientId": self.client}
        pybullet.resetSimulation(**c)
        pybullet.setGravity(0, 0, -self.physics.gravity, **c)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=self.physics.period,
            numSubSteps=self.physics.substeps,
            numSolverIterations=SOLVER_ITERATIONS,
            solverResidualThreshold=SOLVER_RESIDUAL,
            deterministicOverlappingPairs=1,
            enableFileCaching=0,
            **c,
        )
        self.specs: dict[int, BodySpec] = {}
        self._centers: dict[int, np.ndarray] = {}
        self._links: dict[int, dict[str, int]] = {}
        self._motion: dict[int, tuple] = {}
        self.poisoned: str | None = None
        self.steps = 0
        center = self.arm.bench_center
        floor = Part("box", (6.0, 6.0, 0.1), place(center[0], center[1], FLOOR_Z - 0.05), (0.55, 0.56, 0.58, 1.0))
        self.floor = self.add(BodySpec("floor", (floor,), friction=0.6), place())
        slab = replace(table(center, (1.3, 1.6, 0.04)), friction=self.physics.table_friction)
        self.table = self.add(slab, place())
        self._load_arm()
        self._set_joints(self.arm.home, 1.0)
        self._fixtures = tuple(self.specs)
        self._base = self.save()

    def _load_arm(self) -> None:
        c = {"physicsClientId": self.client}
        flags = pybullet.URDF_USE_INERTIA_FROM_FILE | pybullet.URDF_MERGE_FIXED_LINKS
        path = self._files / "arm.urdf"
        urdf = self.arm.urdf_path().read_text()
        path.write_text(physics_urdf(urdf, self.arm.gripper, self.arm.tool_link, visuals=self._gui))
        with silent_stdout():
            self.robot = pybullet.loadURDF(str(path), useFixedBase=True, flags=flags, **c)
        infos = [pybullet.getJointInfo(self.robot, j, **c) for j in range(pybullet.getNumJoints(self.robot, **c))]
        index = {info[1].decode(): info[0] for info in infos}
        names = (*self.arm.joint_names, *self.arm.gripper.joints)
        self._joints = [index[name] for name in names]
        self._forces = [infos[j][10] or 300.0 for j in self._joints]
        for number, joint in enumerate(self._joints[self.arm.dof :], self.arm.dof):
            self._forces[number] = FINGER_FORCE
            pybullet.changeDynamics(self.robot, joint, lateralFriction=FINGER_FRICTION, spinningFriction=0.003, **c)
        for joint in range(-1, len(infos)):
            pybullet.changeDynamics(self.robot, joint, linearDamping=0.0, angularDamping=0.0, jointDamping=0.0, **c)
        self._keep_honest(self.robot)
        for joint in (-1, self._joints[0]):  # the arm is bolted to the table
            pybullet.setCollisionFilterPair(self.robot, self.table, joint, -1, 0, **c)
        # Bullet turns a motor's force into an impulse with the whole period, yet grants that impulse to every substep.
        self._limits = [force / self.physics.substeps for force in self._forces]
        if self.arm.gripper.joints:
            self._couple_fingers()
        else:
            pybullet.changeDynamics(self.robot, self._joints[-1], lateralFriction=self.physics.tool_friction, **c)
        self._opened, self._closed = self.arm.gripper.open, self.arm.gripper.closed

    def _couple_fingers(self) -> None:
        """Gear the fingers together, as the hand's own mechanism does, so that what they hold stays centred."""
        c = {"physicsClientId": self.client}
        first, *others = self._joints[self.arm.dof :]
        for other in others:
            gear = pybullet.createConstraint(
                self.robot, first, self.robot, other, pybullet.JOINT_GEAR, [0, 1, 0], [0, 0, 0], [0, 0, 0], **c
            )
            pybullet.changeConstraint(gear, gearRatio=-1, erp=0.2, maxForce=1000.0 / self.physics.substeps, **c)

    def add(self, spec: BodySpec, T_world_body: RigidTransform) -> int:
        """Put a body into the world and return its handle."""
        c = {"physicsClientId": self.client}
        urdf, inertia = body_urdf(spec)
        path = self._files / "body.urdf"
        path.write_text(urdf)
        flags = pybullet.URDF_USE_INERTIA_FROM_FILE
        position, turn = T_world_body.translation, T_world_body.rotation.as_quat()
        handle = pybullet.loadURDF(str(path), position, turn, useFixedBase=spec.mass == 0, flags=flags, **c)
        self.specs[handle] = spec
        self._centers[handle] = inertia.center
        self._links[handle] = {link.name: number for number, link in enumerate(spec.links)}
        self._set_contact(handle, spec)
        if spec.mass > 0:
            self._motion[handle] = self._read_motion(handle)
        return handle

    def _set_contact(self, handle: int, spec: BodySpec) -> None:
        c = {"physicsClientId": self.client}
        stiff = {}
        if spec.contact_stiffness is not None:
            stiff = {"contactStiffness": spec.contact_stiffness, "contactDamping": spec.contact_damping or 0.0}
        for link in range(-1, len(spec.links)):
            pybullet.changeDynamics(
                handle,
                link,
                lateralFriction=spec.friction,
                rollingFriction=spec.rolling_friction,
                spinningFriction=spec.spinning_friction,
                restitution=spec.restitution,
                linearDamping=0.0,
                angularDamping=spec.angular_damping,
                **stiff,
                **c,
            )
        self._keep_honest(handle)
        for number, link in enumerate(spec.links):  # dry friction of the slide: a motor that wants to stand still
            speed, force = link.rest_speed, link.friction / self.physics.substeps
            pybullet.setJointMotorControl2(
                handle, number, pybullet.VELOCITY_CONTROL, targetVelocity=speed, force=force, **c
            )

    def _keep_honest(self, body: int) -> None:
        """Let a body neither fall asleep, which would make steps depend on the past, nor hide a speed above 100."""
        c = {"physicsClientId": self.client}
        awake = pybullet.ACTIVATION_STATE_DISABLE_SLEEPING
        pybullet.changeDynamics(body, -1, activationState=awake, maxJointVelocity=1e9, **c)

    def remove(self, handle: int) -> None:
        """Take a body out again.

        Raises:
            ChoiceError: No such body.
        """
        self._spec(handle)
        pybullet.removeBody(handle, physicsClientId=self.client)
        for table_ in (self.specs, self._centers, self._links, self._motion):
            table_.pop(handle, None)

    def _spec(self, handle: int) -> BodySpec:
        if handle not in self.specs:
            raise ChoiceError("body", handle, [f"{h} ({s.name})" for h, s in self.specs.items()])
        return self.specs[handle]

    def reset(self, q: np.ndarray | None = None, opening: float = 1.0) -> None:
        """Take all bodies of the episode out and put the arm back, still, at q [D] rad (home and open if None)."""
        if self.poisoned is not None:
            self._build()  # nothing computed from a broken state survives
        else:
            for handle in reversed([h for h in self.specs if h not in self._fixtures]):
                self.remove(handle)
            self.restore(self._base)
        if q is not None:
            self._set_joints(q, opening)

    def start_anew(self, q: np.ndarray, opening: float) -> None:
        """Load everything again with the arm at q [D] rad: what long contact leaves in the solver outlives `reset`."""
        self._build()
        self._set_joints(q, opening)

    def save(self) -> Saved:
        """Remember the whole state; `restore` comes back to it while the same bodies are there."""
        return Saved(pybullet.saveState(physicsClientId=self.client), tuple(self.specs), self.steps)

    def restore(self, saved: Saved) -> None:
        """Come back to a saved state, bit for bit.

        Raises:
            ShapeError: Other bodies are in the world now.
        """
        if tuple(self.specs) != saved.bodies:
            raise ShapeError("bodies of the world", f"{saved.bodies}, as when it was saved", tuple(self.specs))
        pybullet.restoreState(saved.number, physicsClientId=self.client)
        self.steps, self.poisoned = saved.steps, None
        self._read()

    def put_arm(self, q: np.ndarray) -> None:
        """Set the arm, still and open, to q [D], rad, as an episode's layout may ask; nothing moves there."""
        self._set_joints(q, 1.0)

    def _set_joints(self, q: np.ndarray, opening: float) -> None:
        for joint, value in zip(self._joints, (*q, *self.arm.gripper.positions(opening)), strict=True):
            pybullet.resetJointState(self.robot, joint, float(value), 0.0, physicsClientId=self.client)
        self._read()

    def step(self, q_target: np.ndarray, gripper_target: float) -> None:
        """Run one control step of `physics.period`.

        Args:
            q_target: [D] where the joints shall be at its end, rad; limited beforehand by `robot.limiter`.
            gripper_target: Opening, 0 to 1; fingers close with at most `FINGER_FORCE` and stall on what they hold.
        """
        if self.physics.gain is None:
            self._run_motors(q_target, gripper_target)
        else:
            self._set_servos(q_target)
        pybullet.stepSimulation(physicsClientId=self.client)
        self.steps += 1
        self._read()
        self._check()

    def _run_motors(self, q_target: np.ndarray, gripper_target: float) -> None:
        """Let every joint, fingers included, turn at the speed that reaches its target at the period's end."""
        period = self.physics.period
        speed = (np.asarray(q_target, float) - self._q[: self.arm.dof]) / period
        span = self._opened - self._closed
        opening = (self._q[self.arm.dof :] - self._closed) / span
        rate = np.clip((min(max(gripper_target, 0.0), 1.0) - opening) / period, -FINGER_RATE, FINGER_RATE)
        pybullet.setJointMotorControlArray(
            self.robot,
            self._joints,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=[*speed.tolist(), *(rate * span).tolist()],
            forces=self._limits,
            physicsClientId=self.client,
        )

    def _set_servos(self, q_target: np.ndarray) -> None:
        """Let the arm's joints follow their targets as soft servos do; fingers stay as they are."""
        dof = self.arm.dof
        pybullet.setJointMotorControlArray(
            self.robot,
            self._joints[:dof],
            pybullet.POSITION_CONTROL,
            targetPositions=np.asarray(q_target, float).tolist(),
            positionGains=[self.physics.gain] * dof,
            velocityGains=[1.0] * dof,
            forces=[self.physics.torque / self.physics.substeps] * dof,
            physicsClientId=self.client,
        )

    def _read(self) -> None:
        states = pybullet.getJointStates(self.robot, self._joints, physicsClientId=self.client)
        self._q = np.array([state[0] for state in states])
        self._qd = np.array([state[1] for state in states])
        for handle in self._motion:
            self._motion[handle] = self._read_motion(handle)

    def _read_motion(self, handle: int) -> tuple:
        pose = pybullet.getBasePositionAndOrientation(handle, physicsClientId=self.client)
        return (*pose, *pybullet.getBaseVelocity(handle, physicsClientId=self.client))

    def _check(self) -> None:
        """Note NaN and absurd speeds; every comparison below is false for NaN."""
        if self.poisoned is not None:
            return
        if not (abs(self._qd).max() < SPEED_BOUND and abs(self._q).max() < SPEED_BOUND):
            self.poisoned = f"simulation broke down: joints of {self.arm.name} at {abs(self._qd).max():.3g} rad/s"
        for handle, (position, turn, velocity, spin) in self._motion.items():
            (x, y, z), (u, v, w), (a, b, c) = position, velocity, spin
            if not (
                u * u + v * v + w * w < SPEED_BOUND**2
                and a * a + b * b + c * c < SPIN_BOUND**2
                and x * x + y * y + z * z + turn[0] < 1e6
            ):
                speed = float(np.linalg.norm(velocity))
                self.poisoned = f"simulation broke down: {self.specs[handle].name} at {speed:.3g} m/s"

    @property
    def time(self) -> float:
        """Simulated time since `reset`, s."""
        return self.steps * self.physics.period

    def read_q(self) -> np.ndarray:
        """Measured joint positions [D], rad."""
        return self._q[: self.arm.dof].copy()

    def read_qd(self) -> np.ndarray:
        """Measured joint velocities [D], rad/s."""
        return self._qd[: self.arm.dof].copy()

    def read_gripper(self) -> float:
        """Measured opening, 0 closed to 1 open; a hand without fingers is open."""
        if not self.arm.gripper.joints:
            return 1.0
        fingers = (self._q[self.arm.dof :] - self._closed) / (self._opened - self._closed)
        return min(max(float(fingers.sum()) / len(fingers), 0.0), 1.0)

    def joint_positions(self) -> np.ndarray:
        """Measured positions of the arm's joints, rad, and then the fingers', m, [D + F]."""
        return self._q.copy()

    def pose7(self, handle: int) -> np.ndarray:
        """Position m and quaternion wxyz of a body's frame, [7]."""
        self._spec(handle)
        position, (x, y, z, w) = (self._motion.get(handle) or self._read_motion(handle))[:2]
        center = self._centers[handle]
        if center.any():
            position = np.asarray(position) - _rotate(w, np.array([x, y, z]), center)
        return np.array([*position, w, x, y, z])

    def pose(self, handle: int) -> RigidTransform:
        """Pose of a body's frame, T_world_body."""
        pose = self.pose7(handle)
        return RigidTransform.from_components(pose[:3], Rotation.from_quat(pose[3:], scalar_first=True))

    def velocity(self, handle: int) -> np.ndarray:
        """Velocity of a body's centre of mass, m/s, and its spin, rad/s, along world axes, [6]."""
        self._spec(handle)
        motion = self._motion.get(handle)
        return np.zeros(6) if motion is None else np.array([*motion[2], *motion[3]])

    def joint(self, handle: int, link: str) -> tuple[float, float]:
        """Position, m, and velocity, m/s, of a sliding link.

        Raises:
            ChoiceError: The body has no such link.
        """
        state = pybullet.getJointState(handle, self._link(handle, link), physicsClientId=self.client)
        return state[0], state[1]

    def set_joint(self, handle: int, link: str, position: float) -> None:
        """Put a sliding link, at rest, where an episode begins, m (never while one runs)."""
        pybullet.resetJointState(handle, self._link(handle, link), position, 0.0, physicsClientId=self.client)

    def link_pose(self, handle: int, link: str) -> RigidTransform:
        """Pose of a sliding link's frame, T_world_link."""
        number = self._link(handle, link)
        state = pybullet.getLinkState(handle, number, computeForwardKinematics=1, physicsClientId=self.client)
        return RigidTransform.from_components(state[4], Rotation.from_quat(state[5]))

    def _link(self, handle: int, link: str) -> int:
        self._spec(handle)
        if link not in self._links[handle]:
            raise ChoiceError("link", link, self._links[handle])
        return self._links[handle][link]

    def at_rest(self, handle: int, *, speed: float = 0.01, spin: float = 0.3) -> bool:
        """Tell whether a body is slower than `speed` m/s and `spin` rad/s."""
        velocity = self.velocity(handle)
        return math.hypot(*velocity[:3]) < speed and math.hypot(*velocity[3:]) < spin

    def touching(self, handle: int, other: int | None = None) -> bool:
        """Tell whether a body touches another one, or the arm if `other` is None."""
        second = self.robot if other is None else other
        contacts = pybullet.getContactPoints(handle, second, physicsClientId=self.client)
        return any(contact[8] < 1e-3 for contact in contacts)

    def disturb(self, handle: int, velocity: np.ndarray) -> None:
        """Knock a body: give it a velocity [6], m/s and rad/s, from now on (tests of replanning)."""
        pybullet.resetBaseVelocity(handle, velocity[:3], velocity[3:], physicsClientId=self.client)
        self._motion[handle] = self._read_motion(handle)


def _rotate(w: float, axis: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Turn a point [3] by the unit quaternion w, axis [3]."""
    twice = 2.0 * np.cross(axis, point)
    return point + w * twice + np.cross(axis, twice)


def _shut_down(client: int, files: Path) -> None:
    if pybullet.isConnected(client):
        pybullet.disconnect(client)
    shutil.rmtree(files, ignore_errors=True)
