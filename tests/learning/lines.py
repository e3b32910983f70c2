"""A line fitted through noisy points: the smallest objective; noise and dropout make every generator matter."""

import numpy as np
import torch
from torch import Tensor, nn

from armflow.learning.trainer import TrainConfig


class Lines:
    """Learns y = A x + b with a small network."""

    def __init__(self, *, seed: int = 0, dropout: float = 0.2, noise: float = 0.1, width: int = 16) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = nn.Sequential(
                nn.Linear(3, width), nn.LayerNorm(width), nn.Dropout(dropout), nn.ReLU(), nn.Linear(width, 2)
            )
        self.matrix = torch.tensor([[1.0, 2.0, -1.0], [0.5, -1.0, 0.3]])
        self.noise, self.width = noise, width
        self.evaluations = 0
        self.poison: set[int] = set()  # batches, counted from 0, whose targets are not finite
        self.drawn = 0

    def batch(self, size: int, *, rng: np.random.Generator) -> dict[str, Tensor]:
        x = torch.from_numpy(rng.standard_normal((size, 3)).astype(np.float32))
        y = x @ self.matrix.T + 1.0
        if self.drawn in self.poison:
            y = y * torch.nan
        self.drawn += 1
        return {"x": x, "y": y}

    def loss(self, module: nn.Module, batch: dict[str, Tensor], *, generator: torch.Generator) -> Tensor:
        x = batch["x"]
        if self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=generator)
        return (module(x) - batch["y"]).square().mean()

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        assert not module.training
        self.evaluations += 1
        x = torch.randn(64, 3)  # from the global generator: training must not notice
        return {"loss": float((module(x) - x @ self.matrix.T - 1.0).square().mean())}

    def config(self) -> dict[str, object]:
        return {"method": "lines", "width": self.width}


def settings(**changed: object) -> TrainConfig:
    values = {"steps": 20, "batch": 16, "warmup": 5, "evaluate_every": 5, "save_every": 5, "log_every": 5}
    rest = {
        "learning_rate": 3e-3,
        "ema_decay": 0.9,
        "precision": "fp32",
    }  # the same on processors with and without bf16
    return TrainConfig(**{**values, **rest, **changed})  # type: ignore[arg-type]
