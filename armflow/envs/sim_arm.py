"""`SimArm`: the simulated arm behind the same protocol as a real one; every command passes the limiter."""

from collections.abc import Callable

import numpy as np

from armflow.envs.world import World
from armflow.robot.arrays import check_shape
from armflow.robot.chunk import ActionChunk
from armflow.robot.limiter import Limiter
from armflow.robot.model import RobotModel

__all__ = ["SimArm"]


class SimArm:
    """An `Arm` in a `World`.

    Attributes:
        model: The robot's description.
        on_step: Called after each control step (video, scoring); None for nobody.
        rejected: Commands that the limiter refused since `start`; the arm held still instead.
        clipped: Commands that the limiter slowed down or cut since `start`.
    """

    def __init__(
        self, world: World, after_step: Callable[[], None] | None = None, is_over: Callable[[], bool] | None = None
    ) -> None:
        """Drive the arm of a world.

        Args:
            world: The world.
            after_step: Called after each step, before `on_step`, for those who own the arm.
            is_over: Tells after each step whether the episode ends there, in the middle of a chunk; None for never.
        """
        self._is_over = is_over
        self.model: RobotModel = world.arm
        self.on_step: Callable[[], None] | None = None
        self._world = world
        self._after_step = after_step
        self._limiter = Limiter(world.arm, world.physics.period)
        self.start()

    def start(self, q_sent: np.ndarray | None = None) -> None:
        """Begin anew from where the arm stands now (after the world was reset), or on its way to q_sent [D], rad."""
        self._limiter.start(self._world.read_q() if q_sent is None else q_sent)
        self.rejected = self.clipped = 0
        self.gripper_target = self._world.read_gripper()

    @property
    def q_sent(self) -> np.ndarray:
        """Joints [D] of the last command that passed the limiter, rad."""
        return self._limiter.q

    def read_q(self) -> np.ndarray:
        """Joint positions of the simulation [D], rad."""
        return self._world.read_q()

    def read_gripper(self) -> float:
        """Opening in the simulation, 0 closed to 1 open."""
        return self._world.read_gripper()

    def command(self, q_target: np.ndarray, gripper: float) -> np.ndarray:
        """Run one control step towards a target.

        Args:
            q_target: [D] rad; anything goes in, only what the limiter passes comes out.
            gripper: Opening, 0 to 1; not finite keeps the last one.

        Returns:
            [D] what was sent, rad.
        """
        sent = self._limiter.limit(q_target)
        self.rejected += bool(sent.rejected)
        self.clipped += bool(sent.clipped)
        if np.isfinite(gripper):
            self.gripper_target = float(np.clip(gripper, 0.0, 1.0))
        self._world.step(sent.q, self.gripper_target)
        for hook in (self._after_step, self.on_step):
            if hook is not None:
                hook()
        return sent.q

    def execute(self, chunk: ActionChunk) -> ActionChunk:
        """Step the world through a chunk, resampled to the control period, and return what was sent.

        Stops early, with at least one row, when the simulation breaks down or the episode is over.

        Raises:
            ShapeError: The chunk is not for this many joints.
        """
        check_shape("chunk.q", chunk.q, "H D", {"D": self.model.dof})
        before = (self._world.read_q(), self.gripper_target)
        period = self._world.physics.period
        q, gripper = _resample(chunk, before, period)
        sent_q, sent_gripper, stamp = [], [], self._world.time
        for row, opening in zip(q, gripper, strict=True):
            sent_q.append(self.command(row, float(opening)))
            sent_gripper.append(self.gripper_target)
            if self._world.poisoned is not None or (self._is_over is not None and self._is_over()):
                break
        return ActionChunk(np.array(sent_q), np.array(sent_gripper), period, stamp)


def _resample(chunk: ActionChunk, before: tuple[np.ndarray, float], period: float) -> tuple[np.ndarray, np.ndarray]:
    """Targets one every `period` s: q [K, D] rad, linear between the chunk's rows, and gripper [K]."""
    if chunk.dt == period:
        return chunk.q, chunk.gripper
    times = np.arange(1, max(1, round(chunk.horizon * chunk.dt / period)) + 1) * period
    knots = np.arange(chunk.horizon + 1) * chunk.dt
    q = np.vstack([before[0], chunk.q])
    columns = [np.interp(times, knots, column) for column in q.T]
    rows = np.minimum(np.ceil(times / chunk.dt - 1e-9).astype(int), chunk.horizon) - 1
    return np.stack(columns, axis=1), chunk.gripper[rows]
