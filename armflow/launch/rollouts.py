"""Playing a goal-conditioned policy in the environment of its data: while training, and for learning curves."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from torch import nn

from armflow.policies.load import LoadedPolicy, wrap_policy

__all__ = ["evaluate_policy", "play_episode"]


def evaluate_policy(
    module: nn.Module, config: Mapping[str, Any], environment: str, episodes: int, seed: int
) -> dict[str, float]:
    """Play a network over some episodes.

    Args:
        module: Trained, in evaluation mode; one that lies on a GPU plays as a copy on the processor.
        config: What its objective's `config` says.
        environment: Such as "BlockPush".
        episodes: How many.
        seed: Of the first; the others follow.

    Returns:
        "success": share of episodes that reached their goal; "steps": their mean length.
    """
    import armflow.envs  # noqa: F401 - registers the environments

    on_processor = all(part.device.type == "cpu" for part in module.parameters())
    loaded = wrap_policy(module if on_processor else deepcopy(module).cpu(), config)
    env = gymnasium.make(f"armflow/{environment}-v0")
    try:
        ends = [play_episode(env, loaded, seed + k) for k in range(episodes)]
    finally:
        env.close()
    return {"success": float(np.mean([end[0] for end in ends])), "steps": float(np.mean([end[1] for end in ends]))}


def play_episode(
    env: gymnasium.Env, loaded: LoadedPolicy, seed: int, options: dict[str, Any] | None = None
) -> tuple[bool, int, dict[str, Any]]:
    """Play one episode; returns success, steps, and the last `info`."""
    observation, info = env.reset(seed=seed, options=options)
    agent, steps, over = loaded.agent(seed=seed), 0, False
    while not over:
        picture = loaded.eye.view(env.unwrapped.camera.read()) if loaded.eye else None  # type: ignore[attr-defined]
        action = agent.act(observation["observation"], observation["desired_goal"], picture)
        action = np.clip(action, env.action_space.low, env.action_space.high)  # type: ignore[attr-defined]
        observation, _, ended, cut, info = env.step(action)
        over, steps = ended or cut, steps + 1
    return bool(info["is_success"]), steps, info
