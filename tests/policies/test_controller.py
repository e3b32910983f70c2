"""Learned policies as controllers, in the task that tells them its state: the contract of tests/contracts, and more."""

from dataclasses import replace

import numpy as np
import pytest

from armflow.envs.episode import TaskWorld
from armflow.launch.controllers import ControllerOptions, make_controller
from armflow.launch.policy_options import PolicyOptions, PolicyOptionsError, held_out_episode
from armflow.learning.checkpoint import save_checkpoint
from armflow.learning.store.schema import Schema
from armflow.learning.store.table import EpisodeTable
from armflow.perception.observation import Observation
from armflow.policies.beso.objective import make_objective
from armflow.policies.controller import PolicyInputError
from armflow.policies.policy import Controller
from armflow.robot.errors import StackError

EXTRA = {"environment": "BlockPush", "observe": list(range(10)), "goal": [0, 1, 3, 4], "angles": [2, 5]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint with small actions, never trained."""
    rng = np.random.default_rng(0)
    arrays = {"observation.state": rng.normal(size=(40, 16)), "action": 0.01 * rng.normal(size=(40, 2))}
    table = EpisodeTable({name: array.astype(np.float32) for name, array in arrays.items()}, np.array([0, 20, 40]))
    objective = make_objective(table, Schema(10.0, {}, extra=EXTRA), "quick", seed=0)
    out = tmp_path_factory.mktemp("policy")
    save_checkpoint(out, objective.module.state_dict(), objective.config())
    return str(out)


@pytest.fixture(scope="module")
def world():
    world = TaskWorld("BlockPush")
    world.reset(np.random.default_rng(0))
    yield world
    world.close()


@pytest.fixture
def observation(world):
    frame = world.camera.read()
    state, goal = world.policy_state(), world.policy_goal()
    return Observation(frame, world.arm.read_q(), world.arm.read_gripper(), world.time, state, goal)


@pytest.fixture(params=["beso", "policy"])
def controller(request, world, folder):
    options = ControllerOptions(policy=PolicyOptions(checkpoint=folder))
    controller = make_controller(request.param, world, options, rng=np.random.default_rng(0))
    controller.reset(world.instruction)
    return controller


def test_a_learned_controller_keeps_the_contract(controller, observation, world):
    assert isinstance(controller, Controller)
    chunk = controller.act(observation)
    assert chunk.q.shape == (1, world.arm.model.dof)
    assert np.abs(chunk.q[0] - observation.q).max() < 0.2
    assert controller.status() == "beso: 1 actions"


def test_the_arm_follows_a_learned_controller_within_limits(controller, observation, world):
    before = world.arm.rejected
    sent = world.arm.execute(controller.act(observation))
    assert np.isfinite(sent.q).all()
    assert world.arm.rejected == before


def test_without_numbers_from_the_task_it_refuses(controller, observation):
    with pytest.raises(PolicyInputError, match="state and goal in numbers"):
        controller.act(replace(observation, goal=None))


def test_the_same_generator_gives_the_same_actions(observation, world, folder):
    options = ControllerOptions(policy=PolicyOptions(checkpoint=folder))
    chunks = [
        make_controller("beso", world, options, rng=np.random.default_rng(7)).act(observation).q for _ in range(2)
    ]
    np.testing.assert_array_equal(*chunks)


def test_a_policy_of_another_task_is_refused(folder):
    push = TaskWorld("Push")
    push.reset(np.random.default_rng(0))
    options = ControllerOptions(policy=PolicyOptions(checkpoint=folder))
    with pytest.raises(PolicyOptionsError, match="was trained for BlockPush, not for Push"):
        make_controller("beso", push, options, rng=np.random.default_rng(0))
    with pytest.raises(PolicyOptionsError, match="only for BlockPush, PlayTable; name one with --checkpoint"):
        make_controller("beso", push, ControllerOptions(), rng=np.random.default_rng(0))
    push.close()


def test_a_folder_without_a_checkpoint_is_named(world, tmp_path):
    options = ControllerOptions(policy=PolicyOptions(checkpoint=str(tmp_path)))
    with pytest.raises(StackError, match=r"model\.safetensors"):
        make_controller("beso", world, options, rng=np.random.default_rng(0))


def test_held_out_episodes_give_their_first_state_and_last_place(tmp_path):
    rng = np.random.default_rng(0)
    masks = np.zeros((6, 9))
    masks[:, :7] = 1
    observations = rng.normal(size=(6, 9, 16)).astype(np.float32)
    final = rng.normal(size=(6, 16)).astype(np.float32)
    actions = np.zeros((6, 9, 2), np.float32)
    path = tmp_path / "block_push_small.npz"
    np.savez(path, observations=observations, actions=actions, masks=masks, final_observations=final)
    state, goal = held_out_episode(str(path), "BlockPush", 0)
    (episode,) = [e for e in range(6) if np.allclose(observations[e, 0], state)]
    np.testing.assert_allclose(goal, final[episode, [0, 1, 3, 4]])
    with pytest.raises(PolicyOptionsError, match="was recorded in BlockPush, not in PlayTable"):
        held_out_episode(str(path), "PlayTable", 0)
