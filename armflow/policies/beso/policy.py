"""`BesoPolicy`: draws actions from a trained score network, with any sampler, schedule and guidance."""

from dataclasses import dataclass

import torch
from torch import Tensor

from armflow.learning.score import SAMPLERS, SCHEDULES, Denoiser, Preconditioning, guide
from armflow.policies.beso.config import BesoConfig
from armflow.policies.beso.network import ScoreTransformer

__all__ = ["BesoPolicy"]


@dataclass(frozen=True, slots=True)
class BesoPolicy:
    """Denoises the chunk that follows from the last frame of a window.

    Past actions carry the noise of the level at hand, as they did in training; the original noises them in training
    only.

    Attributes:
        network: Trained, in evaluation mode.
        settings: Noise levels, sampler, schedule, steps and guidance.
    """

    network: ScoreTransformer
    settings: BesoConfig

    @torch.no_grad()
    def predict(
        self, states: Tensor, past: Tensor, goals: Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw actions.

        Args:
            states: [B, W, S] raw states, oldest first.
            past: [B, W - 1, A] the actions taken at all but the last of these frames.
            goals: [B, F, G] raw goals.
            generator: Source of the noise.

        Returns:
            [B, H, A] actions in their own unit.
        """
        network, settings = self.network, self.settings
        batch, window = states.shape[:2]
        row = network.play.chunk * network.action_width
        sigmas = SCHEDULES[settings.schedule](settings.steps, settings.sigma_min, settings.sigma_max).float()
        noise = torch.randn((batch, window, row), generator=generator).to(states)
        known = network.past_rows(network.scaled(past))
        told, hidden = (self._denoiser(states, goals, known, noise[:, :-1], keep) for keep in (1.0, 0.0))
        denoise = guide(told, hidden, settings.guidance)
        found = SAMPLERS[settings.sampler](denoise, sigmas[0] * noise[:, -1], sigmas, generator=generator)
        return network.unscaled(found.unflatten(-1, (-1, network.action_width)))

    def _denoiser(self, states: Tensor, goals: Tensor, known: Tensor, noise: Tensor, keep: float) -> Denoiser:
        """Bind a window: maps the noisy last chunk x [B, H A] at sigma [] to its clean estimate.

        Args:
            states: [B, W, S].
            goals: [B, F, G].
            known: [B, W - 1, H A] past actions, scaled.
            noise: [B, W - 1, H A] their noise, of spread one.
            keep: 1 to tell the goal, 0 to hide it.
        """
        edm = Preconditioning(self.settings.sigma_data)
        context = self.network.context(states, goals, states.new_full((len(states),), keep))

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            past = self.network.hide_ahead(known + sigma * noise)
            whole = torch.cat([past, x[:, None]], dim=1)
            return edm.denoise(lambda y, c: self.network(y, c, context, last_only=True), whole, sigma)[:, -1]

        return denoise
