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
    plain: Tensor
    turned: Tensor
    goal: Tensor
    tail: Tensor
    head: Tensor
    aims: Tensor

    def __init__(self, fields: PlayFields, state_width: int) -> None:
        """Prepare for states with `state_width` columns; `fit` sets mean and spread."""
        super().__init__()
        self.fields = fields
        seen, goal = set(fields.observe), list(fields.goal)
        plain = [c for c in fields.observe if c not in fields.angles]
        turned = [c for c in fields.observe if c in fields.angles]
        pairs = list(combinations([point for point in fields.points if seen.issuperset(point)], 2))
        aims = [[goal.index(c) for c in point] for point in fields.points if set(goal).issuperset(point)]
        self.encoder = PictureEncoder(fields.picture) if fields.picture else None
        sights = fields.picture.sights if fields.picture else 0
        self.width = len(plain) + 2 * len(turned) + sum(3 * len(a) + 1 for a, _ in pairs) + sights
        self.goal_width = len(goal)
        self.offset_width = 2 * len(goal) + sum(len(places) + 1 for places in aims)
        self.register_buffer("mean", torch.zeros(state_width))
        self.register_buffer("spread", torch.ones(state_width))
        self.register_buffer("near", torch.tensor([float(c in seen) for c in goal]), persistent=False)
        tail, head = [a for a, _ in pairs], [b for _, b in pairs]
        lists = {"plain": plain, "turned": turned, "goal": goal, "tail": tail, "head": head, "aims": aims}
        for name, columns in lists.items():
            self.register_buffer(name, torch.tensor(columns, dtype=torch.long), persistent=False)

    def fit(self, states: np.ndarray) -> None:
        """Take mean and spread from states [F, S]."""
        self.mean.copy_(torch.from_numpy(states.mean(axis=0)))
        self.spread.copy_(torch.from_numpy(np.maximum(states.std(axis=0), FLOOR)))

    def forward(self, states: Tensor) -> Tensor:
        """Features [..., width] of raw states [..., S], sights behind them where there are any."""
        states, sights = states[..., : len(self.mean)], states[..., len(self.mean) :]
        parts = [
            ((states - self.mean) / self.spread)[..., self.plain],
            torch.sin(states[..., self.turned]),
            torch.cos(states[..., self.turned]),
        ]
        if len(self.head):
            offset = states[..., self.head] - states[..., self.tail]  # [..., pairs, D]
            ways = [offset / self.spread[self.head], torch.tanh(offset / NEAR), *_heading(offset)]
            parts.append(torch.cat(ways, dim=-1).flatten(-2))
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
        return (goals - self.mean[self.goal]) / self.spread[self.goal]

    def offsets(self, states: Tensor, goals: Tensor) -> Tensor:
        """Features [..., offset_width] of raw goals [..., G] as seen from raw states [..., S]."""
        difference = (goals - states[..., self.goal]) * self.near
        parts = [difference / self.spread[self.goal], torch.tanh(difference / NEAR)]
        if len(self.aims):
            parts.append(torch.cat(_heading(difference[..., self.aims]), dim=-1).flatten(-2))
        return torch.cat(parts, dim=-1)


def _heading(offset: Tensor) -> tuple[Tensor, Tensor]:
    """Direction [..., N] and scaled logarithm of the length [..., 1] of offsets [..., N] m."""
    length = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
    return offset / (length + CLOSEST), 0.5 * torch.log((length + CLOSEST) / NEAR)
