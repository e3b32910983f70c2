"""`SoftWorld`: one MuJoCo simulation with a table, a hand that an arm carries, and one thing that bends."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import mujoco
import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.envs.deformable.body import SoftBody, Surface
from armflow.envs.deformable.hand import Hand, hand_xml
from armflow.envs.deformable.tracks import TrackPoints
from armflow.envs.shapes import BodySpec, Part, place, table
from armflow.envs.world import FLOOR_Z, Physics
from armflow.robot.errors import StackError
from armflow.robot.model import RobotModel

__all__ = ["FRAME_RATE", "SOFT_PHYSICS", "SoftSaved", "SoftWorld", "SoftWorldError"]

FRAME_RATE = 30  # Hz, of control and recordings
SOFT_PHYSICS = Physics(period=1 / FRAME_RATE, substeps=10)
SETTLE_SECONDS = 1.0  # before an episode begins
SPEED_BOUND = 50.0  # m/s or rad/s; whatever is faster shows that the simulation has broken down
TABLE, FLOOR, ROBOT, OBJECT = range(4)  # handles

# Else MuJoCo writes a file into the current folder; `SoftWorld.poisoned` tells what matters.
mujoco.set_mju_user_warning(logging.getLogger(__name__).debug)


class SoftWorldError(StackError):
    """A scene that cannot be simulated."""


@dataclass(frozen=True, slots=True)
class SoftSaved:
    """A state of the simulation to come back to.

    Attributes:
        state: All numbers of the integrator.
        q: [D] joints of the arm, rad.
        qd: [D] their velocities, rad/s.
        gripper: Opening that was asked for.
        steps: Control steps so far.
    """

    state: np.ndarray
    q: np.ndarray
    qd: np.ndarray
    gripper: float
    steps: int


class SoftWorld:
    """The simulated bench for things that bend; the arm's base is the origin and the table's top is z = 0.

    Takes the place of `envs.world.World` for arm, cameras and stage. The arm has no dynamics: its joints are where they
    were sent. `load` starts a scene, `step` runs one control step.

    Attributes:
        arm: The robot.
        physics: Its clock.
        specs: Table and floor by handle; the thing itself is drawn from `body` and `vertices`.
        robot: Handle of the arm in pictures.
        body: What the scene holds.
        steps: Control steps since `load`.
        poisoned: Why the simulation can no longer be trusted; None while it can.
    """

    robot = ROBOT
    table = TABLE
    object = OBJECT

    def __init__(self, arm: RobotModel, physics: Physics = SOFT_PHYSICS) -> None:
        """Take the arm; `load` makes the simulation."""
        self.arm, self.physics = arm, physics
        center = arm.bench_center
        floor = Part("box", (6.0, 6.0, 0.1), place(center[0], center[1], FLOOR_Z - 0.05), (0.55, 0.56, 0.58, 1.0))
        slab = table(center, (1.3, 1.6, 0.04))
        self.specs: dict[int, BodySpec] = {FLOOR: BodySpec("floor", (floor,), friction=0.6), TABLE: slab}
        self._q, self._qd, self._gripper = arm.home.copy(), np.zeros(arm.dof), 1.0
        self.poisoned: str | None = None
        self.steps = 0

    def load(self, body: SoftBody) -> None:
        """Start a scene: the arm at home, hand open, the thing at rest on the table.

        Raises:
            SoftWorldError: MuJoCo does not take the body's XML.
        """
        self.body, self.physics = body, replace(self.physics, substeps=body.substeps)
        try:
            self.model = mujoco.MjModel.from_xml_string(self._xml(body))
        except ValueError as error:
            raise SoftWorldError(f"{body.name}: {error}") from error
        self.data = mujoco.MjData(self.model)
        self.hand = Hand(self.model, self.data, self.arm.gripper)
        self.__dict__.pop("_surface", None)
        self._q, self._gripper, self.steps, self.poisoned = self.arm.home.copy(), 1.0, 0, None
        body.lay(self.model, self.data)
        self.hand.put(self.arm.tool(self._q), self._gripper)
        mujoco.mj_forward(self.model, self.data)
        for _ in range(round(SETTLE_SECONDS * FRAME_RATE)):
            self.step(self._q, self._gripper)
        self.data.time, self.steps = 0.0, 0

    def _xml(self, body: SoftBody) -> str:
        bodies, extra = hand_xml(self.arm.gripper)
        step, friction = self.physics.period / self.physics.substeps, self.physics.table_friction
        return (
            f'<mujoco><compiler autolimits="true"/><option timestep="{step:.9f}" integrator="implicitfast" '
            f'cone="elliptic" impratio="5" gravity="0 0 {-self.physics.gravity}"><flag autoreset="disable"/></option>'
            f'<worldbody><geom name="table" type="plane" size="2 2 0.1" friction="{friction} 0.005 0.0002"/>'
            f"{body.xml}{bodies}</worldbody>{extra}{body.extra_xml}</mujoco>"
        )

    def step(self, q_target: np.ndarray, gripper_target: float) -> None:
        """Run one control step; the tool moves evenly from where it is to where the joints take it."""
        before, opened = self._q, self._gripper
        self._q, self._gripper = np.array(q_target, float), float(gripper_target)
        self._qd = (self._q - before) / self.physics.period
        shares = np.arange(1, self.physics.substeps + 1) / self.physics.substeps
        tools = [self.arm.tool(before + share * (self._q - before)) for share in shares]
        self.draw_hand(tools, opened + shares * (gripper_target - opened))

    def draw_hand(self, tools: Sequence[RigidTransform], openings: np.ndarray) -> None:
        """Run one control step with the hand drawn along poses of the tool and openings, one of each a substep."""
        for tool, opening in zip(tools, openings, strict=True):
            self.hand.aim(tool, opening)
            mujoco.mj_step(self.model, self.data)
        self.steps += 1
        self._check()

    def place_hand(self, T_world_tool: RigidTransform, opening: float) -> None:
        """Put the hand somewhere at once, at rest, without its arm."""
        self.hand.put(T_world_tool, opening)
        mujoco.mj_forward(self.model, self.data)

    def bend(self, joint: str, position: float) -> None:
        """Put a hinge of the thing at an angle, rad, at once; all else stays."""
        self.data.qpos[self.model.joint(joint).qposadr[0]] = position
        mujoco.mj_forward(self.model, self.data)

    def show_arm(self, q: np.ndarray) -> None:
        """Draw the arm at joints [D], rad, in pictures; the hand stays where it is."""
        self._q = np.array(q, float)

    def _check(self) -> None:
        if self.poisoned is None:
            if not np.isfinite(self.data.qpos).all():
                self.poisoned = "the simulation is not finite"
            elif np.abs(self.data.qvel).max() > 20 * SPEED_BOUND or np.abs(self.data.qpos).max() > SPEED_BOUND:
                self.poisoned = "the simulation has broken down: something moves too fast"

    def save(self) -> SoftSaved:
        """Take down the whole state."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, state, kind)
        return SoftSaved(state, self._q.copy(), self._qd.copy(), self._gripper, self.steps)

    def restore(self, saved: SoftSaved) -> None:
        """Go back to a state of this scene, bit for bit."""
        mujoco.mj_setState(self.model, self.data, saved.state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self.model, self.data)
        self._q, self._gripper, self.steps, self.poisoned = saved.q.copy(), saved.gripper, saved.steps, None
        self._qd = saved.qd.copy()

    @cached_property
    def _surface(self) -> Surface:
        return self.body.surface(self.model)

    def vertices(self) -> np.ndarray:
        """Surface of the thing [V, 3], m."""
        return self._surface(self.data)

    def particles(self, points: TrackPoints) -> np.ndarray:
        """Where material points [n, 3] are, m: the truth, for scoring and recording only."""
        return points.at(self.vertices())

    @property
    def time(self) -> float:
        """Simulated time since `load`, s."""
        return self.steps * self.physics.period

    def read_q(self) -> np.ndarray:
        """Joint positions [D], rad."""
        return self._q.copy()

    def read_qd(self) -> np.ndarray:
        """Joint velocities over the last control step [D], rad/s."""
        return self._qd.copy()

    def read_gripper(self) -> float:
        """Opening in the simulation, 0 closed to 1 open; what was asked for before there is a scene."""
        return self.hand.opening() if hasattr(self, "hand") else self._gripper

    def joint_positions(self) -> np.ndarray:
        """Arm joints, rad, then fingers, m, for drawing."""
        return np.concatenate([self._q, self.arm.gripper.positions(self.hand.opening())])

    def pose(self, handle: int) -> RigidTransform:
        """Pose of table or floor."""
        return place()
