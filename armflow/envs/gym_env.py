"""`ArmflowEnv`: the tasks as gymnasium environments, GoalEnv-style."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from armflow.envs.episode import TaskWorld
from armflow.envs.pose_control import pose_step
from armflow.envs.registration import SOFT_SECONDS
from armflow.envs.tasks.task import sparse_reward
from armflow.envs.world import CONTROL_PERIOD
from armflow.robot.errors import ChoiceError

__all__ = ["ArmflowEnv", "decode_instruction"]

_BOUND = 1e3  # of any number in `observation`, in its own unit
_GOAL_BOUND = 10.0  # m
_LETTERS = 128  # bytes of an instruction
_CHOICES = {
    "observation": ("state", "rgbd"),
    "control": ("joint", "pose"),
    "reward": ("dense", "sparse"),
}


@dataclass(frozen=True, slots=True)
class _Style:
    """How an environment looks from outside; see `ArmflowEnv`."""

    observation: str
    control: str
    reward: str

    def __post_init__(self) -> None:
        for what, choices in _CHOICES.items():
            if getattr(self, what) not in choices:
                raise ChoiceError(what, getattr(self, what), choices)


class ArmflowEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """One task on one arm.

    Observations are a dict. `observation` holds joint positions rad, joint velocities rad/s and the gripper's opening;
    with `observation="state"` also the task's privileged state. With `observation="rgbd"` there are `rgb` [H, W, 3],
    `depth` [H, W, 1] m (0 where there is no reading) and `instruction`, as bytes for `decode_instruction`; the words
    are in `info["instruction"]` too. `achieved_goal` and `desired_goal` come from the simulator: they are for rewards
    and scores, and a policy that claims to work from images must not read them.

    Actions are in -1 to 1, the last one the gripper's opening (-1 closed, 1 open). `control="joint"`: each joint's
    speed as a share of its limit. `control="pose"`: the tool's velocity along world axes as a share of 0.25 m/s and its
    spin about them as a share of 1 rad/s. Every command passes the limiter; an action that is not finite or of the
    wrong shape makes the arm brake, and is counted in `info["rejected"]`. A control step is 0.04 s, and 1/30 s with
    things that bend; their goals are clouds of points [N, 3], their reward is minus the Chamfer distance.

    An episode is terminated only when the simulation breaks down (`info["failure"]` says how); success does not end it.
    `gymnasium.make` truncates it after the task's time limit, or after `max_episode_steps`.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": round(1 / CONTROL_PERIOD)}

    def __init__(  # noqa: PLR0913 - `gymnasium.make` takes plain keywords
        self,
        task: str,
        arm: str = "panda",
        *,
        observation: Literal["state", "rgbd"] = "state",
        control: Literal["joint", "pose"] = "joint",
        reward: Literal["dense", "sparse"] = "dense",
        camera_size: tuple[int, int] = (320, 240),
        noise: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Load task and arm.

        Args:
            task: Such as "Push".
            arm: Such as "panda".
            observation: "state" (numbers only, privileged) or "rgbd".
            control: "joint" or "pose".
            reward: "dense" (minus distance) or "sparse" (0 at success, else -1).
            camera_size: Width and height, px.
            noise: Whether depth is as noisy as a real sensor's.
            render_mode: None or "rgb_array".

        Raises:
            ChoiceError: An argument is not one of its choices.
        """
        self._style = _Style(observation, control, reward)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ChoiceError("render mode", render_mode, ("None", *self.metadata["render_modes"]))
        self.render_mode = render_mode
        self._episode = _episode(task, arm, camera_size, noise)
        self._model, self._period = self._episode.world.arm, self._episode.world.physics.period
        self.metadata = {**self.metadata, "render_fps": round(1 / self._period)}  # type: ignore[misc]
        count = (self._model.dof if control == "joint" else 6) + 1
        self.action_space = spaces.Box(-1.0, 1.0, (count,), np.float32)
        self.observation_space = self._space(camera_size)

    def _space(self, camera_size: tuple[int, int]) -> spaces.Dict:
        self._episode.reset(np.random.default_rng(0))
        width, height = camera_size
        task, world = self._episode.task, self._episode.world
        achieved, desired = task.achieved_goal(world).shape, task.desired_goal(world).shape
        fields: dict[str, spaces.Space] = {
            "observation": spaces.Box(-_BOUND, _BOUND, self._numbers().shape, np.float64),
            "achieved_goal": spaces.Box(-_GOAL_BOUND, _GOAL_BOUND, achieved, np.float64),
            "desired_goal": spaces.Box(-_GOAL_BOUND, _GOAL_BOUND, desired, np.float64),
        }
        if self._style.observation == "rgbd":
            fields["rgb"] = spaces.Box(0, 255, (height, width, 3), np.uint8)
            fields["depth"] = spaces.Box(0.0, 100.0, (height, width, 1), np.float32)
            fields["instruction"] = spaces.Box(0, 255, (_LETTERS,), np.uint8)
        return spaces.Dict(fields)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Lay the task out anew; no options are known."""
        super().reset(seed=seed)
        self._episode.reset(self.np_random)
        self._q = self._episode.arm.read_q()
        observation = self._observe()
        return observation, self._info()

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        """Run one control step."""
        target, gripper = self._target(action)
        self._q = self._episode.arm.command(target, gripper)  # type: ignore[arg-type]
        observation = self._observe()
        info = self._info()
        reward = float(self.compute_reward(observation["achieved_goal"], observation["desired_goal"], info))
        return observation, reward, self._episode.failure() is not None, False, info

    def _target(self, action: object) -> tuple[np.ndarray | None, float]:
        """Joint target [D], rad, and opening; None, which the limiter rejects, for an action that is none."""
        try:
            values = np.asarray(action, dtype=float)
        except (TypeError, ValueError):
            return None, np.nan
        if values.shape != self.action_space.shape or not np.isfinite(values).all():
            return None, np.nan
        values = np.minimum(np.maximum(values, -1.0), 1.0)
        gripper = 0.5 * (float(values[-1]) + 1.0)
        if self._style.control == "joint":
            return self._q + values[:-1] * self._model.v_max * self._period, gripper
        return pose_step(self._model, self._q, values[:-1], self._period), gripper

    def _numbers(self) -> np.ndarray:
        world, task = self._episode.world, self._episode.task
        parts = [world.read_q(), world.read_qd(), [world.read_gripper()]]
        if self._style.observation == "state":
            parts.append(task.state(world))
        return _bounded(np.concatenate(parts), _BOUND)

    def _observe(self) -> dict[str, Any]:
        world, task = self._episode.world, self._episode.task
        observation = {
            "observation": self._numbers(),
            "achieved_goal": _bounded(task.achieved_goal(world), _GOAL_BOUND),
            "desired_goal": _bounded(task.desired_goal(world), _GOAL_BOUND),
        }
        if self._style.observation == "rgbd":
            frame = self._episode.camera.read()
            observation["rgb"] = frame.rgb
            observation["depth"] = np.nan_to_num(frame.depth, nan=0.0).astype(np.float32)[..., None]
            observation["instruction"] = _encoded(self._episode.instruction)
        return observation

    def _info(self) -> dict[str, Any]:
        arm = self._episode.arm
        return {
            "is_success": self._episode.is_success(),
            "instruction": self._episode.instruction,
            "rejected": arm.rejected,
            "clipped": arm.clipped,
            "failure": self._episode.failure() or "",
        }

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: object) -> np.ndarray:
        """Return the reward [...] of achieved for desired goals, [..., 3] or clouds; `info` is not needed."""
        task = self._episode.task
        if self._style.reward == "sparse":
            return sparse_reward(task.success(achieved_goal, desired_goal))
        return task.reward(achieved_goal, desired_goal)

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """Return the camera's picture [H, W, 3] with render mode "rgb_array", else None."""
        if self.render_mode is None:
            return None
        return self._episode.view(*self._episode.camera.size).rgb

    @property
    def loose_bodies(self) -> int:
        """How many bodies of the episode can move."""
        return sum(spec.mass > 0 for spec in self._episode.world.specs.values())

    def close(self) -> None:
        """End the simulation."""
        self._episode.close()


