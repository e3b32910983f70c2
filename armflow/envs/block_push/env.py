"""`BlockPushEnv`: BlockPush as a gymnasium environment, GoalEnv-style, with shifts of the pusher as actions."""

from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from armflow.envs.block_push.state import FIELDS
from armflow.envs.block_push.task import BlockPush, Rule
from armflow.envs.episode import TaskWorld
from armflow.envs.sim_camera import SimCamera
from armflow.robot.errors import ChoiceError

__all__ = ["MAX_SHIFT", "BlockPushEnv"]

MAX_SHIFT = 0.05  # m a step and axis; demonstrations shift by at most 0.03
_BOUND = 10.0  # m or rad, of every number
_OPTIONS = ("state", "goal")


class BlockPushEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """Two blocks, two zones, and an xArm 6 with a rod, at 10 Hz.

    Observations are a dict: `observation` [16], fields `block_push.FIELDS`; `achieved_goal` and `desired_goal` [4],
    where both blocks are and shall be, m. Actions shift the commanded end effector, [2] m, each at most 0.05; a
    command stays within x 0.15 to 0.70 m and y -0.50 to 0.50 m. Every command passes the limiter; an action that is no
    two finite numbers makes the arm brake, and is counted in `info["rejected"]`.

    The episode is terminated when it succeeds (see `BlockPush.rule`), and when the simulation breaks down
    (`info["failure"]`). `reset` takes `options={"state": [16], "goal": [4]}`, either or both.

    `info` has `is_success`; `pushes`, the (block, zone) pairs in the order in which blocks first came into zones;
    `blocks_in_goal`, how many are in the zone they are meant for; `solved`, whether they are in different zones at all.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        *,
        rule: Rule = "goal",
        reward: Literal["dense", "sparse"] = "sparse",
        camera_size: tuple[int, int] = (480, 360),
        render_mode: str | None = None,
    ) -> None:
        """Load arm and task.

        Args:
            rule: What counts as success, "goal" or "any"; see `BlockPush`.
            reward: "sparse" (0 at success, else -1) or "dense" (minus mean distance from the goal, m).
            camera_size: Width and height of pictures, px.
            render_mode: None or "rgb_array".

        Raises:
            ChoiceError: An argument is not one of its choices.
        """
        if reward not in ("dense", "sparse"):
            raise ChoiceError("reward", reward, ("dense", "sparse"))
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ChoiceError("render mode", render_mode, ("None", *self.metadata["render_modes"]))
        self._reward, self.render_mode = reward, render_mode
        self._task = BlockPush(rule)
        self._episode = TaskWorld(self._task, camera_size=camera_size, noise=False)
        self.action_space = spaces.Box(-MAX_SHIFT, MAX_SHIFT, (2,), np.float32)
        goal = spaces.Box(-_BOUND, _BOUND, (4,), np.float64)
        state = spaces.Box(-_BOUND, _BOUND, (len(FIELDS),), np.float64)
        fields: dict[str, spaces.Space] = {"observation": state, "achieved_goal": goal, "desired_goal": goal}
        self.observation_space = spaces.Dict(fields)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Lay the task out anew, as drawn from the seed or as the options say.

        Raises:
            ChoiceError: An unknown option.
            ShapeError: A state or goal of another length, or not finite.
            ValueRangeError: A state that cannot be.
        """
        super().reset(seed=seed)
        options = options or {}
        for name in options:
            if name not in _OPTIONS:
                raise ChoiceError("option of reset", name, _OPTIONS)
        self._task.ask(options.get("state"), options.get("goal"))
        self._episode.reset(self.np_random)
        observation = self._observe()
        return observation, self._info()

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        """Run one control step of 0.1 s."""
        self._episode.arm.command(self._target(action), 1.0)  # type: ignore[arg-type]
        observation, info = self._observe(), self._info()
        reward = float(self.compute_reward(observation["achieved_goal"], observation["desired_goal"], info))
        return observation, reward, info["is_success"] or bool(info["failure"]), False, info

    def _target(self, action: object) -> np.ndarray | None:
        """Joint target [D], rad; None, which the limiter rejects, for an action that is none."""
        try:
            shift = np.asarray(action, dtype=float)
        except (TypeError, ValueError):
            return None
        if shift.shape != (2,) or not np.isfinite(shift).all():
            return None
        kinematics = self._task.kinematics
        shift = np.minimum(np.maximum(shift, -MAX_SHIFT), MAX_SHIFT)
        return kinematics.joints(kinematics.command(self._episode.arm.q_sent) + shift)

    def _observe(self) -> dict[str, np.ndarray]:
        state = self._episode.policy_state()
        assert state is not None
        world = self._episode.world
        goals = (self._task.achieved_goal(world), self._task.desired_goal(world))
        names = ("observation", "achieved_goal", "desired_goal")
        return {name: _bounded(part) for name, part in zip(names, (state, *goals), strict=True)}

    def _info(self) -> dict[str, Any]:
        world, arm = self._episode.world, self._episode.arm
        return {
            "is_success": self._episode.is_success(),
            "pushes": list(self._task.pushes.made),
            "blocks_in_goal": self._task.blocks_in_goal(world),
            "solved": self._task.solved(world),
            "rejected": arm.rejected,
            "clipped": arm.clipped,
            "failure": self._episode.failure() or "",
        }

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: object) -> np.ndarray:
        """Return the reward [...] of achieved for desired goals [..., 4], with this episode's zones."""
        if self._reward == "dense":
            return self._task.reward(achieved_goal, desired_goal)
        return np.where(self._task.success(achieved_goal, desired_goal), 0.0, -1.0)

    @property
    def camera(self) -> SimCamera:
        """The camera that looks at the task, for policies that see pictures."""
        return self._episode.camera

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """Return a picture [H, W, 3] with render mode "rgb_array", else None."""
        if self.render_mode is None:
            return None
        return self._episode.view(*self._episode.camera.size).rgb

    def close(self) -> None:
        """End the simulation."""
        self._episode.close()


def _bounded(values: np.ndarray) -> np.ndarray:
    """Keep numbers within the space; what a broken simulation leaves behind becomes a bound."""
    return np.fmin(np.fmax(values, -_BOUND), _BOUND)
