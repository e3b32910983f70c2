"""From a checkpoint's folder to a policy that acts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from armflow.learning.checkpoint import Checkpoint, load_checkpoint
from armflow.policies.agent import Policy, PolicyAgent
from armflow.policies.beso.config import BesoConfig
from armflow.policies.beso.network import ScoreTransformer
from armflow.policies.beso.objective import build_network
from armflow.policies.beso.policy import BesoPolicy
from armflow.policies.pictures import Eye, PictureEncoder
from armflow.policies.play import PlayConfig, PlayFields
from armflow.robot.errors import StackError

__all__ = ["LoadedPolicy", "PolicyError", "SamplerOptions", "load_policy", "wrap_policy"]


class PolicyError(StackError):
    """A checkpoint is not a policy, or not whole."""


@dataclass(frozen=True, slots=True)
class SamplerOptions:
    """What may be chosen anew after training; None keeps what the checkpoint says.

    Attributes:
        sampler: A key of `learning.score.SAMPLERS`.
        schedule: A key of `learning.score.SCHEDULES`.
        steps: Denoising steps.
        guidance: 0 ignores the goal, 1 follows it as learned, above 1 exaggerates it.
        execute: Actions of a chunk that are carried out before the next look.
    """

    sampler: str | None = None
    schedule: str | None = None
    steps: int | None = None
    guidance: float | None = None
    execute: int | None = None

    def chosen(self) -> dict[str, Any]:
        """Return those that are not None."""
        names = ("sampler", "schedule", "steps", "guidance", "execute")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy and what it needs around it.

    Attributes:
        policy: Gives actions.
        play: Its window, chunk and goal frames.
        execute: Actions of a chunk that are carried out.
        environment: The environment of its data, or "".
        method: What it was trained with.
        eye: What looks at pictures, where the policy sees any.
    """

    policy: Policy
    play: PlayConfig
    execute: int
    environment: str
    method: str
    eye: Eye | None = None

    def agent(self, *, seed: int) -> PolicyAgent:
        """Make an agent for episodes."""
        return PolicyAgent(self.policy, self.play, execute=self.execute, seed=seed, eye=self.eye)


def load_policy(folder: str | Path, options: SamplerOptions | None = None) -> LoadedPolicy:
    """Load a policy of any method.

    Raises:
        FormatError: A file of the checkpoint is missing or broken.
        PolicyError: It is no policy, or weights and configuration do not fit.
        ChoiceError: An unknown sampler or schedule.
    """
    checkpoint = load_checkpoint(folder)
    return wrap_policy(_module(checkpoint), checkpoint.config, options)


def _module(checkpoint: Checkpoint) -> nn.Module:
    config = checkpoint.config
    if config["method"] != "beso":
        from armflow.policies.baselines import load_policy as load_baseline

        return load_baseline(checkpoint)
    try:
        network = build_network(
            _fields(config), config["state_width"], config["action_width"], BesoConfig.read(config["settings"])
        )
        network.load_state_dict(checkpoint.tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise PolicyError(f"weights and config.json do not fit: {error}") from error
    return network.eval().requires_grad_(False)


def wrap_policy(module: nn.Module, config: Mapping[str, Any], options: SamplerOptions | None = None) -> LoadedPolicy:
    """Make a policy of a trained network and the configuration of its objective."""
    environment = str(config.get("environment", config.get("extra", {}).get("environment", "")))
    encoder = next((part for part in module.modules() if isinstance(part, PictureEncoder)), None)
    eye = None if encoder is None else Eye(encoder)
    chosen = (options or SamplerOptions()).chosen()
    if isinstance(module, ScoreTransformer):
        settings = replace(BesoConfig.read(dict(config["settings"])), **chosen)
        return LoadedPolicy(BesoPolicy(module, settings), settings.play, settings.execute, environment, "beso", eye)
    if set(chosen) - {"execute"}:
        raise PolicyError(f"a {config['method']} policy has no {', '.join(sorted(set(chosen) - {'execute'}))}")
    policy = cast(Policy, module)
    play, execute = PlayConfig(**config["play"]), int(chosen.get("execute", 1))
    return LoadedPolicy(policy, play, execute, environment, str(config["method"]), eye)


def _fields(config: Mapping[str, Any]) -> PlayFields:
    return PlayFields.read(config["fields"], int(config["state_width"]))
