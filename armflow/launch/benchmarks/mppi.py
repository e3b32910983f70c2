"""Speed of planning for things that bend: one plan of the search over shipped dynamics, and one look at the object."""

import time
from collections.abc import Callable

import numpy as np
import torch

from armflow.perception.particles import ShapeState
from armflow.perception.shape_track import ShapeTracker
from armflow.planning.dynamics import shipped_dynamics
from armflow.planning.mppi.config import PRESETS
from armflow.planning.mppi.foresight import DynamicsForesight
from armflow.planning.mppi.planner import HandPlan, ShapePlanner
from armflow.robot.embodiments import load_arm

__all__ = ["mppi_rows"]

BARS = {"full": 8.0, "quick": 1.0}  # s, on two cores; measured on one
ORIGINAL = "original 360 processor-s"


def mppi_rows(repeats: int = 3) -> list[dict]:
    """Measure on one thread, in that thread's time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*(_plan_row(preset, bar, repeats) for preset, bar in BARS.items()), _look_row(10 * repeats)]
    finally:
        torch.set_num_threads(threads)


def _plan_row(preset: str, bar: float, repeats: int) -> dict:
    arm, config = load_arm("xarm6"), PRESETS[preset]
    foresight = DynamicsForesight(shipped_dynamics("rope"), "rope", tip=arm.gripper.tip)
    goal = _rope() @ [[0, -1, 0], [1, 0, 0], [0, 0, 1]] + [0.4, -0.4, 0.0]  # a quarter turn about the middle
    points = _rope()
    state = ShapeState("rope", points, np.zeros_like(points), points, 0.0)

    def plan() -> None:
        planner = ShapePlanner(arm, foresight, rng=np.random.default_rng(0), config=config)
        assert isinstance(planner.plan(state, goal, arm.home), HandPlan)

    name = f"mppi: {preset} plan, {config.samples} samples x {config.steps} steps x {config.rounds} rounds"
    return _row(name, _best(plan, repeats), "s", bar, ORIGINAL if preset == "full" else "")


def _look_row(repeats: int) -> dict:
    cloud = _rope(900)
    tracker = ShapeTracker(_rope())
    return _row("mppi: particles moved to a new cloud", 1e3 * _best(lambda: tracker.follow(cloud), repeats), "ms", 30.0)


def _rope(count: int = 250) -> np.ndarray:
    """The upper side of a straight rope [count, 3] about (0.4, 0), 0.34 m long and 16 mm thick, m."""
    rng = np.random.default_rng(0)
    along, angle = rng.uniform(-0.17, 0.17, count), rng.uniform(0.0, np.pi, count)
    return np.column_stack([0.4 + along, 0.008 * np.cos(angle), 0.008 * (1 + np.sin(angle))])


def _best(function: Callable[[], object], repeats: int) -> float:
    """Least thread time of a call, s."""
    function()
    best = np.inf
    for _ in range(repeats):
        start = time.thread_time()
        function()
        best = min(best, time.thread_time() - start)
    return best


def _row(name: str, value: float, unit: str, bar: float, reference: str = "") -> dict:
    ok = value <= bar
    return {"name": name, "value": value, "unit": unit, "bar": bar, "better": "lower", "reference": reference, "ok": ok}
