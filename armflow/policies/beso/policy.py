"""`BesoPolicy`: draws actions from a trained score network, with any sampler, schedule and guidance."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from armflow.learning.score import SAMPLERS, SCHEDULES, Preconditioning, guide
from armflow.policies.beso.config import BesoConfig
from armflow.policies.beso.network import ScoreTransformer
from armflow.policies.beso.single import SingleToken

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
    single: SingleToken | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """See the weights as arrays too, where they lie on the processor."""
        weights = self.network.action_mean
        single = SingleToken(self.network, self.settings.sigma_data) if weights.device.type == "cpu" else None
        object.__setattr__(self, "single", single)

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
        sigmas = SCHEDULES[settings.schedule](settings.steps, settings.sigma_min, settings.sigma_max).float()
        noise = torch.randn((batch, window, network.play.chunk * network.action_width), generator=generator).to(states)
        known = network.past_rows(network.scaled(past))

        told, hidden = (_Window(self, states, goals, keep, known, noise[:, :-1], sigmas[:-1]) for keep in (1.0, 0.0))
        denoise = guide(told, hidden, settings.guidance)
        found = SAMPLERS[settings.sampler](denoise, sigmas[0] * noise[:, -1], sigmas, generator=generator)
        return network.unscaled(found.unflatten(-1, (-1, network.action_width)))


@dataclass(slots=True)
class _Window:
    """The denoiser of one window: maps the noisy last chunk x [B, H A] at sigma [] to its clean estimate.

    All levels of the schedule are looked at in one pass when the first is asked for. Only the last action's token
    changes while it is denoised, so that a step computes this one token; see `CausalTransformer.extend`.

    Attributes:
        policy: Whose network it is.
        states: [B, W, S].
        goals: [B, F, G].
        keep: 1 to tell the goal, 0 to hide it.
        known: [B, W - 1, H A] past actions, scaled.
        noise: [B, W - 1, H A] their noise, of spread one.
        levels: [L] noise levels of the schedule, on the CPU.
    """

    policy: BesoPolicy
    states: Tensor
    goals: Tensor
    keep: float
    known: Tensor
    noise: Tensor
    levels: Tensor
    _seen: dict[float, Any] = field(default_factory=dict)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        if not self._seen:
            self._look(self.levels)
        level = float(sigma)
        if level not in self._seen:  # samplers of second order stop between the levels
            self._look(sigma.detach().cpu().reshape(1))
        seen, single = self._seen[level], self.policy.single
        if self._alone and single is not None:
            return torch.from_numpy(single.denoise(x[0].numpy(), level, seen))[None]
        edm = Preconditioning(self.policy.settings.sigma_data)
        return edm.denoise(lambda row, _: self.policy.network.extend(row, seen), x, sigma)

    @property
    def _alone(self) -> bool:
        """Whether there is one window, in float32 on the CPU."""
        known = self.known
        return len(known) == 1 and known.device.type == "cpu" and known.dtype == torch.float32

    def _look(self, levels: Tensor) -> None:
        """Remember what the window holds at noise levels [L]."""
        network, edm = self.policy.network, Preconditioning(self.policy.settings.sigma_data)
        sigma = levels.to(self.known)
        wide = sigma[:, None, None, None]
        past = edm.c_in(wide) * network.hide_ahead(self.known + wide * self.noise)
        context = network.context(self.states, self.goals, self.states.new_full((len(self.states),), self.keep))
        memories = network.remember(past, edm.c_noise(sigma), context)
        view = SingleToken.view if self._alone and self.policy.single is not None else lambda memory: memory
        self._seen.update((level, view(memory)) for level, memory in zip(levels.tolist(), memories, strict=True))
