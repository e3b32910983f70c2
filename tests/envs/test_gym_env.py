import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence

from armflow.envs.gym_env import ArmflowEnv, decode_instruction
from armflow.envs.registration import EPISODE_SECONDS
from armflow.envs.tasks import TASKS
from armflow.envs.world import CONTROL_PERIOD
from armflow.robot.errors import ChoiceError

ARMS = ("panda", "iiwa", "xarm6", "xarm7", "ur5", "so101")


def make(task: str, **options) -> ArmflowEnv:
    return gymnasium.make(f"armflow/{task}-v0", disable_env_checker=True, **options).unwrapped  # type: ignore[return-value]


def rollout(env: ArmflowEnv, seed: int, steps: int) -> list:
    """Observations, rewards and infos of a seeded random policy."""
    env.action_space.seed(seed)
    results = [env.reset(seed=seed)]
    for _ in range(steps):
        results.append(env.step(env.action_space.sample()))
    return results


def same(one: list, other: list) -> bool:
    return data_equivalence(tuple(one), tuple(other), exact=True)


def test_all_tasks_are_registered():
    assert tuple(TASKS) == tuple(EPISODE_SECONDS)
    assert {f"armflow/{name}-v0" for name in TASKS} <= set(gymnasium.registry)


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("task", EPISODE_SECONDS)
def test_check_env_passes_without_a_warning(task, arm):
    env = make(task, arm=arm)
    check_env(env, skip_render_check=True)
    env.close()


@pytest.mark.parametrize("options", [{"control": "pose", "reward": "sparse"}, {"noise": False}])
def test_check_env_passes_with_pictures_and_rendering(options):
    env = make("PickPlace", observation="rgbd", camera_size=(48, 32), **options)
    check_env(env)
    env.close()


def test_one_seed_agrees_bit_for_bit_over_1000_steps_in_old_and_new_environments():
    old = make("Push")
    rollout(old, 1, 30)
    new = make("Push")
    assert same(rollout(old, 0, 1000), rollout(new, 0, 1000))
    old.close()
    new.close()


@pytest.mark.parametrize("task", EPISODE_SECONDS)
def test_every_task_repeats_itself(task):
    env = make(task)
    first = rollout(env, 3, 40)
    rollout(env, 4, 5)
    assert same(rollout(env, 3, 40), first)
    env.close()


@pytest.mark.parametrize("kind", [gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv])
def test_vector_environments_agree_with_a_single_one_bit_for_bit(kind):
    options = {"observation": "rgbd", "camera_size": (24, 16)}
    vector = kind([lambda: make("PickPlace", **options)] * 2)
    single = make("PickPlace", **options)
    actions = np.random.default_rng(0).uniform(-1, 1, (20, *single.action_space.shape)).astype(np.float32)
    observations, _ = vector.reset(seed=[5, 6])
    expected, _ = single.reset(seed=6)
    for action in actions:
        for key, value in expected.items():
            assert np.array_equal(observations[key][1], value), key
        observations = vector.step(np.stack([action, action]))[0]
        expected = single.step(action)[0]
    vector.close()
    single.close()


def test_vector_environments_agree_over_1000_steps():
    makers = [lambda: make("Push")] * 2
    several = [gymnasium.vector.SyncVectorEnv(makers), gymnasium.vector.AsyncVectorEnv(makers)]
    actions = np.random.default_rng(0).uniform(-1, 1, (1000, *several[0].action_space.shape)).astype(np.float32)
    for vector in several:
        vector.reset(seed=[1, 2])
    for action in actions:
        results = [vector.step(action) for vector in several]
        assert all(np.array_equal(results[0][0][key], results[1][0][key]) for key in results[0][0])
        assert np.array_equal(results[0][1], results[1][1])
    for vector in several:
        vector.close()


def test_compute_reward_takes_batches_and_agrees_with_step():
    for reward in ("dense", "sparse"):
        env = make("PickPlace", reward=reward)
        observation, info = env.reset(seed=0)
        observation, value, _, _, info = env.step(env.action_space.sample())
        achieved, desired = observation["achieved_goal"], observation["desired_goal"]
        batch = env.compute_reward(np.stack([achieved, desired]), np.stack([desired, desired]), info)
        assert batch.shape == (2,)
        assert batch[0] == value
        assert batch[1] == 0.0
        env.close()


@pytest.mark.parametrize("control", ["joint", "pose"])
def test_actions_move_the_arm_as_they_say(control):
    env = make("Push", control=control)
    env.reset(seed=0)
    model = env._model
    q, tool = env._episode.arm.read_q(), model.tool(env._episode.arm.read_q()).translation
    action = np.zeros(env.action_space.shape, np.float32)
    action[1] = 0.2
    for _ in range(25):
        env.step(action)
    q_now = env._episode.arm.read_q()
    if control == "joint":
        assert q_now[1] - q[1] == pytest.approx(0.2 * model.v_max[1], rel=0.1)
    else:
        assert np.allclose(model.tool(q_now).translation - tool, [0, 0.05, 0], atol=6e-3)
    env.close()


@pytest.mark.parametrize("bad", [np.full(8, np.nan), np.full(8, np.inf), np.zeros(7), np.zeros((2, 8)), "left", None])
def test_bad_actions_are_refused_counted_and_move_nothing(bad):
    env = make("Push")
    env.reset(seed=0)
    q = env._episode.arm.read_q()
    observation, reward, terminated, truncated, info = env.step(bad)
    assert info["rejected"] == 1
    assert not terminated
    assert not truncated
    assert np.isfinite(reward)
    assert observation in env.observation_space
    assert np.allclose(env._episode.arm.read_q(), q, atol=1e-3)
    env.close()


def test_a_poisoned_simulation_ends_the_episode_with_a_reason_and_the_next_one_is_clean():
    env = make("Push")
    clean = rollout(env, 0, 10)
    env._episode.world.disturb(env._episode.task.target, np.array([0, 0, 1e4, 0, 0, 0]))
    observation, reward, terminated, _, info = env.step(np.zeros(8, np.float32))
    assert terminated
    assert "broke down" in info["failure"]
    assert observation in env.observation_space
    assert np.isfinite(reward)
    assert not info["is_success"]
    assert same(rollout(env, 0, 10), clean)
    env.close()


def test_episodes_are_truncated_after_the_time_limit_of_their_task():
    for name, task in TASKS.items():
        steps = gymnasium.spec(f"armflow/{name}-v0").max_episode_steps
        assert steps * CONTROL_PERIOD == task.max_seconds
    env = gymnasium.make("armflow/Push-v0", max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(env.action_space.sample())[3] for _ in range(3)] == [False, False, True]
    env.close()


def test_the_instruction_can_be_read_from_the_observation():
    env = make("PickPlace", observation="rgbd", camera_size=(24, 16))
    observation, info = env.reset(seed=0)
    assert decode_instruction(observation["instruction"]) == info["instruction"] == env._episode.instruction
    env.close()


@pytest.mark.parametrize(
    "options",
    [{"observation": "smell"}, {"control": "mind"}, {"reward": "gold"}, {"arm": "tentacle"}, {"task": "Juggle"}],
)
def test_unknown_choices_are_refused_with_the_choices(options):
    with pytest.raises(ChoiceError, match="choose from"):
        ArmflowEnv(**{"task": "Push", **options})
