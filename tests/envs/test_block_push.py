import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence

from armflow.envs.block_push.env import BlockPushEnv
from armflow.envs.block_push.state import FIELDS, GOAL_FIELDS
from armflow.envs.block_push.task import BlockPush
from armflow.envs.episode import TaskWorld
from armflow.robot.chunk import ActionChunk
from armflow.robot.errors import ChoiceError, ShapeError, ValueRangeError
from armflow.robot.embodiments import load_arm
from armflow.robot.pusher import PusherKinematics


@pytest.fixture(scope="module")
def env():
    env = BlockPushEnv()
    yield env
    env.close()


@pytest.fixture(scope="module")
def kinematics():
    return PusherKinematics(load_arm("xarm6_pusher"))


def shifts(seed: int, steps: int) -> np.ndarray:
    """Shifts [T, 2], m, of a wandering pusher."""
    return np.random.default_rng(seed).uniform(-0.01, 0.03, (steps, 2))


def test_check_env_passes():
    env = gymnasium.make("armflow/BlockPush-v0", disable_env_checker=True).unwrapped
    check_env(env, skip_render_check=True)
    env.close()


def test_a_seed_repeats_bit_for_bit(env):
    def play():
        results = [env.reset(seed=3)]
        return results + [env.step(shift) for shift in shifts(3, 40)]

    assert data_equivalence(tuple(play()), tuple(play()), exact=True)


def test_the_arm_of_a_world_gives_the_states_of_the_environment_bit_for_bit(env):
    world = TaskWorld("BlockPush", camera_size=(64, 48))
    world.reset(np.random.default_rng(5))
    kinematics = PusherKinematics(world.arm.model)
    observation, _ = env.reset(seed=5)
    for shift in shifts(5, 40):
        q = kinematics.joints(kinematics.command(world.arm.q_sent) + shift)
        world.arm.execute(ActionChunk(q[None], np.ones(1), 0.1, world.time))
        observation, *_ = env.step(shift)
        np.testing.assert_array_equal(observation["observation"], world.policy_state())
    np.testing.assert_array_equal(observation["desired_goal"], world.policy_goal())
    world.close()
