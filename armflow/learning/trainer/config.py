"""What a training is given, and what it tells: the objective, its settings, the listener and the record."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from armflow.robot.errors import ChoiceError, ValueRangeError

__all__ = ["Listener", "Objective", "Progress", "Rollouts", "TrainConfig", "TrainRecord", "learning_rate"]

Rollouts = Callable[[nn.Module, int], dict[str, float]]  # (module with the averaged weights, step) -> scores


class Objective(Protocol):
    """What is learned, from which data; the trainer knows nothing else about a model."""

    @property
    def module(self) -> nn.Module:
        """The network; the trainer moves it to its device and changes its weights."""
        ...

    def batch(self, size: int, *, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw `size` examples; every tensor's first dimension is `size`."""
        ...

    def loss(self, module: nn.Module, batch: dict[str, Tensor], *, generator: torch.Generator) -> Tensor:
        """Loss [] of a batch, the mean over its examples; noise comes from `generator`."""
        ...

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        """Scores on data held out; `module` is in evaluation mode and no gradients are kept."""
        ...

    def config(self) -> dict[str, Any]:
        """JSON that rebuilds the module, with "method"."""
        ...


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of one training."""

    steps: int = 10_000
    """Steps in all."""
    batch: int = 256
    """Examples of one step, over all processes together."""
    learning_rate: float = 3e-4
    """Highest learning rate of AdamW."""
    weight_decay: float = 0.05
    """Decoupled weight decay of matrices; gains, offsets and embeddings have none."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Memory of AdamW's two averages."""
    warmup: int = 200
    """Steps over which the learning rate rises from zero in a line."""
    decay: str = "cosine"
    """After the warm-up: cosine, down to zero at the last step, or constant."""
    ema_decay: float = 0.999
    """Memory of the averaged weights, the ones that are evaluated and kept; 0 keeps the last weights."""
    clip_norm: float = 1.0
    """Longest gradient."""
    precision: str = "auto"
    """fp32, bf16 (activations only), or auto: bf16 where the processor has instructions for it."""
    evaluate_every: int = 1000
    """Steps between evaluations."""
    save_every: int = 1000
    """Steps between checkpoints; the last step and Ctrl-C write one too."""
    log_every: int = 50
    """Steps between lines of metrics."""
    seed: int = 0
    """Seed of batches and noise."""
    devices: int = 1
    """Processes, or GPUs, on each machine."""
    nodes: int = 1
    """Machines."""
    accelerator: str = "auto"
    """cpu, cuda, or auto: a GPU where there is one."""

    def __post_init__(self) -> None:
        """Refuse numbers outside their range.

        Raises:
            ValueRangeError: A number cannot be meant.
            ChoiceError: An unknown decay, precision or accelerator.
        """
        for name in ("steps", "batch", "evaluate_every", "save_every", "log_every", "devices", "nodes"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("warmup", "seed", "weight_decay"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) < math.inf, "finite and at least 0")
        for name in ("learning_rate", "clip_norm"):
            _check(name, getattr(self, name), 0 < getattr(self, name) < math.inf, "finite and above 0")
        object.__setattr__(self, "betas", tuple(self.betas))
        _check("betas", self.betas, all(0 <= beta < 1 for beta in self.betas), "two of at least 0 and below 1")
        _check("ema_decay", self.ema_decay, 0 <= self.ema_decay < 1, "at least 0 and below 1")
        _pick("decay", self.decay, ("cosine", "constant"))
        _pick("precision", self.precision, ("auto", "fp32", "bf16"))
        _pick("accelerator", self.accelerator, ("auto", "cpu", "cuda"))


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training is after one step."""

    step: int
    """Steps done."""
    steps: int
    """Steps in all."""
    samples: int
    """Examples seen."""
    seconds: float
    """Time in steps, s; without evaluations."""
    loss: float
    """Loss of this step."""
    skipped: int
    """Steps skipped because the loss or the gradient was not finite."""


class Listener(Protocol):
    """Follows a training; is called in the leading process only."""

    def stepped(self, progress: Progress) -> None:
        """After every step."""
        ...

    def measured(self, line: Mapping[str, Any]) -> None:
        """After every line that was added to the metrics."""
        ...


@dataclass(frozen=True, slots=True)
class TrainRecord:
    """What came of a training."""

    steps: int
    """Steps done."""
    samples: int
    """Examples seen."""
    seconds: float
    """Time in steps, s, over all resumptions."""
    seconds_total: float
    """Time with evaluations and checkpoints, s."""
    skipped: int
    """Steps skipped because the loss or the gradient was not finite."""
    loss: float
    """Training loss of the last step that was finite."""
    scores: dict[str, float]
    """The last evaluation: validation/… and rollouts/…."""
    parameters: int
    """Numbers that were learned."""
    precision: str
    """fp32 or bf16."""
    device: str
    """cpu or cuda, and how many processes."""


def learning_rate(step: int, config: TrainConfig) -> float:
    """Learning rate of a step, counted from 0: a line up, then constant or half a cosine down to zero.

    Reference:
        Loshchilov and Hutter (2017), arXiv 1608.03983, equation 5, without restarts.
    """
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    if config.decay == "constant":
        return config.learning_rate
    share = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _check(name: str, value: object, ok: bool, bound: str) -> None:
    if not ok:
        raise ValueRangeError(name, value, bound)


def _pick(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ChoiceError(name, value, choices)
