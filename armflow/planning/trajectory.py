"""`Trajectory`, what planning returns, and `OptimizeConfig`, how it plans."""

from dataclasses import dataclass

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ChoiceError, ShapeError, ValueRangeError

__all__ = ["SOLVERS", "STATUSES", "OptimizeConfig", "Trajectory"]

STATUSES = ("ok", "unreachable", "collision", "limits", "invalid")
SOLVERS = ("banded", "cvxpy")


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Joint positions on the control grid, at rest at both ends.

    Attributes:
        q: [H, D] joint positions, rad; row 0 is where the arm stands, one row every `dt`. Where `status` is not "ok"
            it stays there.
        waypoints: [T, D] joint positions at the rows that were asked for, rad.
        dt: Control period, s.
        status: One of `STATUSES`.
        reason: One sentence.
        figures: Numbers behind it by name, SI units: residual_m, residual_rad, clearance_m, self_clearance_m,
            duration_s, solve_ms, iterations.
    """

    q: np.ndarray
    waypoints: np.ndarray
    dt: float
    status: str
    reason: str
    figures: dict[str, float]

    def __post_init__(self) -> None:
        """Check shapes and the status.

        Raises:
            ShapeError: q is not a finite [H, D] with H >= 1, or waypoints is not [T, D].
            ChoiceError: No such status.
        """
        sizes = check_shape("q", self.q, "H D")
        check_shape("waypoints", self.waypoints, "T D", {"D": sizes["D"]})
        if sizes["H"] == 0:
            raise ShapeError("q", "an array [H, D] with H >= 1", self.q.shape)
        check_finite("q", self.q)
        if self.status not in STATUSES:
            raise ChoiceError("status", self.status, STATUSES)

    @property
    def ok(self) -> bool:
        """Whether the trajectory does what was asked."""
        return self.status == "ok"

    @property
    def duration(self) -> float:
        """Time from the first row to the last, s."""
        return (len(self.q) - 1) * self.dt


@dataclass(frozen=True, slots=True)
class OptimizeConfig:
    """How trajectories are planned.

    Attributes:
        dt: Control period, s.
        v_scale: Share of the velocity limits to use.
        a_scale: Share of the acceleration limits to use.
        tool_speed: Most speed of the tool, m/s; None for no bound.
        row_dt: Time between waypoints for which the limits are kept while solving, s; None for as long as it takes to
            follow. The result is timed by the limits again in any case.
        keep_timing: Never run ahead of the flow's own time.
        solver: "banded", or "cvxpy" for the reference.
        max_iterations: Most quadratic programs per start.
        restarts: Further starts where the first one fails.
        rows: Waypoints of a free motion.
        margin: Distance to the scene that the arm is pushed out to, m.
        carried_margin: The same for a held object, m.
        self_margin: The same between links, m.
        clearance: Least distance to the scene, m; below zero lets the cloud's noise pass.
        carried_clearance: The same for a held object, m.
        self_clearance: Least distance between links, m.
        contact_radius: Where a part is already closer than that at an end of the motion, it may stay so this near
            to that end, m.
        contact_depth: Deepest such contact that is not refused, m.
        position_tolerance: Largest tracking error counted as reached, m.
        angle_tolerance: Largest turning error counted as reached, rad.
        opening: Gripper opening while moving, 0 closed to 1 open.
    """

    dt: float = 0.04
    v_scale: float = 0.9
    a_scale: float = 0.8
    tool_speed: float | None = None
    row_dt: float | None = None
    keep_timing: bool = True
    solver: str = "banded"
    max_iterations: int = 25
    restarts: int = 3
    rows: int = 24
    margin: float = 0.02
    carried_margin: float = 0.008
    self_margin: float = 0.005
    clearance: float = 0.0
    carried_clearance: float = -0.003
    self_clearance: float = 0.0
    contact_radius: float = 0.08
    contact_depth: float = 0.02
    position_tolerance: float = 0.005
    angle_tolerance: float = 0.05
    opening: float = 1.0

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueRangeError: A period, share or count is out of range.
            ChoiceError: No such solver.
        """
        if not self.dt > 0:
            raise ValueRangeError("dt", self.dt, "positive, in seconds")
        for name in ("v_scale", "a_scale"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueRangeError(name, getattr(self, name), "above 0 and at most 1")
        if self.max_iterations < 1 or self.rows < 4 or self.restarts < 0:
            raise ValueRangeError(
                "max_iterations, rows, restarts", (self.max_iterations, self.rows, self.restarts), "at least 1, 4 and 0"
            )
        if self.solver not in SOLVERS:
            raise ChoiceError("solver", self.solver, SOLVERS)
