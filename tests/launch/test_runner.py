import numpy as np
import pytest

from armflow.launch.controllers import CONTROLLERS, ControllerOptions, HoldController, make_controller
from armflow.launch.runner import SETTLE_SECONDS, run_episode
from armflow.robot.errors import ChoiceError, StackError
from tests.launch.fake import FakeWorld, TurnController


def test_a_controller_that_reaches_the_goal_succeeds():
    outcome = run_episode(FakeWorld(), TurnController(), max_seconds=60.0)
    assert outcome.success
    assert outcome.reason == "done"
    assert outcome.chunks == 10


def test_the_arm_holds_still_before_the_judgement():
    world = FakeWorld()
    outcome = run_episode(world, TurnController(), max_seconds=60.0)
    assert outcome.seconds_sim == pytest.approx(10 * 5 * 0.04 + SETTLE_SECONDS, abs=0.2)
    assert world.q[0] == pytest.approx(10 / 64)


def test_running_out_of_time_is_said():
    outcome = run_episode(FakeWorld(goal=9.0), TurnController(goal=9.0), max_seconds=1.0)
    assert not outcome.success
    assert outcome.reason == "out of time after 1 s: turning"


def test_ending_without_success_gives_the_controllers_words():
    outcome = run_episode(FakeWorld(), HoldController(), max_seconds=60.0)
    assert outcome.reason == "ended without success: held still, as asked"


def test_a_broken_world_ends_the_episode_at_once():
    world = FakeWorld()
    world.broken = "joint 3 is NaN"
    outcome = run_episode(world, TurnController(), max_seconds=60.0)
    assert (outcome.success, outcome.reason, outcome.chunks) == (False, "stopped: joint 3 is NaN", 0)


def test_a_refusal_in_the_middle_is_a_reason_and_no_crash():
    class Refusing(TurnController):
        def act(self, observation):
            raise StackError("the table is not where it was")

    outcome = run_episode(FakeWorld(), Refusing(), max_seconds=60.0)
    assert outcome.reason == "error: the table is not where it was"


def test_latency_holds_the_runners_and_the_controllers_stages():
    outcome = run_episode(FakeWorld(), TurnController(), max_seconds=60.0)
    assert {"camera", "act", "execute", "plan"} == set(outcome.latency)
    assert len(outcome.latency["act"]) == outcome.chunks + 1


def test_the_listener_hears_the_end_even_after_an_interrupt():
    class Interrupted(TurnController):
        def act(self, observation):
            raise KeyboardInterrupt

    class Ear:
        heard: list[str]

        def __init__(self):
            self.heard = []

        def start(self, world, controller):
            self.heard.append("start")

        def finish(self, outcome):
            self.heard.append("finish")

    ear = Ear()
    with pytest.raises(KeyboardInterrupt):
        run_episode(FakeWorld(), Interrupted(), max_seconds=60.0, listener=ear)
    assert ear.heard == ["start", "finish"]


@pytest.mark.parametrize("name", ["hold", "random"])
def test_controllers_that_know_nothing_end_by_themselves(name):
    world = FakeWorld(goal=9.0)
    controller = make_controller(name, world, ControllerOptions(), rng=np.random.default_rng(0))
    outcome = run_episode(world, controller, max_seconds=60.0)
    assert not outcome.success
    assert outcome.chunks > 0


def test_random_controllers_of_one_seed_do_the_same():
    ends = []
    for _ in range(2):
        world = FakeWorld()
        controller = make_controller("random", world, ControllerOptions(), rng=np.random.default_rng(5))
        run_episode(world, controller, max_seconds=60.0)
        ends.append(world.q)
    assert np.array_equal(*ends)


def test_an_unknown_controller_is_refused_with_the_choices():
    with pytest.raises(ChoiceError, match="no controller 'magic'; choose from " + ", ".join(CONTROLLERS)):
        make_controller("magic", FakeWorld(), ControllerOptions(), rng=np.random.default_rng(0))
