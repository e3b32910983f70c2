"""The last stage of every command path: nothing reaches an arm, simulated or real, except through a `Limiter`."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import RobotError, ValueRangeError
from armflow.robot.limiter_kernel import REASONS, limit_step, reach_bounds, slack
from armflow.robot.model import RobotModel

__all__ = ["LimitedChunk", "LimitedCommand", "Limiter"]

_FIRST_REJECTION = REASONS.index("not finite")
_WRONG_TYPE, _WRONG_SHAPE = REASONS.index("wrong type"), REASONS.index("wrong shape")


@dataclass(frozen=True, slots=True)
class LimitedCommand:
    """What may be sent to the arm.

    Attributes:
        q: [D] joint positions for the next step, rad.
        clipped: The target was changed to keep a limit.
        rejected: The target was not usable at all; q brakes towards rest.
        reason: Empty, or which limit or defect it was.
    """

    q: np.ndarray
    clipped: bool
    rejected: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LimitedChunk:
    """What may be sent for a whole chunk: q [H, D] rad, clipped [H], rejected [H], and H reasons."""

    q: np.ndarray
    clipped: np.ndarray
    rejected: np.ndarray
    reasons: tuple[str, ...]


class Limiter:
    """Turns any stream of targets into motion that keeps every limit and can always stop before one.

    A feasible target passes unchanged. Position, velocity and acceleration limits hold exactly; the tool stays in
    the workspace and the joints above the floor. `limiter_kernel` explains why the next step is always feasible.

    Attributes:
        counts: How many commands each reason has changed or rejected since the start.
    """

    def __init__(self, arm: RobotModel, dt: float, max_jump: float = 1.0) -> None:
        """Prepare for one arm.

        Args:
            arm: Its limits and workspace.
            dt: Control period, s.
            max_jump: A target with a joint further than this from the commanded position is rejected, rad.

        Raises:
            ValueRangeError: dt or max_jump is not positive and finite.
        """
        for name, value in (("dt", dt), ("max_jump", max_jump)):
            if not (np.isfinite(value) and value > 0):
                raise ValueRangeError(name, value, "positive and finite")
        self.arm, self.dt = arm, float(dt)
        self.counts: Counter[str] = Counter()
        self._chain, self._reach = arm.z_placements, reach_bounds(arm.z_placements)
        self._limits = np.stack([arm.q_min, arm.q_max, arm.v_max, arm.a_max])
        self._box = np.ascontiguousarray(arm.workspace)
        self._settings = (self.dt, float(max_jump))
        self._state: np.ndarray | None = None

    def start(self, q: np.ndarray) -> None:
        """Take q [D], rad, as the position of the arm at rest, and forget the counts.

        Raises:
            ShapeError: q is not a finite [D] array.
            ValueRangeError: q is outside the joint limits by more than 1 mrad, or the tool is outside the workspace.
        """
        check_shape("q", q, "D", {"D": self.arm.dof})
        check_finite("q", q)
        inside = np.clip(q, self.arm.q_min, self.arm.q_max)
        if np.abs(inside - q).max() > 1e-3:
            raise ValueRangeError("q", q, f"within {self.arm.q_min} and {self.arm.q_max} rad")
        free = slack(self._chain, self._box, inside)
        if free < 0:
            tool = self.arm.tool(inside).translation
            bound = f"in the workspace {self._box.tolist()}, joints above the floor; {-free:.3f} m are missing"
            raise ValueRangeError("tool at the start", tool, bound)
        self._state = np.zeros((3, self.arm.dof + 1))
        self._state[0, : self.arm.dof] = inside
        self._state[2, 0] = free
        self.counts.clear()

    @property
    def q(self) -> np.ndarray:
        """Last position [D] sent, rad."""
        return self._started()[0, : self.arm.dof].copy()

    @property
    def v(self) -> np.ndarray:
        """Velocity [D] of the last step, rad/s; all zero once the arm has stopped."""
        return self._started()[1, : self.arm.dof].copy()

    def limit(self, target: object) -> LimitedCommand:
        """Return the next position on the way to a target [D], rad; anything else brakes and is counted."""
        state = self._started()
        array, code = _as_target(target, self.arm.dof)
        kernel_code = limit_step(self._chain, self._limits, self._box, self._reach, self._settings, state, array)
        code = code or kernel_code
        if code:
            self.counts[REASONS[code]] += 1
        rejected = code >= _FIRST_REJECTION
        return LimitedCommand(state[0, : self.arm.dof].copy(), 0 < code < _FIRST_REJECTION, rejected, REASONS[code])

    def limit_many(self, targets: np.ndarray) -> LimitedChunk:
        """Limit the rows of a chunk [H, D] one after the other."""
        commands = [self.limit(target) for target in targets]
        return LimitedChunk(
            np.array([command.q for command in commands]).reshape(-1, self.arm.dof),
            np.array([command.clipped for command in commands], bool),
            np.array([command.rejected for command in commands], bool),
            tuple(command.reason for command in commands),
        )

    def brake(self) -> LimitedCommand:
        """One step of braking, for a caller that has nothing to send; not counted."""
        state = self._started()
        nothing = np.full(self.arm.dof, np.nan)
        limit_step(self._chain, self._limits, self._box, self._reach, self._settings, state, nothing)
        return LimitedCommand(state[0, : self.arm.dof].copy(), False, True, "brake")

    def _started(self) -> np.ndarray:
        if self._state is None:
            raise RobotError(f"the limiter of {self.arm.name} needs start(q) before the first command")
        return self._state


def _as_target(target: object, dof: int) -> tuple[np.ndarray, int]:
    """The target as a float array [D], or an array of NaN and the index of what is wrong with it."""
    nothing = np.full(dof, np.nan)
    try:
        array = np.asarray(target)
        if array.dtype.kind not in "fiu":
            return nothing, _WRONG_TYPE
        array = np.ascontiguousarray(array, float)
    except (TypeError, ValueError, OverflowError):
        return nothing, _WRONG_TYPE
    return (array, 0) if array.shape == (dof,) else (nothing, _WRONG_SHAPE)
