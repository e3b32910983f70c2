"""What every `Controller` keeps."""

import numpy as np
import pytest

from armflow.launch.controllers import CONTROLLERS, LEARNED, ControllerOptions, make_controller
from armflow.policies.policy import Controller
from armflow.robot.chunk import ActionChunk

ACTS = 3


@pytest.fixture(
    params=[name for name in CONTROLLERS if name not in LEARNED]
)  # these: tests/policies/test_controller.py
def controller(request, world):
    controller = make_controller(request.param, world, ControllerOptions(), rng=np.random.default_rng(0))
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
