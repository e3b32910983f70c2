"""The whole loop from RGB-D to success, and what it does when the world does not keep still."""

import numpy as np
import pytest

from armflow.envs.episode import TaskWorld
from armflow.launch.runner import Outcome, run_episode
from armflow.planning.controller import FlowController


class Nudge:
    """Runs a controller and, once in a given stage, throws the target about for some control steps."""

    def __init__(self, controller: FlowController, world: TaskWorld, stage: str, velocity: tuple, steps: int) -> None:
        self.controller, self.world, self.stage, self.velocity = controller, world, stage, velocity
        self.chunks, self.left, self.steps = 0, 0, steps
        self._update = world.task.update
        world.task.update = self._throw

    def _throw(self, world) -> None:
        if self.left > 0:
            self.left -= 1
            world.disturb(self.world.task.target, np.array([*self.velocity, 0.0, 0.0, 0.0]))
        self._update(world)

    def reset(self, instruction: str) -> None:
        self.controller.reset(instruction)

    def act(self, observation):
        chunk = self.controller.act(observation)
        self.chunks += self.controller.overlay().stage == self.stage
        if self.chunks == 2:
            self.chunks, self.left = 3, self.steps
        return chunk

    def status(self) -> str:
        return self.controller.status()


def standing(world: TaskWorld) -> tuple[np.ndarray, float]:
    """Position [3] of the target's foot, m, and how far its axis leans from upright, rad."""
    T = world.world.pose(world.task.target)
    return T.translation, float(np.arccos(np.clip(T.rotation.as_matrix()[2, 2], -1.0, 1.0)))


def run(
    task: str, seed: int, stage: str | None = None, velocity: tuple = (), steps: int = 1
) -> tuple[Outcome, FlowController]:
    world = TaskWorld(task, "panda")
    rng = np.random.default_rng(seed)
    world.reset(rng)
    controller = FlowController(world.arm.model, rng=rng)
    runner = controller if stage is None else Nudge(controller, world, stage, velocity, steps)
    outcome = run_episode(world, runner, max_seconds=60.0)
    world.close()
    return outcome, controller


@pytest.mark.parametrize("task", ["Push", "PickPlace"])
def test_flow_controller_solves_the_task_from_rgbd_alone(task):
    outcome, controller = run(task, 0)
    assert outcome.success, controller.events


def test_object_knocked_away_while_the_arm_approaches_is_noticed_and_still_placed():
    outcome, controller = run("PickPlace", 0, "approach", (0.0, 0.9, 0.0))
    assert any("replanning" in event for event in controller.events)
    assert outcome.success, controller.events


def test_object_knocked_out_of_the_hand_while_carried_is_noticed_and_still_placed():
    outcome, controller = run("PickPlace", 0, "carry", (0.0, 0.0, -4.0), 15)
    assert any("replanning" in event for event in controller.events)
    assert outcome.success, controller.events


def test_a_poured_cup_is_set_down_upright_where_it_stood_and_let_go():
    world = TaskWorld("Pour", "panda")
    rng = np.random.default_rng(200)
    world.reset(rng)
    before, _ = standing(world)
    outcome = run_episode(world, FlowController(world.arm.model, rng=rng), max_seconds=60.0)
    (after, lean), opening = standing(world), world.arm.read_gripper()
    world.close()
    assert outcome.success, outcome.reason
    np.testing.assert_allclose(after, before, atol=0.015)
    assert lean < 0.02
    assert opening * world.arm.model.gripper.max_width > 2 * world.task.source.outer_radius + 0.003


def test_one_seed_gives_one_episode():
    first, second = run("Push", 1)[1], run("Push", 1)[1]
    assert first.events == second.events


def test_an_object_that_is_not_there_ends_the_episode_with_its_name():
    world = TaskWorld("PickPlace", "panda")
    rng = np.random.default_rng(0)
    world.reset(rng)
    controller = FlowController(world.arm.model, rng=rng)
    world.task.instruction = "put the brown mug on the white disc"
    outcome = run_episode(world, controller, max_seconds=20.0)
    world.close()
    assert not outcome.success
    assert "no such object" in outcome.reason
