"""The loop of looking, touching and letting go, on a rope that follows a formula."""

import numpy as np
import pytest

from armflow.launch.runner import NO_FRAME, run_episode
from armflow.perception.observation import Observation
from armflow.perception.particles import ShapeState
from armflow.planning.mppi.config import MPPIConfig
from armflow.planning.mppi.controller import ShapeController, ShapeControllerConfig
from armflow.planning.mppi.planner import ShapePlanner
from armflow.policies.policy import Controller
from armflow.robot.embodiments import load_arm
from tests.planning.test_mppi import ROPE, Elastic, bent_goal

DT = 0.04


class ElasticWorld:
    """An arm that does what it is told, and a rope that follows its closed hand by `exp(-(d / l)^2)`."""

    instruction = "lay the rope along the goal"

    def __init__(self, goal: np.ndarray | None, points: np.ndarray = ROPE, slip: bool = False) -> None:
        self.model = load_arm("xarm6")
        self.arm, self.camera, self.goal, self.slip = self, self, goal, slip
        self.points, self.rows, self.rejected, self.clipped = points.copy(), [], 0, 0
        self.q, self.gripper, self.time = self.model.home.copy(), 1.0, 0.0

    def read(self):
        return NO_FRAME

    def read_q(self):
        return self.q

    def read_gripper(self):
        return self.gripper

    def failure(self):
        return None

    def is_success(self):
        return self.goal is not None and bool(np.linalg.norm(self.points - self.goal, axis=1).mean() < 0.02)

    def execute(self, chunk):
        for q, gripper in zip(chunk.q, chunk.gripper, strict=True):
            before, after = self.model.tool(self.q).translation, self.model.tool(q).translation
            if self.gripper < 0.1 and gripper < 0.1 and not self.slip:
                share = np.exp(-(((self.points - before) / 0.06) ** 2).sum(-1))
                self.points = self.points + share[:, None] * (after - before)
            self.rows.append((q, gripper))
            self.q, self.gripper, self.time = q, float(gripper), self.time + chunk.dt
        return chunk

    def observe(self) -> Observation:
        return Observation(NO_FRAME, self.q, self.gripper, self.time, goal_points=self.goal)

    policy_state = policy_goal = lambda self: None

    def goal_points(self):
        return self.goal

    # What a watcher does, with eyes that miss nothing.
    def start(self, observation):
        return ShapeState("rope", self.points, np.zeros_like(self.points), self.points, observation.stamp)

    update = start


def controller_for(world: ElasticWorld, seed: int = 0, **changes) -> ShapeController:
    rng = np.random.default_rng(seed)
    config = MPPIConfig(samples=12, rounds=5, contacts=3)
    planner = ShapePlanner(world.model, Elastic(), rng=rng, config=config)
    settings = ShapeControllerConfig(dt=DT, threshold=0.008, **changes)
    return ShapeController(world.model, planner, world, rng=rng, config=settings)


def play(world: ElasticWorld, controller: ShapeController, chunks: int = 400) -> None:
    controller.reset(world.instruction)
    for _ in range(chunks):
        chunk = controller.act(world.observe())
        if chunk is None:
            return
        world.execute(chunk)
    raise AssertionError("never ends")


@pytest.fixture(scope="module")
def solved():
    world = ElasticWorld(bent_goal([0.0, 0.1, 0.0]))
    controller = controller_for(world)
    play(world, controller)
    return world, controller


def test_it_is_a_controller():
    world = ElasticWorld(ROPE)
    assert isinstance(controller_for(world), Controller)


def test_the_goal_is_reached_and_said_so(solved):
    world, controller = solved
    assert world.is_success()
    assert controller.status().startswith("done")


def test_the_hand_is_open_and_away_in_the_end(solved):
    world, _ = solved
    assert world.gripper == 1.0
    assert world.model.tool(world.q).translation[2] > 0.1


def test_joints_never_leave_their_limits_or_jump(solved):
    world, _ = solved
    q = np.stack([row[0] for row in world.rows])
    assert ((q >= world.model.q_min) & (q <= world.model.q_max)).all()
    assert (np.abs(np.diff(q, axis=0)) <= world.model.v_max * DT + 1e-9).all()


def test_fingertips_stay_above_the_table(solved):
    world, _ = solved
    lowest = min(world.model.tool(row[0]).translation[2] for row in world.rows)
    assert lowest > world.model.gripper.tip


def test_the_same_seed_plays_the_same_episode(solved):
    world = ElasticWorld(bent_goal([0.0, 0.1, 0.0]))
    play(world, controller_for(world))
    assert np.array_equal(world.points, solved[0].points)


def test_a_met_goal_is_left_alone():
    world = ElasticWorld(ROPE)
    controller = controller_for(world)
    play(world, controller)
    assert not world.rows
    assert "done" in controller.status()


def test_without_a_goal_cloud_it_stops_and_says_why():
    world = ElasticWorld(None)
    controller = controller_for(world)
    play(world, controller)
    assert "goal" in controller.status()


@pytest.mark.parametrize("goal", [np.full((9, 3), np.nan), np.zeros((0, 3)), np.zeros((1, 3)), np.zeros((9, 2))])
def test_an_unusable_goal_stops_it_with_the_reason(goal):
    world = ElasticWorld(goal)
    controller = controller_for(world)
    play(world, controller)
    assert "goal_points" in controller.status()
    assert not world.rows


def test_an_object_out_of_reach_stops_it_with_the_reason():
    far = ROPE + np.array([2.0, 0.0, 0.0])
    world = ElasticWorld(far + np.array([0.0, 0.2, 0.0]), far)
    controller = controller_for(world)
    play(world, controller)
    assert "workspace" in controller.status()


def test_touches_that_bring_nothing_end_the_episode():
    world = ElasticWorld(bent_goal([0.0, 0.1, 0.0]), slip=True)
    controller = controller_for(world, patience=1, hold_steps=6)
    play(world, controller)
    assert "brought nothing" in controller.status()


def test_the_runner_plays_it_like_any_controller():
    world = ElasticWorld(ROPE)
    outcome = run_episode(world, controller_for(world), max_seconds=5.0)
    assert outcome.reason
