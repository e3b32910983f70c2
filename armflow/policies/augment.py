"""Variants of recorded windows that are as true as the recording, for training.

Play that shows no mistakes teaches nothing about recovering from them, and an actor that hardly ever changes its pace
teaches to go on as before (de Haan et al. 2019, arXiv 1905.11979). Three remedies, each optional:

- exchange: objects that differ in name only change places;
- displace: the robot stands a little beside its path, and its first action leads back to where it was to go;
- settle: readings that trail behind their command are set to it, which hides how fast the robot was.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from armflow.policies.play import PlayFields, PlayWindows

__all__ = ["displace", "exchange", "settle"]


def exchange(windows: "PlayWindows", fields: "PlayFields", *, rng: np.random.Generator) -> "PlayWindows":
    """Let groups of columns (`fields.alike`) change places at random, in states and goals alike."""
    groups = np.array(fields.alike)
    if len(groups) < 2:
        return windows
    count, width = len(windows.states), windows.states.shape[-1]
    orders = np.argsort(rng.random((count, len(groups))), axis=1)
    source = np.tile(np.arange(width), (count, 1))
    source[:, groups.ravel()] = groups[orders].reshape(count, -1)
    goal = np.array(fields.goal)
    place = np.full(width, -1)
    place[goal] = np.arange(len(goal))
    return replace(
        windows,
        states=_take(windows.states, torch.from_numpy(source)),
        goals=_take(windows.goals, torch.from_numpy(place[source[:, goal]])),
    )


def displace(
    windows: "PlayWindows", fields: "PlayFields", distance: float, *, rng: np.random.Generator
) -> "PlayWindows":
    """Move the robot by a normal offset of standard deviation `distance` and lead it back by the first action.

    Holds where an action shifts the columns that `fields.moved` lists for it.
    """
    count = len(windows.states)
    offset = torch.from_numpy(rng.normal(0.0, distance, (count, len(fields.moved))).astype(np.float32))
    states, actions = windows.states.clone(), windows.actions.clone()
    for action, shifted in enumerate(fields.moved):
        states[..., list(shifted)] += offset[:, None, action, None]
    actions[:, -1, 0, : len(fields.moved)] -= offset / fields.stride * windows.valid[:, -1, :1]
    return replace(windows, states=states, actions=actions)


def settle(windows: "PlayWindows", fields: "PlayFields", share: float, *, rng: np.random.Generator) -> "PlayWindows":
    """In a share of the windows, let all columns that an action shifts agree with the last one, the command."""
    chosen = torch.from_numpy(rng.random(len(windows.states)) < share)
    states = windows.states.clone()
    for *readings, command in fields.moved:
        states[..., readings] = torch.where(chosen[:, None, None], states[..., [command]], states[..., readings])
    return replace(windows, states=states)


def _take(values: Tensor, columns: Tensor) -> Tensor:
    """Choose columns [B, C] of values [B, T, C]."""
    return torch.gather(values, 2, columns[:, None].expand_as(values))
