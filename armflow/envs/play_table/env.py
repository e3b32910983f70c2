"""`PlayTableEnv`: the play table as a gymnasium environment, one action every 0.125 s."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from armflow.envs.episode import TaskWorld
from armflow.envs.play_table.goals import GOAL_COLUMNS, STATE_NAMES, met
from armflow.envs.play_table.table import PlayTable, Start
from armflow.envs.sim_camera import SimCamera
from armflow.envs.tasks.task import sparse_reward
from armflow.robot.errors import ChoiceError
from armflow.robot.tool_motion import CONTROL_STEP_SECONDS, CONTROL_STEPS, tool_chunk

__all__ = ["PlayTableEnv"]

_BOUND = 1e3  # of any number in an observation, in its own unit


class PlayTableEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """A drawer, a slider, a button with a lamp, and two blocks; ten kinds of goals.

    Observations: `observation` [18] with the columns of `goals.STATE_NAMES`; `achieved_goal` and `desired_goal` [7]
    with those of `goals.GOAL_NAMES`. With `observation="rgbd"` also `rgb` [H, W, 3] and `depth` [H, W, 1] m, 0 where
    there is no reading.

    Actions [4] in -1 to 1: the tool's velocity along world x, y, z as a share of 0.3 m/s, the hand kept pointing down,
    and the gripper's opening (-1 closed, 1 open). One action lasts 0.125 s. Every command passes the limiter; an action
    that is not finite or of the wrong shape makes the arm brake, and is counted in `info["rejected"]`.

    `reset` takes the options "state" [18], "goal" [7] and "kind". A goal counts by the one column its kind names
    (`info["kind"]`); without a kind in `info`, `compute_reward` asks for all columns. An episode is terminated when it
    succeeds, unless it shall go on, and when the simulation breaks down (`info["failure"]` says how).
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": ["rgb_array"],
        "render_fps": round(1 / (CONTROL_STEPS * CONTROL_STEP_SECONDS)),
    }

    def __init__(
        self,
        *,
        kind: str | None = None,
        ends_at_success: bool = True,
        observation: Literal["state", "rgbd"] = "state",
        camera_size: tuple[int, int] = (96, 96),
        noise: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Load the arm and the table.

        Args:
            kind: Ask for this kind of goal only; None for any.
            ends_at_success: Whether an episode is terminated when its goal is met; False for free play.
            observation: "state" (numbers only, privileged) or "rgbd" (pictures too).
            camera_size: Width and height, px.
            noise: Whether depth is as noisy as a real sensor's.
            render_mode: None or "rgb_array".

        Raises:
            ChoiceError: An argument is not one of its choices.
        """
        if observation not in ("state", "rgbd"):
            raise ChoiceError("observation", observation, ("state", "rgbd"))
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ChoiceError("render mode", render_mode, ("None", *self.metadata["render_modes"]))
        self.render_mode = render_mode
        self._ends = ends_at_success
        self._pictures = observation == "rgbd"
        self._task = PlayTable(kind)
        self._episode = TaskWorld(self._task, camera_size=camera_size, noise=noise)
        self.action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)
        fields: dict[str, spaces.Space] = {"observation": spaces.Box(-_BOUND, _BOUND, (len(STATE_NAMES),), np.float64)}
        for name in ("achieved_goal", "desired_goal"):
            fields[name] = spaces.Box(-_BOUND, _BOUND, (len(GOAL_COLUMNS),), np.float64)
        if self._pictures:
            width, height = camera_size
            fields["rgb"] = spaces.Box(0, 255, (height, width, 3), np.uint8)
            fields["depth"] = spaces.Box(0.0, 100.0, (height, width, 1), np.float32)
        self.observation_space = spaces.Dict(fields)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Set the table anew, as the options say where they do.

        Raises:
            ChoiceError: An unknown option or kind.
            ShapeError: A state or goal that is none.
            ValueRangeError: A state that cannot be.
        """
        super().reset(seed=seed)
        self._task.next_start = _start(options or {})
        self._episode.reset(self.np_random)
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        """Run one action of 0.125 s."""
        arm = self._episode.arm
        values = _numbers(action)
        if values is None:
            for _ in range(CONTROL_STEPS):
                arm.command(None, np.nan)  # type: ignore[arg-type] - which the limiter rejects and counts
        else:
            arm.execute(tool_chunk(arm.model, arm.read_q(), values, self._episode.time))
        observation, info = self._observe(), self._info()
        reward = float(self.compute_reward(observation["achieved_goal"], observation["desired_goal"], info))
        over = bool(info["failure"]) or (self._ends and info["is_success"])
        return observation, reward, over, False, info

    def _observe(self) -> dict[str, Any]:
        world = self._episode.world
        state = np.fmin(np.fmax(self._task.state(world), -_BOUND), _BOUND)  # fmax takes the number where there is a NaN
        goals = {"achieved_goal": state[list(GOAL_COLUMNS)], "desired_goal": self._task.desired_goal(world)}
        observation: dict[str, Any] = {"observation": state, **goals}
        if self._pictures:
            frame = self._episode.camera.read()
            observation["rgb"] = frame.rgb
            observation["depth"] = np.nan_to_num(frame.depth, nan=0.0).astype(np.float32)[..., None]
        return observation

    def _info(self) -> dict[str, Any]:
        arm = self._episode.arm
        return {
            "is_success": self._episode.is_success(),
            "kind": self._task.kind,
            "instruction": self._episode.instruction,
            "rejected": arm.rejected,
            "clipped": arm.clipped,
            "failure": self._episode.failure() or "",
        }

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: object) -> np.ndarray:
        """Return 0 where a goal [..., 7] is met and -1 elsewhere, [...].

        The kind is `info["kind"]`, or that of each row where `info` is a sequence; without one, all columns count.
        """
        if isinstance(info, Sequence | np.ndarray):
            rows = zip(achieved_goal, desired_goal, info, strict=True)
            return sparse_reward(np.array([met(one, other, _kind(facts)) for one, other, facts in rows]))
        return sparse_reward(met(achieved_goal, desired_goal, _kind(info)))

    @property
    def camera(self) -> SimCamera:
        """The camera that looks at the task, for policies that see pictures."""
        return self._episode.camera

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """Return the camera's picture [H, W, 3] with render mode "rgb_array", else None."""
        if self.render_mode is None:
            return None
        return self._episode.view(*self._episode.camera.size).rgb

    def close(self) -> None:
        """End the simulation."""
        self._episode.close()


def _start(options: dict[str, Any]) -> Start:
    known = ("state", "goal", "kind")
    for name in options:
        if name not in known:
            raise ChoiceError("reset option", name, known)
    state, goal = (None if options.get(name) is None else np.asarray(options[name], float) for name in known[:2])
    return Start(state, goal, options.get("kind"))


def _numbers(action: object) -> np.ndarray | None:
    """An action as [4] numbers within -1 and 1, or None where it is none."""
    try:
        values = np.asarray(action, dtype=float)
    except (TypeError, ValueError):
        return None
    if values.shape != (4,) or not np.isfinite(values).all():
        return None
    return np.clip(values, -1.0, 1.0)


def _kind(info: object) -> str | None:
    return info.get("kind") if isinstance(info, dict) else None
