"""Players that show what can be done in an environment, from its state; many ways, never just the shortest."""

from typing import Protocol

import numpy as np

from armflow.envs.scripted.block_push import BlockPlay
from armflow.envs.scripted.play_table import TablePlay
from armflow.robot.errors import ChoiceError

__all__ = ["DEMONSTRATORS", "BlockPlay", "Demonstrator", "TablePlay", "make_demonstrator"]


class Demonstrator(Protocol):
    """Plays episodes of one environment."""

    def reset(self, observation: dict[str, np.ndarray], *, rng: np.random.Generator) -> None:
        """Begin an episode from its first observation."""
        ...

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray | None:
        """Return the next action, or None when there is nothing more to show."""
        ...


DEMONSTRATORS: dict[str, type[Demonstrator]] = {"BlockPush": BlockPlay, "PlayTable": TablePlay}
"""Players by environment."""


def make_demonstrator(task: str) -> Demonstrator:
    """Make the player of an environment.

    Raises:
        ChoiceError: There is none for it.
    """
    if task not in DEMONSTRATORS:
        raise ChoiceError("demonstrator for task", task, DEMONSTRATORS)
    return DEMONSTRATORS[task]()
