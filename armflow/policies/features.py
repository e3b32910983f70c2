"""`StateFeatures`: raw states and goals as numbers of order one.

A network that is fed coordinates in a range of half a metre learns slowly what decides about contact: differences of a
few millimetres. So besides the standardised columns it gets the offsets between the points of a state, and from each
point to its goal, once linearly and once through tanh(offset / `NEAR`), which resolves what is close.
"""

from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

from armflow.policies.play import PlayFields

__all__ = ["StateFeatures"]

NEAR = 0.05  # m; offsets below it are resolved finely
FLOOR = 1e-4  # smallest spread that a column is divided by


class StateFeatures(nn.Module):
    """Features of states and goals, with the training data's mean and spread in buffers.

    Attributes:
        fields: What the columns mean.
        width: Number of features of a state.
        goal_width: Number of features of a goal on its own.
        offset_width: Number of features of a goal relative to a state.
    """

    mean: Tensor
    spread: Tensor
    offset_spread: Tensor

    def __init__(self, fields: PlayFields, state_width: int) -> None:
        """Prepare for states with `state_width` columns; `fit` sets mean and spread."""
        super().__init__()
        self.fields = fields
        seen = set(fields.observe)
        self._plain = [c for c in fields.observe if c not in fields.angles]
        self._turned = [c for c in fields.observe if c in fields.angles]
        points = [point for point in fields.points if seen.issuperset(point)]
        pairs = [(a, b) for p, q in combinations(points, 2) for a, b in zip(p, q, strict=False)]
        self._from, self._to = [a for a, _ in pairs], [b for _, b in pairs]
        self._goal = list(fields.goal)
        self.width = len(self._plain) + 2 * len(self._turned) + 2 * len(pairs)
        self.goal_width = len(self._goal)
        self.offset_width = 2 * len(self._goal)
        self.register_buffer("mean", torch.zeros(state_width))
        self.register_buffer("spread", torch.ones(state_width))
        self.register_buffer("offset_spread", torch.ones(len(pairs)))

    def fit(self, states: np.ndarray) -> None:
        """Take mean and spread from states [F, S]."""
        self.mean.copy_(torch.from_numpy(states.mean(axis=0)))
        self.spread.copy_(torch.from_numpy(np.maximum(states.std(axis=0), FLOOR)))
        offsets = states[:, self._to] - states[:, self._from]
        self.offset_spread.copy_(torch.from_numpy(np.maximum(offsets.std(axis=0), FLOOR)))

    def forward(self, states: Tensor) -> Tensor:
        """Features [..., width] of raw states [..., S]."""
        offsets = states[..., self._to] - states[..., self._from]
        return torch.cat(
            [
                ((states - self.mean) / self.spread)[..., self._plain],
                torch.sin(states[..., self._turned]),
                torch.cos(states[..., self._turned]),
                offsets / self.offset_spread,
                torch.tanh(offsets / NEAR),
            ],
            dim=-1,
        )

    def goals(self, goals: Tensor) -> Tensor:
        """Features [..., goal_width] of raw goals [..., G]."""
        return (goals - self.mean[self._goal]) / self.spread[self._goal]

    def offsets(self, states: Tensor, goals: Tensor) -> Tensor:
        """Features [..., offset_width] of raw goals [..., G] as seen from raw states [..., S]."""
        difference = goals - states[..., self._goal]
        return torch.cat([difference / self.spread[self._goal], torch.tanh(difference / NEAR)], dim=-1)
