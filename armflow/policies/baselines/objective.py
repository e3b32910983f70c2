"""Training the baselines: settings, objective, and the way back from a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from armflow.learning.checkpoint import Checkpoint
from armflow.learning.store.schema import Schema
from armflow.learning.store.table import EpisodeTable
from armflow.policies.backbone import BackboneConfig
from armflow.policies.baselines.methods import BinnedActions, Clone
from armflow.policies.baselines.networks import GoalMLP, GoalTransformer
from armflow.policies.beso.config import MODELS
from armflow.policies.pictures import PictureConfig
from armflow.policies.play import PlayConfig, PlayData, PlayDataError, PlayFields
from armflow.robot.errors import ChoiceError, StackError, ValueRangeError

__all__ = [
    "METHODS",
    "PRESETS",
    "BaselineConfig",
    "BaselineConfigError",
    "BaselineObjective",
    "build_policy",
    "load_policy",
    "make_objective",
]

METHODS = ("bc_mlp", "bc_transformer", "cbet")
EXAMINED = 2048  # windows of the validation data that scores are taken from


class BaselineConfigError(StackError):
    """A checkpoint's configuration does not describe a baseline."""


@dataclass(frozen=True, slots=True)
class BaselineConfig:
    """Settings of a baseline.

    Attributes:
        play: How windows are cut and goals are drawn.
        backbone: Size of the transformer.
        hidden: Widths of the hidden layers of bc_mlp.
        bins: Number of action bins of cbet.
        focus: Exponent gamma of cbet's focal loss.
    """

    play: PlayConfig = field(default_factory=PlayConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    hidden: tuple[int, ...] = (512, 512, 512)
    bins: int = 64
    focus: float = 2.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.hidden or min(self.hidden) < 1:
            raise ValueRangeError("hidden", self.hidden, "one or more widths of at least 1")
        if self.bins < 1:
            raise ValueRangeError("bins", self.bins, "at least 1")
        if not 0 <= self.focus < np.inf:
            raise ValueRangeError("focus", self.focus, "finite and at least 0")


PRESETS: dict[str, BaselineConfig] = {
    name: BaselineConfig(model.play, model.backbone, hidden=(4 * model.backbone.width,) * 3)
    for name, model in MODELS.items()
}
"""Settings by preset: windows, goals and transformer are those of BESO's preset of the same name."""


def make_objective(
    table: EpisodeTable, schema: Schema, preset: BaselineConfig, *, method: str, seed: int
) -> "BaselineObjective":
    """Prepare a baseline for training: split the episodes, build the network, take spreads and bins from the data.

    Args:
        table: Episodes with "observation.state" and "action".
        schema: Says in `extra` what the state's columns mean.
        preset: One of `PRESETS`, or settings of one's own.
        method: One of `METHODS`.
        seed: Of the first weights and the bins; the split into training and held-out episodes is always the same.

    Raises:
        ChoiceError: An unknown method.
        PlayDataError: The data have no states or actions, too few episodes, or numbers that are not finite.
        BinError: The data have fewer different actions than cbet is to have bins.
    """
    state_width, action_width = (_width(table, name) for name in ("observation.state", "action"))
    fields = PlayFields.read(schema.extra, state_width)
    train, aside = PlayData.split(table, fields, preset.play)
    config = {
        "method": method,
        "environment": schema.extra.get("environment", ""),
        "state_width": state_width,
        "action_width": action_width,
        "fields": fields.facts(),
        **asdict(preset),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = build_policy(config)
    policy.fit(train, rng=np.random.default_rng(seed))
    return BaselineObjective(policy, train, aside, config)


@dataclass(frozen=True, slots=True)
class BaselineObjective:
    """A baseline, its data and its settings, as `learning.trainer.Objective` asks.

    Attributes:
        module: The policy.
        train: Data that it learns from.
        aside: Data that it is examined on.
        settings: What rebuilds the policy.
    """

    module: Clone | BinnedActions
    train: PlayData
    aside: PlayData
    settings: dict[str, Any]

    def batch(self, size: int, *, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw windows and goals."""
        return self.train.tensors(self.train.sample(size, rng=rng))

    def loss(self, module: nn.Module, batch: dict[str, Tensor], *, generator: torch.Generator) -> Tensor:
        """Ask the policy; noise only shifts pictures."""
        policy = _policy(module)
        return policy.loss({**batch, "states": policy.features.see(batch, generator=generator)})

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        """Loss on held-out windows, and the rms distance of predicted actions from those taken, in their own unit.

        Always the same windows of the episodes kept aside; {} where none are.
        """
        if not self.aside.frames:
            return {}
        policy, rng = _policy(module), np.random.default_rng(0)
        device = next(policy.parameters()).device
        drawn = self.aside.tensors(self.aside.sample(min(EXAMINED, self.aside.frames), rng=rng))
        batch = {name: part.to(device) for name, part in drawn.items()}
        batch["states"] = policy.features.see(batch)
        found = policy.predict(
            batch["states"],
            batch["actions"][:, :-1, 0],
            batch["goals"],
            generator=torch.Generator(device).manual_seed(0),
        )
        error = (found - batch["actions"][:, -1])[batch["valid"][:, -1]]
        return {"loss": float(policy.loss(batch)), "action_rms": float(error.square().sum(dim=-1).mean().sqrt())}

    def config(self) -> dict[str, Any]:
        """Method, sizes, columns and settings."""
        return self.settings


def build_policy(config: Mapping[str, Any]) -> Clone | BinnedActions:
    """Make the policy that a configuration describes, with fresh weights.

    Args:
        config: As `BaselineObjective.config` gives it, also after a way through JSON.

    Raises:
        ChoiceError: An unknown method.
        BaselineConfigError: Something else is missing or has the wrong form.
    """
    method = config.get("method")
    if method not in METHODS:
        raise ChoiceError("baseline", method, METHODS)
    try:
        fields = _read_fields(config["fields"])
        play, backbone = PlayConfig(**config["play"]), BackboneConfig(**config["backbone"])
        states, actions = int(config["state_width"]), int(config["action_width"])
        row = play.chunk * actions
        if method == "bc_mlp":
            return Clone(GoalMLP(fields, states, play, tuple(config["hidden"]), row), actions)
        if method == "bc_transformer":
            return Clone(GoalTransformer(fields, states, play, backbone, row), actions)
        bins = int(config["bins"])
        network = GoalTransformer(fields, states, play, backbone, bins * (1 + row))
        return BinnedActions(network, actions, play.chunk, bins, float(config["focus"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BaselineConfigError(f"config.json does not describe a {method} policy: {error!r}") from error


def load_policy(checkpoint: Checkpoint) -> Clone | BinnedActions:
    """Make the policy of a checkpoint, ready to act.

    Raises:
        ChoiceError: The checkpoint is not a baseline's.
        BaselineConfigError: The configuration is incomplete, or does not fit the weights.
    """
    policy = build_policy(checkpoint.config)
    try:
        policy.load_state_dict(checkpoint.tensors)
    except RuntimeError as error:
        raise BaselineConfigError(f"model.safetensors does not fit config.json: {error}") from error
    return policy.eval().requires_grad_(False)


def _policy(module: nn.Module) -> Clone | BinnedActions:
    assert isinstance(module, Clone | BinnedActions), type(module)
    return module


def _width(table: EpisodeTable, name: str) -> int:
    array = table.arrays.get(name)
    if array is None or array.ndim != 2:
        found = "no such column" if array is None else f"shape {array.shape}"
        raise PlayDataError(f"'{name}' must be a row of numbers for each frame; the data have {found}")
    return array.shape[1]


def _read_fields(told: Mapping[str, Any]) -> PlayFields:
    return PlayFields(
        observe=tuple(told["observe"]),
        goal=tuple(told["goal"]),
        angles=tuple(told["angles"]),
        points=tuple(tuple(point) for point in told["points"]),
        picture=PictureConfig(**told["picture"]) if "picture" in told else None,
    )
