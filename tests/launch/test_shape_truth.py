"""The true simulator as the model of a plan."""

import numpy as np
import pytest

from armflow.envs.deformable.episode import SoftTaskWorld
from armflow.launch.controllers import ControllerOptions, make_controller
from armflow.launch.runner import NO_FRAME, observe
from armflow.launch.shape_truth import SimulatorForesight, TruthWatcher
from armflow.planning.mppi.contacts import hand_down
from armflow.policies.policy import Controller
from armflow.robot.errors import ChoiceError


@pytest.fixture(scope="module")
def task() -> SoftTaskWorld:
    task = SoftTaskWorld("RopeShape", "xarm6", camera_size=(32, 24), noise=False)
    task.reset(np.random.default_rng(0))
    return task


def test_trying_leaves_the_world_as_it_was_and_repeats(task: SoftTaskWorld) -> None:
    watcher = TruthWatcher(task, rng=np.random.default_rng(0))
    state = watcher.start(observe(task, NO_FRAME))
    predict = SimulatorForesight(task, watcher).start(state)
    way = np.linspace(0, 1, 4)[:, None] * [0.0, 0.0, 0.05]
    path = state.points_world[0] + [0.0, 0.0, task.world.arm.gripper.tip] + way
    before = task.world.save().state
    first, again = (predict(path[None], hand_down(0.0)[None], np.ones(1)) for _ in range(2))
    assert first.shape == (1, 3, len(state.points_world), 3)
    assert np.array_equal(first, again)
    assert np.array_equal(task.world.save().state, before)
    assert np.linalg.norm(first[0, -1].numpy() - state.points_world, axis=1).max() > 0.01


def test_it_is_a_controller_for_things_that_bend_only(task: SoftTaskWorld) -> None:
    made = make_controller("mppi-simulator", task, ControllerOptions(planner="quick"), rng=np.random.default_rng(0))
    assert isinstance(made, Controller)
    task.task.name, name = "PickPlace", task.task.name
    words, task.task.instruction = task.task.instruction, "put the red block on the disc"
    try:
        with pytest.raises(ChoiceError, match="choose from RopeShape, ClothLift"):
            make_controller("mppi", task, ControllerOptions(), rng=np.random.default_rng(0))
    finally:
        task.task.name, task.task.instruction = name, words
