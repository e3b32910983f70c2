"""What every `Controller` keeps."""

import numpy as np
import pytest

from armflow.envs.deformable.episode import SoftTaskWorld
from armflow.launch.controllers import CONTROLLERS, FOR_SHAPES, LEARNED, ControllerOptions, make_controller
from armflow.launch.runner import observe
from armflow.policies.policy import Controller
from armflow.robot.chunk import ActionChunk

ACTS = 3
ELSEWHERE = (*LEARNED, "mppi-simulator")  # tests/policies/test_controller.py, tests/launch/test_shape_truth.py


@pytest.fixture(scope="module")
def soft_world():
    world = SoftTaskWorld("RopeShape", "xarm6")
    world.reset(np.random.default_rng(0))
    return world


@pytest.fixture(params=[name for name in CONTROLLERS if name not in ELSEWHERE])
def name(request):
    return request.param


@pytest.fixture
def world(name, request):
    return request.getfixturevalue("soft_world" if name in FOR_SHAPES else "rigid_world")


@pytest.fixture
def observation(world):
    return observe(world, world.camera.read())


@pytest.fixture
def controller(name, world):
    controller = make_controller(name, world, ControllerOptions(planner="quick"), rng=np.random.default_rng(0))
    controller.reset(world.instruction)
    return controller


def chunks(controller, observation) -> list[ActionChunk | None]:
    return [controller.act(observation) for _ in range(ACTS)]


def test_a_controller_has_the_methods(controller):
    assert isinstance(controller, Controller)


def test_a_controller_gives_chunks_for_this_arm_or_none(controller, observation, world):
    given = chunks(controller, observation)
    assert given[0] is not None
    for chunk in given:
        assert chunk is None or chunk.q.shape[1] == world.arm.model.dof


def test_a_controller_begins_where_the_arm_is(controller, observation):
    first = controller.act(observation)
    assert np.abs(first.q[0] - observation.q).max() < 0.1


def test_a_controller_says_what_it_is_doing(controller, observation):
    controller.act(observation)
    assert controller.status()
    assert "\n" not in controller.status()


def test_reset_starts_anew(controller, observation, world):
    chunks(controller, observation)
    controller.reset(world.instruction)
    assert controller.act(observation) is not None


def test_acting_leaves_the_observation_alone(controller, observation):
    q, depth = observation.q.copy(), observation.frame.depth.copy()
    chunks(controller, observation)
    assert np.array_equal(observation.q, q)
    assert np.array_equal(observation.frame.depth, depth, equal_nan=True)
