"""`StateFeatures`: raw states and goals as numbers of order one.

A network that is fed coordinates in a range of half a metre learns slowly what decides about contact: differences of a
few millimetres, and directions. So besides the standardised columns it gets the way between any two points of a state,
and from each point to its goal: as an offset, as tanh(offset / `NEAR`), which resolves what is close, as a direction,
and as the logarithm of its length.

Where a policy sees pictures, their sights stand behind the columns of each state (`StateFeatures.see`).
"""

from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

from armflow.policies.pictures import PictureEncoder, shift
from armflow.policies.play import PlayFields

__all__ = ["StateFeatures"]

NEAR = 0.05  # m; offsets below it are resolved finely
CLOSEST = 1e-3  # m; below it a direction fades out
FLOOR = 1e-4  # smallest spread that a column is divided by


class StateFeatures(nn.Module):
    """Features of states and goals, with the training data's mean and spread in buffers.

    Attributes:
        fields: What the columns mean.
        width: Number of features of a state.
        goal_width: Number of features of a goal on its own.
        offset_width: Number of features of a goal relative to a state; those of columns that are not seen are 0.
        encoder: What looks at pictures, or None.
    """

    mean: Tensor
    spread: Tensor
    near: Tensor

    def __init__(self, fields: PlayFields, state_width: int) -> None:
        """Prepare for states with `state_width` columns; `fit` sets mean and spread."""
        super().__init__()
        self.fields = fields
        seen, goal = set(fields.observe), list(fields.goal)
        self._plain = [c for c in fields.observe if c not in fields.angles]
        self._turned = [c for c in fields.observe if c in fields.angles]
        points = [point for point in fields.points if seen.issuperset(point)]
        self._pairs = [(list(a), list(b)) for a, b in combinations(points, 2) if len(a) == len(b)]
        reached = [point for point in fields.points if set(goal).issuperset(point)]
        self._aims = [(list(point), [goal.index(c) for c in point]) for point in reached]
        self._goal = goal
        self.encoder = PictureEncoder(fields.picture) if fields.picture else None
        sights = fields.picture.sights if fields.picture else 0
        self.width = len(self._plain) + 2 * len(self._turned) + sum(3 * len(a) + 1 for a, _ in self._pairs) + sights
        self.goal_width = len(goal)
        self.offset_width = 2 * len(goal) + sum(len(point) + 1 for point, _ in self._aims)
        self.register_buffer("mean", torch.zeros(state_width))
        self.register_buffer("spread", torch.ones(state_width))
        self.register_buffer("near", torch.tensor([float(c in seen) for c in goal]), persistent=False)

    def fit(self, states: np.ndarray) -> None:
        """Take mean and spread from states [F, S]."""
        self.mean.copy_(torch.from_numpy(states.mean(axis=0)))
        self.spread.copy_(torch.from_numpy(np.maximum(states.std(axis=0), FLOOR)))

    def forward(self, states: Tensor) -> Tensor:
        """Features [..., width] of raw states [..., S], sights behind them where there are any."""
        states, sights = states[..., : len(self.mean)], states[..., len(self.mean) :]
        parts = [
            ((states - self.mean) / self.spread)[..., self._plain],
            torch.sin(states[..., self._turned]),
            torch.cos(states[..., self._turned]),
        ]
        for a, b in self._pairs:
            offset = states[..., b] - states[..., a]
            parts += [offset / self.spread[b], torch.tanh(offset / NEAR), *_heading(offset)]
        return torch.cat([*parts, sights], dim=-1)

    def see(self, batch: dict[str, Tensor], *, generator: torch.Generator | None = None) -> Tensor:
        """States [B, W, S] of a batch, each with the sights of its picture behind it where the policy sees pictures.

        Args:
            batch: "states" and, [B, W, H, W', 3] uint8, "pictures".
            generator: Shifts the pictures while training.
        """
        states = batch["states"]
        if self.encoder is None:
            return states
        pictures, most = batch["pictures"], self.encoder.config.shifted
        if self.training and most and generator is not None:
            pictures = shift(pictures, most, generator=generator)
        return torch.cat([states, self.encoder.sights(pictures).to(states)], dim=-1)

    def goals(self, goals: Tensor) -> Tensor:
        """Features [..., goal_width] of raw goals [..., G]."""
        return (goals - self.mean[self._goal]) / self.spread[self._goal]

    def offsets(self, states: Tensor, goals: Tensor) -> Tensor:
        """Features [..., offset_width] of raw goals [..., G] as seen from raw states [..., S]."""
        difference = (goals - states[..., self._goal]) * self.near
        parts = [difference / self.spread[self._goal], torch.tanh(difference / NEAR)]
        for _, places in self._aims:
            parts += _heading(difference[..., places])
        return torch.cat(parts, dim=-1)


def _heading(offset: Tensor) -> tuple[Tensor, Tensor]:
    """Direction [..., N] and scaled logarithm of the length [..., 1] of offsets [..., N] m."""
    length = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
    return offset / (length + CLOSEST), 0.5 * torch.log((length + CLOSEST) / NEAR)