def _episode(task: str, arm: str, camera_size: tuple[int, int], noise: bool) -> TaskWorld:
    """The world of a task; `SoftTaskWorld` fits in its place, and MuJoCo is imported for its tasks only."""
    if task in SOFT_SECONDS:
        from armflow.envs.deformable.episode import SoftTaskWorld

        return SoftTaskWorld(task, arm, camera_size=camera_size, noise=noise)  # type: ignore[return-value]
    return TaskWorld(task, arm, camera_size=camera_size, noise=noise)


def _bounded(values: np.ndarray, bound: float) -> np.ndarray:
    """Keep numbers within the space; what a broken simulation leaves behind becomes a bound."""
    return np.fmin(np.fmax(values, -bound), bound)  # fmax takes the number where the other is NaN


def _encoded(instruction: str) -> np.ndarray:
    """An instruction as UTF-8 bytes, filled up with zeros [128]; unlike `Text`, this survives shared memory."""
    data = instruction.encode()[:_LETTERS]
    return np.frombuffer(data.ljust(_LETTERS, b"\0"), np.uint8).copy()


def decode_instruction(code: np.ndarray) -> str:
    """Return the words of an observed `instruction` [128]."""
    return bytes(np.asarray(code, np.uint8)).rstrip(b"\0").decode(errors="ignore")
