"""`BesoObjective`: what BESO learns from play, as the trainer takes it."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from armflow.learning.score import Preconditioning, TruncatedLogLogistic
from armflow.learning.store.schema import Schema
from armflow.learning.store.table import EpisodeTable
from armflow.policies.beso.config import MODELS, BesoConfig
from armflow.policies.beso.network import ScoreTransformer
from armflow.policies.beso.policy import BesoPolicy
from armflow.policies.play import PlayData, PlayFields
from armflow.robot.errors import ChoiceError

__all__ = ["BesoObjective", "build_network", "make_objective"]

EVALUATED = 2048  # windows of held-out play in one evaluation


class BesoObjective:
    """Denoising score matching on windows of play: Reuss et al. (2023), arXiv 2304.02532, eq. 4.

    The whole window carries one noise level, past actions too; `BesoPolicy` treats them the same way at run time. A
    goal is hidden whole, never number by number.

    Attributes:
        module: The network.
        settings: Model, noise and sampler.
        train: Windows to learn from.
        aside: Windows of the held-out episodes.
        environment: Where the data are from, or "".
    """

    def __init__(
        self, train: PlayData, aside: PlayData, settings: BesoConfig, *, environment: str = "", seed: int = 0
    ) -> None:
        """Build the network and take mean and spread from the training windows."""
        self.train, self.aside, self.settings, self.environment = train, aside, settings, environment
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module: ScoreTransformer = build_network(
                train.fields, train.states.shape[1], train.actions.shape[1], settings
            )
        frames = torch.from_numpy(train.training_frames())
        self.module.fit(train.states[frames].numpy(), train.actions[frames].numpy())
        self._edm = Preconditioning(settings.sigma_data)
        self._sigma = TruncatedLogLogistic(
            settings.sigma_min, settings.sigma_max, median=settings.sigma_median, scale=0.5
        )

    def batch(self, size: int, *, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw windows."""
        return self.train.tensors(self.train.sample(size, rng=rng))

    def loss(self, module: nn.Module, batch: dict[str, Tensor], *, generator: torch.Generator) -> Tensor:
        """Weighted squared error of the denoised actions, averaged over those that exist."""
        assert isinstance(module, ScoreTransformer)
        states = module.features.see(batch, generator=generator)
        clean = module.scaled(batch["actions"]).flatten(2)  # [B, W, H A]
        sigma = self._sigma((len(states),), generator).to(states)
        noise = torch.randn(clean.shape, generator=generator, device=generator.device).to(clean)
        told = torch.rand(len(states), generator=generator, device=generator.device) >= self.settings.goal_dropout
        context = module.context(states, batch["goals"], told.to(states))
        only_last = module.play.chunk > 1  # earlier rows hold one action each, see `hide_ahead`

        def network(x: Tensor, c_noise: Tensor) -> Tensor:
            rows = torch.cat([module.hide_ahead(x[:, :-1]), x[:, -1:]], dim=1)
            found = module(rows, c_noise, context, last_only=only_last)
            return torch.cat([x.new_zeros(rows[:, :-1].shape), found], dim=1) if only_last else found

        error = self._edm.squared_error(network, clean, noise, sigma)
        valid = batch["valid"].repeat_interleave(module.action_width, dim=-1).to(error)
        if only_last:
            error, valid = error[:, -1], valid[:, -1]
        return (error * valid).sum() / valid.sum().clamp(min=1)

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        """Loss on held-out windows, and the rms distance of drawn actions from those taken, in their own unit."""
        assert isinstance(module, ScoreTransformer)
        if not self.aside.frames:
            return {}
        rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        drawn = self.aside.windows(rng.permutation(self.aside.frames)[:EVALUATED], rng=rng)
        device = module.action_mean.device
        batch = {name: part.to(device) for name, part in self.aside.tensors(drawn).items()}
        loss = self.loss(module, batch, generator=generator)
        policy = BesoPolicy(module, self.settings)
        past = batch["actions"][:, :-1, 0]
        found = policy.predict(module.features.see(batch), past, batch["goals"], generator=generator)
        error = (found - batch["actions"][:, -1])[batch["valid"][:, -1]]
        return {"loss": float(loss), "action_rms": float(error.square().sum(dim=-1).mean().sqrt())}

    def config(self) -> dict[str, Any]:
        """JSON that `load_policy` rebuilds the network from."""
        return {
            "method": "beso",
            "environment": self.environment,
            "state_width": self.train.states.shape[1],
            "action_width": self.train.actions.shape[1],
            "fields": self.train.fields.facts(),
            "settings": asdict(self.settings),
        }


def build_network(fields: PlayFields, state_width: int, action_width: int, settings: BesoConfig) -> ScoreTransformer:
    """Make the untrained network of a configuration."""
    return ScoreTransformer(fields, state_width, action_width, settings.play, settings.backbone)


def make_objective(table: EpisodeTable, schema: Schema, preset: str, *, seed: int) -> BesoObjective:
    """Make what `armflow train beso` learns.

    Args:
        table: "observation.state" and "action" of all episodes.
        schema: Says in `extra` what the columns mean.
        preset: A key of `MODELS`.
        seed: Of the first weights; the split into training and held-out episodes is always the same.

    Raises:
        ChoiceError: No such preset.
        PlayDataError: The data do not fit.
    """
    if preset not in MODELS:
        raise ChoiceError("preset", preset, MODELS)
    settings = MODELS[preset]
    fields = PlayFields.read(schema.extra, table.arrays["observation.state"].shape[1])
    train, aside = PlayData.split(table, fields, settings.play)
    environment = str(schema.extra.get("environment", ""))
    return BesoObjective(train, aside, settings, environment=environment, seed=seed)
