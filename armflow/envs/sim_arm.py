"""`SimArm`: the simulated arm behind the same protocol as a real one; every command passes the limiter."""

from collections.abc import Callable

import numpy as np

from armflow.envs.world import CONTROL_PERIOD, World
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

    def __init__(self, world: World, after_step: Callable[[], None] | None = None) -> None:
        """Drive the arm of a world; `after_step` is called before `on_step`, for those who own the arm."""
        self.model: RobotModel = world.arm
        self.on_step: Callable[[], None] | None = None
        self._world = world
        self._after_step = after_step
        self._limiter = Limiter(world.arm, CONTROL_PERIOD)
        self.start()

    def start(self) -> None:
        """Begin anew from where the arm stands now (after the world was reset)."""
        self._limiter.start(self._world.read_q())
        self.rejected = self.clipped = 0
        self.gripper_target = self._world.read_gripper()

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

        Stops early, with at least one row, when the simulation breaks down.

        Raises:
            ShapeError: The chunk is not for this many joints.
        """
        check_shape("chunk.q", chunk.q, "H D", {"D": self.model.dof})
        before = (self._world.read_q(), self.gripper_target)
        times = np.arange(1, max(1, round(chunk.horizon * chunk.dt / CONTROL_PERIOD)) + 1) * CONTROL_PERIOD
        q, gripper = _resample(chunk, before, times)
        sent_q, sent_gripper, stamp = [], [], self._world.time
        for row, opening in zip(q, gripper, strict=True):
            sent_q.append(self.command(row, float(opening)))
            sent_gripper.append(self.gripper_target)
            if self._world.poisoned is not None:
                break
        return ActionChunk(np.array(sent_q), np.array(sent_gripper), CONTROL_PERIOD, stamp)


def _resample(chunk: ActionChunk, before: tuple[np.ndarray, float], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets at the given times after the chunk's start: q [K, D] rad, linear between rows, and gripper [K]."""
    if chunk.dt == CONTROL_PERIOD:
        return chunk.q, chunk.gripper
    knots = np.arange(chunk.horizon + 1) * chunk.dt
    q = np.vstack([before[0], chunk.q])
    columns = [np.interp(times, knots, column) for column in q.T]
    rows = np.minimum(np.ceil(times / chunk.dt - 1e-9).astype(int), chunk.horizon) - 1
    return np.stack(columns, axis=1), chunk.gripper[rows]
