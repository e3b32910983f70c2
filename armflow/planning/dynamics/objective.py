"""`DynamicsObjective`: what a dynamics model learns from interaction, as the trainer takes it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from armflow.planning.dynamics.adapt import CATEGORIES, hide_material
from armflow.planning.dynamics.data import Interactions, Scene, Windows, move_windows
from armflow.planning.dynamics.errors import DynamicsError
from armflow.planning.dynamics.load import make_dynamics
from armflow.planning.dynamics.types import DynamicsModel
from armflow.robot.errors import ChoiceError, ValueRangeError

__all__ = ["LEARNED", "PRESETS", "DynamicsObjective", "WindowConfig", "make_objective"]

LEARNED = ("fast", "pgnd", "gbnd")
EVALUATED = 32  # held-out windows in one evaluation
LONG = 30  # steps: 3 s


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """What one batch is.

    Attributes:
        horizons: Numbers of steps predicted in a row; each batch draws one, so that short ones teach the step and long
            ones teach the model to live with its own errors, in any order and after any resumption.
        particles: Fewest and most particles of a batch.
        jitter: Spread of noise on the particles' positions at the start, m; on the velocities, it is that in one step.
        hidden: Share of windows whose material is not told.
        moved: Windows are drawn where the points move by this much, m, ...
        still: ... but for this share of them.
    """

    horizons: tuple[int, ...] = (3, 6, 10)
    particles: tuple[int, int] = (64, 128)
    jitter: float = 0.001
    hidden: float = 0.5
    moved: float = 0.004
    still: float = 0.15

    def __post_init__(self) -> None:
        if not self.horizons or min(self.horizons) < 1:
            raise ValueRangeError("horizons", self.horizons, "numbers of at least 1")
        if not 2 <= self.particles[0] <= self.particles[1]:
            raise ValueRangeError("particles", self.particles, "fewest and most, at least 2")


# Preset -> windows, and settings of the trainer.
PRESETS: dict[str, tuple[WindowConfig, dict[str, Any]]] = {
    "quick": (
        WindowConfig(horizons=(3, 5)),
        {"steps": 600, "batch": 8, "learning_rate": 2e-3, "warmup": 50, "evaluate_every": 300, "save_every": 300},
    ),
    "full": (
        WindowConfig(),
        {"steps": 6000, "batch": 16, "learning_rate": 2e-3, "warmup": 100, "evaluate_every": 500, "save_every": 500},
    ),
}


class DynamicsObjective:
    """Distance of predicted from true particles over several steps, each from the one before.

    Loss of a window: mean over steps t and particles i of sqrt(|x_i(t) - x_i*(t)|^2 + eps^2) - eps, in cm. The square
    of Zhang et al. (2025), arXiv:2506.15680, eq. 9, lets the few windows in which an object escapes outweigh the rest.

    Attributes:
        module: The model.
        settings: Of the windows.
        train: Scenes to learn from.
        aside: Held-out scenes.
    """

    def __init__(
        self, name: str, train: Interactions, aside: Interactions | None, settings: WindowConfig, *, seed: int = 0
    ) -> None:
        """Build the model `name`."""
        self.name, self.train, self.aside, self.settings = name, train, aside, settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module: DynamicsModel = make_dynamics(name)
        every = train.starts(max(settings.horizons), every=0.0)
        try:
            moving = train.starts(max(settings.horizons), every=0.0, moved=settings.moved)
        except DynamicsError:
            moving = every
        kinds = [int(scene.code[: len(CATEGORIES)].argmax()) for scene in train.scenes]
        lively = _by_kind(moving, kinds)
        self._starts = [(rows, lively.get(kind, rows)) for kind, rows in _by_kind(every, kinds).items()]

    def batch(self, size: int, *, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """Draw windows, turned and shifted, with noise at the start; as many of each category, whatever is recorded."""
        steps = int(rng.choice(self.settings.horizons))
        count = int(rng.integers(self.settings.particles[0], self.settings.particles[1] + 1))
        kinds = rng.integers(len(self._starts), size=size)
        lists = [self._starts[kind][rng.uniform() >= self.settings.still] for kind in kinds]
        starts = np.stack([rows[rng.integers(len(rows))] for rows in lists])
        parts = move_windows(self.train.windows(starts, steps, count, rng=rng).tensors(), rng=rng)
        for name, spread in (("points", self.settings.jitter), ("velocities", 10 * self.settings.jitter)):
            noise = rng.normal(scale=spread, size=parts[name].shape).astype(np.float32)
            parts[name] = parts[name] + torch.from_numpy(noise)
        hidden = torch.from_numpy(rng.uniform(size=size) < self.settings.hidden)
        parts["code"] = hide_material(parts["code"], hidden)
        return parts

    def loss(
        self, module: nn.Module, batch: dict[str, torch.Tensor], *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Mean distance over steps and particles, cm."""
        assert isinstance(module, DynamicsModel)
        windows = Windows.of(batch)
        error = 100.0 * (module.rollout(windows.particles, windows.tools) - windows.truth)
        return (error.square().sum(dim=-1) + 0.01).sqrt().mean() - 0.1

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        """Loss on held-out windows of 3 s, material unknown; the error at 1 and 3 s beside that of no motion, m."""
        assert isinstance(module, DynamicsModel)
        if self.aside is None:
            return {}
        steps, rng = LONG, np.random.default_rng(0)
        try:
            starts = self.aside.starts(steps, every=1.0, moved=self.settings.moved)
        except DynamicsError:
            return {}
        drawn = self.aside.windows(starts[rng.permutation(len(starts))[:EVALUATED]], steps, 200, rng=rng)
        device = next(module.parameters()).device
        parts = {name: part.to(device) for name, part in drawn.tensors().items()}
        parts["code"] = hide_material(parts["code"])
        windows = Windows.of(parts)
        error = (module.rollout(windows.particles, windows.tools) - windows.truth).norm(dim=-1).mean(dim=(0, 2))
        still = (windows.particles.points[:, None] - windows.truth).norm(dim=-1).mean(dim=(0, 2))
        return {
            "loss": 100.0 * float(error.mean()),
            "error_1s": float(error[9]),
            "error_3s": float(error[-1]),
            "error_over_still": float(error.mean() / still.mean()),
        }

    def config(self) -> dict[str, Any]:
        """JSON that `load_dynamics` rebuilds the model from."""
        return {"method": self.name, "model": self.module.settings()}


def _by_kind(starts: np.ndarray, kinds: list[int]) -> dict[int, np.ndarray]:
    """Starts [K, 2] by the category of their scene."""
    of = np.array(kinds)[starts[:, 0]]
    return {int(kind): starts[of == kind] for kind in np.unique(of)}


def make_objective(scenes: list[Scene], name: str, preset: str, *, seed: int = 0) -> DynamicsObjective:
    """Make what `armflow train dynamics` learns; every tenth scene is held out, always the same ones.

    Raises:
        ChoiceError: No such model that learns, or no such preset.
        DynamicsError: Too few or too short episodes.
    """
    if name not in LEARNED:
        raise ChoiceError("dynamics model that learns", name, LEARNED)
    if preset not in PRESETS:
        raise ChoiceError("preset", preset, PRESETS)
    aside = [scene for index, scene in enumerate(scenes) if index % 10 == 9]
    train = [scene for index, scene in enumerate(scenes) if index % 10 != 9]
    held_out = Interactions(aside) if aside else None
    return DynamicsObjective(name, Interactions(train), held_out, PRESETS[preset][0], seed=seed)
