"""BESO's speed: one action, and one training step, at the published size and at ours."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from armflow.learning.store.schema import Schema
from armflow.learning.store.table import EpisodeTable
from armflow.learning.trainer import Progress, TrainConfig, train
from armflow.policies.beso.config import MODELS, BesoConfig
from armflow.policies.beso.objective import BesoObjective, make_objective
from armflow.policies.beso.policy import BesoPolicy

__all__ = ["policy_rows"]

CORES = 2
EXTRA = {
    "observe": list(range(10)),
    "goal": [0, 1, 3, 4],
    "angles": [2, 5],
    "points": [[0, 1], [3, 4], [6, 7]],
}
ORIGINAL_ACTION, ORIGINAL_STEP = 10.6, 0.477  # ms and s, the original code on two cores of the same class


def policy_rows(actions: int = 200, steps: int = 12) -> list[dict]:
    """Measure on two threads, in wall-clock time; the best of many, as other programs only ever add to it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(CORES)
    try:
        published, ours = (_objective(preset) for preset in ("published", "full"))
        seconds, our_seconds = _step_seconds(published, steps), _step_seconds(ours, steps, precision="fp32")
        return [
            _row("beso: action, 3 DDIM steps, 4x240x12", _action_ms(published, actions), "ms", 3.5, ORIGINAL_ACTION),
            _row("beso: action, 3 DDIM steps, as shipped", _action_ms(ours, actions), "ms", 3.5, None),
            _row("beso: training step, 4x240x12, batch 256", seconds, "s", ORIGINAL_STEP / 2, ORIGINAL_STEP),
            _row("beso: training samples, 4x240x12", 256 / seconds, "1/s", None, 256 / ORIGINAL_STEP, lower=False),
            _row("beso: training samples, as shipped", 256 / our_seconds, "1/s", None, None, lower=False),
        ]
    finally:
        torch.set_num_threads(threads)


def _objective(preset: str) -> BesoObjective:
    """A model on random numbers in the shape of block push, without dropout."""
    rng = np.random.default_rng(0)
    starts = np.arange(11, dtype=np.int64) * 100
    arrays = {"observation.state": rng.normal(size=(1000, 16)), "action": rng.normal(size=(1000, 2))}
    table = EpisodeTable({name: array.astype(np.float32) for name, array in arrays.items()}, starts)
    objective = make_objective(table, Schema(10.0, {}, extra=EXTRA), preset, seed=0)
    if MODELS[preset].backbone.dropout:
        settings = replace(MODELS[preset], backbone=replace(MODELS[preset].backbone, dropout=0.0))
        objective = BesoObjective(objective.train, objective.aside, settings)
    return objective


def _action_ms(objective: BesoObjective, actions: int) -> float:
    settings: BesoConfig = objective.settings
    policy = BesoPolicy(objective.module.eval(), settings)
    window = objective.train.windows(np.arange(1) + 50, rng=np.random.default_rng(0))
    past, generator = window.actions[:, :-1, 0], torch.Generator().manual_seed(0)
    best = np.inf
    for _ in range(actions):
        start = time.perf_counter()
        policy.predict(window.states, past, window.goals, generator=generator)
        best = min(best, time.perf_counter() - start)
    return 1e3 * best


@dataclass
class _Clock:
    """Notes the trainer's time after each step."""

    seconds: list[float] = field(default_factory=list)

    def stepped(self, progress: Progress) -> None:
        self.seconds.append(progress.seconds)

    def measured(self, line: Mapping[str, Any]) -> None:
        pass


def _step_seconds(objective: BesoObjective, steps: int, *, precision: str = "auto") -> float:
    """Best step of 256 windows in a short training: batch, loss, gradient, clipping, AdamW and averaging."""
    clock = _Clock()
    config = TrainConfig(steps=steps, batch=256, precision=precision, evaluate_every=10**6)
    with tempfile.TemporaryDirectory() as folder:
        train(objective, config, folder, listener=clock)
    return float(np.diff(clock.seconds).min())


def _row(name: str, value: float, unit: str, bar: float | None, original: float | None, *, lower: bool = True) -> dict:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "bar": bar,
        "better": "lower" if lower else "higher",
        "reference": "" if original is None else f"original {original:.4g} {unit}",
        "ok": bar is None or value <= bar,
    }
