"""Speed of learned dynamics: ours, the published model as we wrote it, and the published code's own figures."""

import time
from collections.abc import Callable

import numpy as np
import torch

from armflow.planning.dynamics import DynamicsModel, Particles, ToolPath, make_dynamics
from armflow.planning.dynamics.dense import rollout_dense
from armflow.planning.dynamics.fast import FastDynamics

__all__ = ["dynamics_rows"]

N, CODE = 1000, 8
# ms of the original code, one thread of the same class of machine: one step; one step of 32 tools from one start; one
# step of 32 objects forward and backward. The last two were taken down as "32 rollouts from one start" and "a training
# step" without a horizon. At 27 ms a step, 1790 ms are about two steps of 32 and 5670 ms no more than one forward and
# backward, so ours are held to the bars for one step; the same over ten and five steps stand beside them, with a ratio
# for a reader who takes the originals' times for whole rollouts.
ORIGINAL = {"step": 27.0, "rollouts": 1790.0, "training": 5670.0}
TIMES = {"step": 8, "rollouts": 15, "training": 30}


def dynamics_rows(repeats: int = 20) -> list[dict]:
    """Measure on one thread, in that thread's time; the best of many, as other programs only ever add to it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _fast_rows(repeats) + _reference_rows(max(1, repeats // 7))
    finally:
        torch.set_num_threads(threads)


def _fast_rows(repeats: int) -> list[dict]:
    model = FastDynamics()
    one, many = _case(1, 1), _case(1, 32)
    rollout = _best(_foretell(model, *one), 20 * repeats)
    rows = [
        _row("dynamics: one step", rollout, "step"),
        _row("dynamics: 32 tools from one start, one step", _best(_foretell(model, *many), repeats // 2), "rollouts"),
        _row(
            "dynamics: training step, batch 32, one step",
            _best(_learn(model, *_case(32, 32)), repeats // 3),
            "training",
        ),
        _longer("dynamics: training step, batch 32, 5 steps", _best(_learn(model, *_case(32, 32, 5)), 2), "training"),
        _longer(
            "dynamics: 32 tools from one start, 10 steps", _best(_foretell(model, *_case(1, 32, 10)), 2), "rollouts"
        ),
    ]
    particles, tools = one
    passive = particles.points[:, torch.arange(100_000) % N] + 0.003 * torch.randn(1, 100_000, 3)
    model.eval()
    dense = _best(lambda: rollout_dense(model, particles, tools, passive), repeats // 2)
    return [*rows, _row("dynamics: one step with 100 000 points read out", dense)]


def _reference_rows(repeats: int) -> list[dict]:
    model = make_dynamics("pgnd")
    return [
        _row("dynamics: one step, published model", _best(_foretell(model, *_case(1, 1)), 2 * repeats)),
        _row("dynamics: training step, published model, batch 32", _best(_learn(model, *_case(32, 32)), 1)),
    ]


def _case(objects: int, tools: int, steps: int = 1) -> tuple[Particles, ToolPath]:
    """Surfaces of a plush body, 16 x 12 x 10 cm, and tools at its side; 1000 particles each."""
    rng = np.random.default_rng(0)
    ways = rng.normal(size=(objects, N, 3))
    points = ways / np.linalg.norm(ways, axis=-1, keepdims=True) * [0.08, 0.06, 0.05] + [0, 0, 0.06]
    start = np.array([0.05, 0.0, 0.06])
    path = start + np.cumsum(rng.normal(scale=0.01, size=(tools, steps + 1, 3)), axis=1)
    turns = np.tile([0.0, 1.0, 0.0, 0.0], (tools, steps + 1, 1))
    velocities = rng.normal(scale=0.05, size=(objects, 2, N, 3))
    shape = _tensor(points)
    state = Particles(shape, _tensor(velocities), shape, torch.zeros(objects, CODE))
    return state, ToolPath(_tensor(path), _tensor(turns), torch.ones(tools, steps + 1))


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32))


def _foretell(model: DynamicsModel, particles: Particles, tools: ToolPath) -> Callable[[], object]:
    model.eval()

    @torch.no_grad()
    def run() -> torch.Tensor:
        return model.rollout(particles, tools)

    return run


def _learn(model: DynamicsModel, particles: Particles, tools: ToolPath) -> Callable[[], object]:
    model.train()

    def run() -> None:
        model.zero_grad()
        model.rollout(particles, tools).square().mean().backward()

    return run


def _best(function: Callable[[], object], repeats: int) -> float:
    """Least thread time of a call, ms."""
    function()
    best = np.inf
    for _ in range(max(1, repeats)):
        start = time.thread_time()
        function()
        best = min(best, time.thread_time() - start)
    return 1e3 * best


def _row(name: str, value: float, against: str = "") -> dict:
    original = ORIGINAL.get(against)
    bar = None if original is None else round(original / TIMES[against], 2)
    reference = "" if original is None else f"original {original:g} ms, {original / value:.0f}x"
    ok = bar is None or value <= bar
    return {"name": name, "value": value, "unit": "ms", "bar": bar, "better": "lower", "reference": reference, "ok": ok}


def _longer(name: str, value: float, against: str) -> dict:
    """A row without a bar that says what the ratio would be, were the original's time that of as many steps."""
    original = ORIGINAL[against]
    return {**_row(name, value), "reference": f"original {original:g} ms, were it as long: {original / value:.1f}x"}
