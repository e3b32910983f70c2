"""What a user may choose about a learned policy, and where the shipped ones are."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from armflow.robot.errors import StackError

if TYPE_CHECKING:
    import numpy as np

    from armflow.policies.load import LoadedPolicy

__all__ = ["SHIPPED", "PolicyOptions", "PolicyOptionsError", "find_policy", "held_out_episode"]

_WEIGHTS = Path(__file__).parents[1] / "policies" / "weights"
SHIPPED = {"BlockPush": _WEIGHTS / "block_push", "PlayTable": _WEIGHTS / "play_table"}
"""Task -> folder of the policy that comes with armflow."""


class PolicyOptionsError(StackError):
    """Options of a policy that cannot be meant."""


@dataclass(frozen=True)
class PolicyOptions:
    """Options of learned policies; what is left away is as the checkpoint says."""

    checkpoint: str = ""
    """Folder of a trained policy, as `armflow train` leaves it; by default the one that comes with armflow."""
    sampler: str | None = None
    """Sampler of beso: ddim, euler, euler_ancestral, heun, dpm_2, dpm_2_ancestral, lms, dpmpp_2s, ..."""
    schedule: str | None = None
    """Noise levels of beso: exponential, linear, karras, cosine, vp, ve."""
    denoising_steps: int | None = None
    """Denoising steps of beso."""
    guidance: float | None = None
    """Strength of the goal in beso: 0 ignores it, 1 follows it as learned, above 1 exaggerates it."""
    execute: int | None = None
    """Actions of a chunk that are carried out before the next look."""
    goals: str = ""
    """A dataset: episodes begin and aim as those that training kept aside; by default the task draws its own."""


def find_policy(task: str, method: str | None, options: PolicyOptions) -> "LoadedPolicy":
    """Load the policy for a task.

    Args:
        task: Name of the task.
        method: What the checkpoint must have been trained with; None for anything.
        options: What the user chose.

    Raises:
        PolicyOptionsError: No policy comes with armflow for this task, or the checkpoint is for another method or task.
        StackError: The checkpoint is missing or broken.
    """
    from armflow.policies.load import SamplerOptions, load_policy

    folder = Path(options.checkpoint) if options.checkpoint else SHIPPED.get(task)
    if folder is None:
        raise PolicyOptionsError(
            f"no policy comes with armflow for {task}, only for {', '.join(SHIPPED)}; name one with --checkpoint"
        )
    chosen = SamplerOptions(
        options.sampler, options.schedule, options.denoising_steps, options.guidance, options.execute
    )
    loaded = load_policy(folder, chosen)
    if method is not None and loaded.method != method:
        raise PolicyOptionsError(f"{folder} holds a {loaded.method} policy; use --controller policy for it")
    if loaded.environment != task:
        raise PolicyOptionsError(f"{folder} was trained for {loaded.environment or 'no named task'}, not for {task}")
    return loaded


def held_out_episode(folder: str, task: str, seed: int) -> tuple["np.ndarray", "np.ndarray"]:
    """Start [S] and goal [G] of an episode that training kept aside: its first state and its last frame's goal columns.

    Args:
        folder: A dataset or anything that can be imported.
        task: The environment that it must be from.
        seed: Chooses the episode; counts round.

    Raises:
        PolicyOptionsError: The data are from another environment.
        StackError: They cannot be read.
    """
    table, goal, environment = _held_out(folder)
    if environment != task:
        raise PolicyOptionsError(f"{folder} was recorded in {environment or 'no named task'}, not in {task}")
    states = table.episode(seed % table.episodes)["observation.state"].astype(float)
    return states[0], states[-1, list(goal)]


_READ: dict[str, Any] = {}  # of this process: reading takes longer than an episode


def _held_out(folder: str) -> Any:
    from armflow.learning.store import load_table
    from armflow.policies.play import PlayConfig, PlayFields, split_episodes

    if folder not in _READ:
        table, schema = load_table(folder, ("observation.state",))
        fields = PlayFields.read(schema.extra, table.arrays["observation.state"].shape[1])
        _, aside = split_episodes(table.episodes, PlayConfig().holdout)
        _READ[folder] = table.select(aside), fields.goal, schema.extra.get("environment", "")
    return _READ[folder]
