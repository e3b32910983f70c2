"""The baselines: what is done with a network's numbers, in training and at run time.

`Clone` is behaviour cloning: the network gives the action, and squares of its error are what it learns from; where the
data do different things in the same place it learns their mean. `BinnedActions` gives a choice among bins of actions
and an offset for each, and draws: C-BeT, Cui, Wang, Shafiullah and Pinto (2023), arXiv 2210.10047.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from armflow.policies.baselines.bins import find_bins, nearest
from armflow.policies.features import StateFeatures
from armflow.policies.play import PlayData

__all__ = ["BaselinePolicy", "BinnedActions", "Clone"]

FLOOR = 1e-6  # smallest spread that an action is divided by
EXAMPLES = 20_000  # action chunks that bins are found from


class BaselinePolicy(Protocol):
    """What the objective and the controller ask of a baseline; all are `torch.nn.Module`s."""

    def fit(self, data: PlayData, *, rng: np.random.Generator) -> None:
        """Set from the training data what is not learned: spreads, bins."""
        ...

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss [] of a batch with "states", "actions", "goals", "valid" as `PlayWindows` has them."""
        ...

    def predict(
        self, states: Tensor, past: Tensor, goals: Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """As `policies.agent.Policy` says; past actions are not looked at."""
        ...


class _Actions(nn.Module):
    """Chunks of raw actions as rows of numbers of spread one, and back."""

    mean: Tensor
    spread: Tensor

    def __init__(self, action_width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(action_width))
        self.register_buffer("spread", torch.ones(action_width))

    def fit(self, actions: Tensor) -> None:
        """Take mean and spread from actions [F, A]."""
        spread = actions.std(dim=0, correction=0)
        self.mean.copy_(actions.mean(dim=0))
        self.spread.copy_(torch.where(spread > FLOOR, spread, torch.ones_like(spread)))

    def rows(self, actions: Tensor) -> Tensor:
        """[..., H, A] raw to [..., H * A]."""
        return ((actions - self.mean) / self.spread).flatten(-2)

    def chunks(self, rows: Tensor) -> Tensor:
        """[..., H * A] to [..., H, A] raw."""
        return rows.unflatten(-1, (-1, len(self.mean))) * self.spread + self.mean

    def mask(self, valid: Tensor) -> Tensor:
        """[..., H] whether there is an action, to [..., H * A] ones and zeros."""
        return valid[..., None].expand(*valid.shape, len(self.mean)).flatten(-2).to(self.mean.dtype)


class Clone(nn.Module):
    """Goal-conditioned behaviour cloning with any network that gives H * A numbers a frame."""

    def __init__(self, network: nn.Module, action_width: int) -> None:
        super().__init__()
        self.network, self.actions = network, _Actions(action_width)

    @property
    def features(self) -> StateFeatures:
        """States and goals as the network's inputs."""
        return _features(self.network)

    def fit(self, data: PlayData, *, rng: np.random.Generator) -> None:
        """Set the spreads of states and actions."""
        _fit(self.network, self.actions, data)

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error over the actions that there are."""
        rows = self.network(batch["states"], batch["goals"]).float()
        frames = rows.shape[1]
        wanted = self.actions.rows(batch["actions"][:, -frames:])
        mask = self.actions.mask(batch["valid"][:, -frames:])
        return _mean((rows - wanted) ** 2, mask)

    @torch.no_grad()
    def predict(
        self, states: Tensor, past: Tensor, goals: Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Give the action that was learned; nothing is drawn."""
        return self.actions.chunks(self.network(states, goals)[:, -1].float())


class BinnedActions(nn.Module):
    """A choice among K bins of action chunks, by focal loss, and an offset from the middle of the chosen bin.

    The network gives K + K * H * A numbers a frame: the bins' scores, then an offset for each bin, in units of the
    spread that actions have about the middles of their bins.
    """

    centres: Tensor
    reach: Tensor

    def __init__(self, network: nn.Module, action_width: int, chunk: int, bins: int, focus: float) -> None:
        """Build for K = `bins`; `focus` is the exponent gamma of the focal loss."""
        super().__init__()
        self.network, self.actions, self.focus = network, _Actions(action_width), focus
        self.register_buffer("centres", torch.zeros(bins, chunk * action_width))
        self.register_buffer("reach", torch.ones(chunk * action_width))

    @property
    def features(self) -> StateFeatures:
        """States and goals as the network's inputs."""
        return _features(self.network)

    def fit(self, data: PlayData, *, rng: np.random.Generator) -> None:
        """Set the spreads, and find the bins by k-means.

        Raises:
            BinError: The data have fewer different actions than there are bins.
        """
        _fit(self.network, self.actions, data)
        drawn = data.windows(rng.permutation(data.frames)[:EXAMPLES], rng=rng)
        whole = drawn.valid[:, -1].all(dim=-1)
        rows = self.actions.rows(drawn.actions[whole, -1]).numpy().astype(np.float64)
        centres = find_bins(rows, len(self.centres), rng=rng)
        reach = (rows - centres[nearest(rows, centres)]).std(axis=0)
        self.centres.copy_(torch.from_numpy(centres))
        self.reach.copy_(torch.from_numpy(np.where(reach > FLOOR, reach, 1.0)))

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Focal loss of the right bin plus the squared error of its offset, each a mean over what there is.

        Lin et al. (2017), arXiv 1708.02002, eq. 4: -(1 - p)^gamma ln p; Cui et al. (2023), section 3.2.
        """
        logits, offsets = self._read(batch["states"], batch["goals"])
        frames = logits.shape[1]
        wanted = self.actions.rows(batch["actions"][:, -frames:])  # [B, R, H A]
        mask = self.actions.mask(batch["valid"][:, -frames:])
        away = wanted[..., None, :] - self.centres  # [B, R, K, H A]
        right = (mask[..., None, :] * away**2).sum(-1).argmin(-1)[..., None]  # [B, R, 1]
        log_p = logits.log_softmax(-1).gather(-1, right)[..., 0]
        focal = -((1 - log_p.exp()).clamp_min(0) ** self.focus) * log_p
        offset = _of(offsets, right) - _of(away, right) / self.reach
        return _mean(focal, mask.amax(dim=-1)) + _mean(offset**2, mask)

    @torch.no_grad()
    def predict(
        self, states: Tensor, past: Tensor, goals: Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a bin with its probability and go to its middle plus its offset."""
        logits, offsets = (part[:, -1] for part in self._read(states, goals))
        chances = logits.softmax(-1)
        device = chances.device if generator is None else generator.device
        drawn = torch.multinomial(chances.to(device), 1, generator=generator).to(chances.device)  # [B, 1]
        return self.actions.chunks(self.centres[drawn[:, 0]] + _of(offsets, drawn) * self.reach)

    def _read(self, states: Tensor, goals: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, R, K] and offsets [B, R, K, H A]."""
        numbers = self.network(states, goals).float()
        bins = len(self.centres)
        return numbers[..., :bins], numbers[..., bins:].unflatten(-1, (bins, -1))


def _of(values: Tensor, bins: Tensor) -> Tensor:
    """Rows [..., D] of values [..., K, D] at the bins [..., 1]."""
    return torch.take_along_dim(values, bins[..., None], dim=-2)[..., 0, :]


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is one."""
    return (values * mask).sum() / mask.sum().clamp_min(1)


def _features(network: nn.Module) -> StateFeatures:
    features = network.get_submodule("features")
    assert isinstance(features, StateFeatures)
    return features


def _fit(network: nn.Module, actions: _Actions, data: PlayData) -> None:
    """Set the spreads from the frames of the training episodes."""
    rows = data.training_frames()
    _features(network).fit(data.states.numpy()[rows])
    actions.fit(data.actions[torch.from_numpy(rows)])
