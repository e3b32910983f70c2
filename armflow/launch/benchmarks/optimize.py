"""How long planning takes on one thread, and whether it holds on random problems."""

import time
from collections.abc import Callable
from itertools import cycle

import numpy as np

from armflow.perception.detection import TablePlane
from armflow.perception.flow import Flow3D
from armflow.planning.distance import DistanceField, build_field
from armflow.planning.optimize import OptimizeConfig, Trajectory, line_poses, optimize, plan_joint_path, plan_pose_path
from armflow.planning.timing import within_limits
from armflow.robot.embodiments import load_arm
from armflow.robot.model import RobotModel

__all__ = ["optimize_rows"]

# Rows of the flow: the bar, and what SLSQP took where the bar was set, ms. The solvers of ReKep (arXiv:2409.01652)
# took 11 to 46 s for a path there.
_BARS = {16: (8.0, 22.0), 32: (15.0, 137.0)}
_TABLE = TablePlane(normal=np.array([0.0, 0.0, 1.0]), offset=0.0)


def optimize_rows(repeats: int = 25, problems: int = 10_000) -> list[dict]:
    """Measure planning for panda; times are thread time, the median over ten flows of the best of `repeats`, ms.

    Args:
        repeats: Times each figure is taken; the best counts, as other work on the machine only slows.
        problems: Random problems to count failures over.
    """
    arm, rng = load_arm("panda"), np.random.default_rng(0)
    points = rng.uniform(-1.0, 1.0, (5000, 3)) * [0.04, 0.04, 0.1] + [0.5, 0.0, 0.1]
    box = arm.workspace + np.array([[-0.1], [0.1]])
    field = build_field(points, _TABLE, box)
    rows = [
        _row("distance field, 1 cm, 5000 points", _best(lambda: build_field(points, _TABLE, box), repeats), "ms", 40.0)
    ]

    def _timed(name: str, flows: list[Flow3D], config: OptimizeConfig, bar: float, reference: str) -> dict:
        count = repeats if config.solver == "banded" else 2
        times = [
            _best(lambda f=f: optimize(arm, f, np.eye(4), arm.home, field=field, config=config), count) for f in flows
        ]
        return _row(name, float(np.median(times)), "ms", bar, reference)

    for steps, (bar, slsqp) in _BARS.items():
        flows = [_reachable_flow(arm, field, steps, rng) for _ in range(10)]
        reference = f"SLSQP {slsqp:.0f} ms, ReKep 11 to 46 s"
        rows.append(_timed(f"flow to trajectory, {steps} waypoints", flows, OptimizeConfig(), bar, reference))
        rushed = OptimizeConfig(row_dt=1.2 / steps, position_tolerance=0.2, angle_tolerance=1.0, restarts=0)
        rows.append(_timed(f"the same, {steps} waypoints, too fast for the limits", flows, rushed, bar, reference))
        slow = OptimizeConfig(solver="cvxpy")
        rows.append(_timed(f"the same, {steps} waypoints, cvxpy", flows[:3], slow, 500.0, "the reference itself"))
    rows.append(_row("free motion around a pillar", _around(arm, field, repeats), "ms", 50.0))
    return [*rows, *_random_problems(arm, field, problems)]


def _row(name: str, value: float, unit: str, bar: float, reference: str = "") -> dict:
    row = {"name": name, "value": value, "unit": unit, "bar": bar, "better": "lower", "reference": reference}
    return {**row, "ok": bool(value <= bar)}


def _best(work: Callable[[], object], repeats: int) -> float:
    """Shortest time of one call, ms of this thread."""
    work()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return 1e3 * min(times)


def _flow(arm: RobotModel, q: np.ndarray, shift: np.ndarray, steps: int, rng: np.random.Generator) -> Flow3D:
    """A cloud in the hand at q that moves straight by `shift`."""
    points = arm.tool(np.clip(q, arm.q_min, arm.q_max)).as_matrix()[:3, 3] + rng.uniform(-0.02, 0.02, (200, 3))
    paths = points + np.linspace(0.0, 1.0, steps)[:, None, None] * shift
    return Flow3D(points_world=paths, visible=np.ones(paths.shape[:2], dtype=bool), dt=0.1)


def _reachable_flow(arm: RobotModel, field: DistanceField, steps: int, rng: np.random.Generator) -> Flow3D:
    """A flow that the arm can follow, some 0.3 m long."""
    while True:
        shift = rng.uniform([-0.05, -0.3, -0.1], [0.2, 0.3, 0.15])
        flow = _flow(arm, arm.home, shift, steps, rng)
        if np.linalg.norm(shift) > 0.2 and optimize(arm, flow, np.eye(4), arm.home, field=field).ok:
            return flow


def _around(arm: RobotModel, field: DistanceField, repeats: int) -> float:
    """Time from one side of the pillar to the other, ms."""
    here, sides = arm.tool(arm.home).as_matrix(), []
    for y in (-0.2, 0.2):
        T = np.diag([1.0, -1.0, -1.0, 1.0])
        T[:3, 3] = [0.5, y, 0.1]
        sides.append(plan_pose_path(arm, arm.home, line_poses(here, T)).q[-1])
    return _best(lambda: plan_joint_path(arm, sides[0], sides[1], field=field), repeats)


def _random_problems(arm: RobotModel, field: DistanceField, count: int) -> list[dict]:
    """Count trajectories that are not executable over random problems: near, anywhere, locked in limits, singular."""
    rng, wrong, raised, solved = np.random.default_rng(1), 0, 0, 0
    for trial, kind in zip(range(count), cycle(("near", "any", "locked", "singular")), strict=False):
        q = _random_start(arm, kind, rng)
        flow = _flow(arm, q, rng.normal(0.0, rng.choice([0.05, 0.3, 2.0]), 3), int(rng.integers(2, 9)), rng)
        config = OptimizeConfig(restarts=0)
        try:
            result = optimize(arm, flow, np.eye(4), q, field=field if trial % 2 else None, config=config, rng=rng)
        except Exception:  # noqa: BLE001 - counting these is the point
            raised += 1
            continue
        solved += result.ok
        wrong += not _executable(arm, result)
    reference = f"{count} problems, {solved} of them solved"
    return [
        _row("random problems that raise", float(raised), "count", 0.0, reference),
        _row("random problems that end out of limits", float(wrong), "count", 0.0, reference),
    ]


def _random_start(arm: RobotModel, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Joint positions [D] of a kind of problem."""
    if kind == "near":
        return arm.home + rng.normal(0.0, 0.2, arm.dof)
    if kind == "any":
        return rng.uniform(arm.q_min, arm.q_max)
    if kind == "locked":
        return np.where(rng.random(arm.dof) < 0.5, arm.q_min, arm.q_max)
    return np.zeros(arm.dof).clip(arm.q_min, arm.q_max)


def _executable(arm: RobotModel, result: Trajectory) -> bool:
    """Whether a trajectory is finite and keeps all joint limits to 1e-9."""
    inside = (result.q >= arm.q_min - 1e-9).all() and (result.q <= arm.q_max + 1e-9).all()
    return bool(np.isfinite(result.q).all() and inside and within_limits(result.q, arm, result.dt))
