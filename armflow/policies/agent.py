"""`PolicyAgent`: a goal-conditioned policy over one episode: what it has seen, what it has done, what it does next."""

from collections import deque
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from armflow.policies.pictures import Eye
from armflow.policies.play import PlayConfig
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import StackError

__all__ = ["AgentError", "Policy", "PolicyAgent"]


class AgentError(StackError):
    """A policy gave no usable action."""


class Policy(Protocol):
    """What every learned policy does at run time."""

    def predict(
        self, states: Tensor, past: Tensor, goals: Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Give the actions that follow from the last frame.

        Args:
            states: [B, W, S] raw states, oldest first; sights behind them where the policy sees pictures.
            past: [B, W - 1, A] actions taken at all but the last of these frames.
            goals: [B, F, G] raw goals.
            generator: Source of randomness.

        Returns:
            [B, H, A] actions in their own unit.
        """
        ...


class PolicyAgent:
    """Keeps the window that a policy sees, as training cut it: the first frame repeats, without action, to fill it.

    Attributes:
        policy: What gives the actions.
        play: Window, chunk and goal frames.
        execute: Actions of a chunk that are carried out before the policy is asked again.
        eye: What looks at pictures, where the policy sees any.
    """

    def __init__(
        self, policy: Policy, play: PlayConfig, *, execute: int = 1, seed: int = 0, eye: Eye | None = None
    ) -> None:
        """Take a policy; `seed` is the source of its randomness."""
        self.policy, self.play, self.execute, self.eye = policy, play, execute, eye
        self._generator = torch.Generator().manual_seed(seed)
        self._states: deque[np.ndarray] = deque(maxlen=play.window)
        self._actions: deque[np.ndarray] = deque(maxlen=max(play.window - 1, 1))
        self._ahead: list[np.ndarray] = []

    def reset(self) -> None:
        """Forget the last episode; the random numbers go on."""
        self._states.clear()
        self._actions.clear()
        self._ahead = []

    def act(self, state: np.ndarray, goal: np.ndarray, picture: np.ndarray | None = None) -> np.ndarray:
        """Return the next action [A] from a state [S] towards a goal [G], all in their own units.

        A policy that sees pictures takes one, [H, W, 3] uint8, of the recorded size.

        Raises:
            ShapeError: The state or the goal is not finite or not a row of numbers, or the picture of another size.
            AgentError: The policy's answer is not finite, or it has no picture to see.
        """
        state, goal = np.asarray(state, np.float32), np.asarray(goal, np.float32)
        for name, row in (("state", state), ("goal", goal)):
            check_shape(name, row, "N")
            check_finite(name, row)
        if self.eye is not None:
            if picture is None:
                raise AgentError(f"the policy sees pictures of camera {self.eye.config.camera}, and was given none")
            state = np.concatenate([state, self.eye.look(picture)])
        self._states.append(state)
        if not self._ahead:
            self._ahead = list(self._ask(goal)[: self.execute])
        action = self._ahead.pop(0)
        self._actions.append(action)
        return action

    def _ask(self, goal: np.ndarray) -> np.ndarray:
        """Ask the policy for a chunk [H, A]."""
        missing = self.play.window - len(self._states)
        states = torch.from_numpy(np.stack([self._states[0]] * missing + list(self._states)))[None]
        goals = torch.from_numpy(np.stack([goal] * self.play.goal_frames))[None]
        chunk = self.policy.predict(states, self._past(missing), goals, generator=self._generator)[0].numpy()
        if not np.isfinite(chunk).all():
            raise AgentError("the policy's action is not finite: the checkpoint is broken, or the state is far off")
        return chunk

    def _past(self, missing: int) -> Tensor:
        """Actions at all but the last frame of the window [1, W - 1, A]; zeros before the episode's first."""
        count = self.play.window - 1
        taken = list(self._actions)[-min(count, len(self._states) - 1) :] if count and len(self._states) > 1 else []
        if not taken:
            return torch.zeros(1, count, 1)
        blank = [np.zeros_like(taken[0])] * missing
        return torch.from_numpy(np.stack(blank + taken))[None]
