"""Tasks with things that bend: goals are no start, scripts reach them behind the limiter, gymnasium finds them."""

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence

from armflow.envs.deformable.cloth import SIDE
from armflow.envs.deformable.episode import SOFT_TASKS, SoftTaskWorld
from armflow.envs.deformable.world import SoftWorld
from armflow.envs.gym_env import ArmflowEnv
from armflow.envs.registration import SOFT_SECONDS
from armflow.launch.choices import SOFT_ARMS
from tests.envs.soft_scripts import solve


def make(task: str, **options: object) -> ArmflowEnv:
    return gymnasium.make(f"armflow/{task}-v0", disable_env_checker=True, **options).unwrapped  # type: ignore[return-value]


def raise_all(world: SoftWorld, grasp: np.ndarray, height: float) -> np.ndarray:
    """Put the whole cloth higher at once; its vertices are the first joints of the simulation."""
    world.data.qpos[: 3 * SIDE * SIDE].reshape(-1, 3)[:, 2] += height
    mujoco.mj_forward(world.model, world.data)
    return grasp


def test_all_lists_of_these_tasks_agree() -> None:
    assert set(SOFT_TASKS) == set(SOFT_ARMS) == set(SOFT_SECONDS)
    for name, task in SOFT_TASKS.items():
        assert task.arm == SOFT_ARMS[name]
        assert gymnasium.spec(f"armflow/{name}-v0").max_episode_steps == round(30 * task.max_seconds)


@pytest.mark.parametrize("name", SOFT_TASKS)
def test_a_reset_is_no_success_and_its_goal_is_on_the_bench(name: str) -> None:
    episode = SoftTaskWorld(name, "xarm6", camera_size=(32, 24), noise=False)
    episode.reset(np.random.default_rng(1))
    goal = episode.goal_points()
    assert episode.failure() is None
    assert not episode.is_success()
    assert -0.01 < goal[:, 2].min() < 0.03
    assert goal[:, 2].max() < 0.25
    assert np.linalg.norm(goal[:, :2] - episode.world.arm.bench_center, axis=1).max() < 0.35


@pytest.mark.parametrize("name", ["PlushPlace", "BoxClose"])
def test_a_script_reaches_the_goal(name: str) -> None:
    episode = SoftTaskWorld(name, "xarm6", camera_size=(32, 24), noise=False)
    episode.reset(np.random.default_rng(1))
    solve(episode)
    assert episode.is_success()
    assert episode.arm.rejected == 0


@pytest.mark.parametrize("name", SOFT_TASKS)
def test_check_env_passes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It resets a dozen times, and lifting for the goal takes seconds; the test above resets as everybody does.
    monkeypatch.setattr("armflow.envs.deformable.cloth_tasks._lift", raise_all)
    env = make(name)
    check_env(env, skip_render_check=True)
    env.close()


def test_check_env_passes_with_pictures_and_pose_control() -> None:
    env = make("BoxClose", observation="rgbd", control="pose", reward="sparse", camera_size=(48, 32))
    check_env(env, skip_render_check=True)
    env.close()


@pytest.mark.parametrize("name", ["PlushPlace", "BoxClose"])
def test_environments_repeat_bit_for_bit(name: str) -> None:
    env, seen = make(name), []
    for _ in range(2):
        env.action_space.seed(3)
        steps = [env.reset(seed=3)]
        steps += [env.step(env.action_space.sample()) for _ in range(10)]
        seen.append(tuple(steps))
    assert data_equivalence(*seen, exact=True)
    env.close()


def test_compute_reward_takes_batches_and_agrees_with_step() -> None:
    env = make("BoxClose")
    env.reset(seed=0)
    observation, value, _, _, info = env.step(np.zeros(7, np.float32))
    achieved, desired = observation["achieved_goal"], observation["desired_goal"]
    batch = env.compute_reward(np.stack([achieved, desired]), np.stack([desired, desired]), info)
    assert batch[0] == value
    assert batch[1] == 0.0
    assert not info["is_success"]
    env.close()
