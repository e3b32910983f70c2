"""`ScoreTransformer`: the causal transformer of BESO (Reuss et al. 2023, arXiv 2304.02532, section IV-C).

Tokens [sigma, goals, state 1, noisy action 1, ..., state W, noisy action W]; each action token gives its own clean
action, as F = shift + gain * x. Where state and goal settle the action a, the right answer F = (a - c_skip x) / c_out
is linear in the noisy action x. A head that may only shift has to rebuild x from its token, behind layer norms; one
with a gain learns faster.
"""

import numpy as np
import torch
from torch import Tensor, nn

from armflow.policies.backbone import BackboneConfig, CausalTransformer, Memory
from armflow.policies.features import StateFeatures
from armflow.policies.play import PlayConfig, PlayFields

__all__ = ["ScoreTransformer"]


class ScoreTransformer(nn.Module):
    """The raw network F of Karras et al. (2022), eq. 7; preconditioning is `learning.score`'s.

    Attributes:
        features: States and goals as network inputs.
        action_mean: [A] mean of the training actions, in their unit.
        action_spread: [A] their spread.
    """

    action_mean: Tensor
    action_spread: Tensor
    read: Tensor
    own: Tensor

    def __init__(
        self, fields: PlayFields, state_width: int, action_width: int, play: PlayConfig, backbone: BackboneConfig
    ) -> None:
        """Build for states [S] and actions [A] in windows as `play` says."""
        super().__init__()
        width = backbone.width
        self.play, self.action_width = play, action_width
        self.features = StateFeatures(fields, state_width)
        self.state_token = nn.Linear(self.features.width, width)
        self.goal_token = nn.Linear(self.features.goal_width, width)
        self.offset_part = nn.Linear(self.features.offset_width, width, bias=False)
        self.action_token = nn.Linear(play.chunk * action_width, width)
        self.sigma_token = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.place = nn.Parameter(0.02 * torch.randn(play.goal_frames + play.window, width))
        self.no_goal = nn.Parameter(0.02 * torch.randn(width))
        self.backbone = CausalTransformer(backbone)
        self.head = nn.Linear(width, 2 * play.chunk * action_width)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("action_mean", torch.zeros(action_width))
        self.register_buffer("action_spread", torch.ones(action_width))
        first = 1 + play.goal_frames
        self.register_buffer("read", torch.arange(play.window) * 2 + first + 1, persistent=False)
        own = torch.arange(play.chunk * action_width) < action_width
        self.register_buffer("own", own.float(), persistent=False)

    def fit(self, states: np.ndarray, actions: np.ndarray) -> None:
        """Take mean and spread from states [F, S] and actions [F, A] of the training data."""
        self.features.fit(states)
        self.action_mean.copy_(torch.from_numpy(actions.mean(axis=0)))
        self.action_spread.copy_(torch.from_numpy(np.maximum(actions.std(axis=0), 1e-6)))

    def scaled(self, actions: Tensor) -> Tensor:
        """Raw actions [..., A] to numbers of spread one."""
        return (actions - self.action_mean) / self.action_spread

    def unscaled(self, actions: Tensor) -> Tensor:
        """Numbers of spread one back to raw actions [..., A]."""
        return actions * self.action_spread + self.action_mean

    def context(self, states: Tensor, goals: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Embed what does not change while an action is denoised.

        Args:
            states: [B, W, S] raw.
            goals: [B, F, G] raw.
            keep: [B] 1 where the goal is told, 0 where it is hidden (classifier-free guidance).

        Returns:
            Goal tokens [B, F, C] and state tokens [B, W, C].
        """
        frames = self.play.goal_frames
        told = keep.to(states.dtype)[:, None, None]
        goal = told * self.goal_token(self.features.goals(goals)) + (1 - told) * self.no_goal
        state = self.state_token(self.features(states))
        state = state + told * self.offset_part(self.features.offsets(states, goals[:, -1:]))
        return goal + self.place[:frames], state + self.place[frames:]

    def past_rows(self, actions: Tensor) -> Tensor:
        """Past actions [B, W - 1, A] as the first numbers of rows [B, W - 1, H * A]; the others are hidden anyway."""
        return nn.functional.pad(actions, (0, (self.play.chunk - 1) * self.action_width))

    def hide_ahead(self, rows: Tensor) -> Tensor:
        """Set to 0 what a past row [B, W - 1, H * A] holds beyond its own action: at run time it is not known."""
        return rows * self.own if self.play.chunk > 1 else rows

    def remember(self, past: Tensor, noise: Tensor, context: tuple[Tensor, Tensor]) -> list[Memory]:
        """Compute, at several noise levels in one pass, all that the last action's token will look back on.

        Args:
            past: [L, B, W - 1, H * A] the actions before it, noised for each level and scaled by c_in.
            noise: [L] c_noise.
            context: From `context`.

        Returns:
            One memory a level, for `extend`.
        """
        levels, batch = past.shape[:2]
        goal, state = (part.expand(levels, *part.shape).flatten(0, 1) for part in context)
        sigma = self.sigma_token(noise[:, None]).repeat_interleave(batch, dim=0)[:, None]
        action = self.action_token(past.flatten(0, 1)) + self.place[self.play.goal_frames : -1]
        pairs = torch.stack([state[:, :-1], action], dim=2).flatten(1, 2)
        memory = self.backbone.remember(torch.cat([sigma, goal, pairs, state[:, -1:]], dim=1))
        parts = [[pair for pair in zip(*(one.chunk(levels) for one in kept), strict=True)] for kept in memory]
        return [list(level) for level in zip(*parts, strict=True)]

    def extend(self, last: Tensor, memory: Memory) -> Tensor:
        """Denoise the last row [B, H * A], scaled by c_in, at the noise level of a memory."""
        token = self.action_token(last) + self.place[-1]
        return self._leave(self.backbone.extend(token[:, None], memory)[:, 0], last)

    def forward(
        self, actions: Tensor, noise: Tensor, context: tuple[Tensor, Tensor], *, last_only: bool = False
    ) -> Tensor:
        """Denoise.

        Args:
            actions: [B, W, H * A] scaled by c_in; only the last row may hold actions beyond its own frame.
            noise: [B] or [] c_noise, a quarter of the logarithm of sigma.
            context: From `context`.
            last_only: Whether the last row of the result is all that is needed.

        Returns:
            [B, W, H * A], or [B, 1, H * A].
        """
        goal, state = context
        batch, window, width = state.shape
        action = self.action_token(actions) + self.place[self.play.goal_frames :]
        pairs = torch.stack([state, action], dim=2).view(batch, 2 * window, width)
        sigma = self.sigma_token(noise.reshape(-1, 1, 1)).expand(batch, 1, width)
        read = self.read[-1:] if last_only else self.read
        found = self.backbone(torch.cat([sigma, goal, pairs], dim=1), read)
        return self._leave(found, actions[:, -1:] if last_only else actions)

    def _leave(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """Denoise rows [..., H * A] from their tokens [..., C]."""
        shift, gain = self.head(tokens).chunk(2, dim=-1)
        return shift + gain * rows
