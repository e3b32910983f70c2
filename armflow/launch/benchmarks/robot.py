"""How often and how fast inverse kinematics succeeds, and whether the limiter holds under random commands."""

import time
from collections.abc import Callable

import numpy as np

from armflow.robot.embodiments import ARMS, load_arm
from armflow.robot.ik import solve_ik_batch
from armflow.robot.limiter_fuzz import fuzz_limiter
from armflow.robot.model import RobotModel

__all__ = ["ik_rows", "limiter_rows", "robot_rows"]

_SUCCESS = 99.9  # % of reachable poses
_MEAN = 0.1  # ms a pose, for arms of six and seven joints
_SUCCESS_OF_OTHERS = "pybullet iterated 58 %, pinocchio with restarts 99.6 %"
_TIME_OF_OTHERS = "pybullet iterated 3 ms, pinocchio with restarts 1.29 ms"
_EXCESS = 1e-9  # rad, rad/s, rad/s^2 or m
_PERIODS = (0.008, 0.04, 0.1)  # control periods that share the commands, s


def robot_rows() -> list[dict]:
    """Measure inverse kinematics, then the limiter."""
    return [*ik_rows(), *limiter_rows()]


def ik_rows(poses: int = 1000, repeats: int = 5) -> list[dict]:
    """Solve random reachable poses of each arm from its home; times are thread time, the best of `repeats`.

    Args:
        poses: How many; the tool's poses at joint positions drawn evenly within limits and one turn.
        repeats: Times each arm is measured; the best time counts, and the success of all together.
    """
    return [row for name in ARMS for row in _ik_rows(load_arm(name), poses, repeats)]


def _ik_rows(arm: RobotModel, poses: int, repeats: int) -> list[dict]:
    rng = np.random.default_rng(0)
    low, high = np.maximum(arm.q_min, -np.pi), np.minimum(arm.q_max, np.pi)
    Ts = np.stack([arm.tool(q).as_matrix() for q in rng.uniform(low, high, (poses, arm.dof))])
    seeds = np.tile(arm.home, (poses, 1))
    shares = []

    def solve() -> None:
        shares.append(np.mean([result.ok for result in solve_ik_batch(arm, Ts, seeds, rng=rng)]))

    seconds = _best(solve, repeats)
    mean = _MEAN if arm.dof >= 6 else None
    what = f"{arm.name}, {arm.dof} joints, {poses} reachable poses"
    return [
        _row(f"IK {what}: solved", 100 * float(np.mean(shares)), "%", _SUCCESS, "higher", _SUCCESS_OF_OTHERS),
        _row(f"IK {what}: mean time", 1e3 * seconds / poses, "ms", mean, "lower", _TIME_OF_OTHERS),
    ]


def limiter_rows(commands: int = 1_000_000) -> list[dict]:
    """Send random commands to each arm's limiter, spread over control periods, and measure what gets past.

    Args:
        commands: How many for each arm.
    """
    rows = []
    for name in ARMS:
        arm, reports = load_arm(name), []
        fuzz_limiter(arm, _PERIODS[0], 10, rng=np.random.default_rng(0))  # compiles
        start = time.thread_time()
        for seed, dt in enumerate(_PERIODS):
            reports.append(fuzz_limiter(arm, dt, -(-commands // len(_PERIODS)), rng=np.random.default_rng(seed)))
        seconds = time.thread_time() - start
        worst = max(report.worst for report in reports)
        lost = sum(report.nonfinite for report in reports)
        what = f"limiter {name}, {commands} random commands"
        rows += [
            _row(f"{what}: worst excess over a limit", worst, "rad, s, m", _EXCESS, "lower"),
            _row(f"{what}: not finite", float(lost), "count", 0.0, "lower"),
            _row(f"{what}: time", seconds, "s", None, "lower"),
        ]
    return rows


def _best(work: Callable[[], object], repeats: int) -> float:
    """Shortest time of one call, s of this thread."""
    work()  # compiles
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return min(times)


def _row(name: str, value: float, unit: str, bar: float | None, better: str, reference: str = "") -> dict:
    ok = bar is None or (value >= bar if better == "higher" else value <= bar)
    row = {"name": name, "value": value, "unit": unit, "bar": bar, "better": better}
    return {**row, "reference": reference, "ok": bool(ok)}
