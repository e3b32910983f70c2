"""One laid-out task that all contracts are held against."""

import numpy as np
import pytest

from armflow.envs.episode import TaskWorld
from armflow.perception.instruction import parse_instruction
from armflow.perception.observation import Observation
from armflow.planning.look import CameraEyes, build_scene


@pytest.fixture(scope="module")
def rigid_world():
    world = TaskWorld("PickPlace", "panda")
    world.reset(np.random.default_rng(0))
    yield world
    world.close()


@pytest.fixture
def world(rigid_world):
    return rigid_world


@pytest.fixture
def observation(world):
    return Observation(world.camera.read(), world.arm.read_q(), world.arm.read_gripper(), world.time)


@pytest.fixture
def command(world):
    return parse_instruction(world.instruction)


@pytest.fixture
def scene(world, observation, command):
    objects = CameraEyes(world.arm.model, rng=np.random.default_rng(0)).see(observation)
    return build_scene(objects, command, observation.frame, observation.q)
