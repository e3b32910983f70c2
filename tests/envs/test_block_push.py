import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence

from armflow.envs.block_push.env import MAX_SHIFT, BlockPushEnv
from armflow.envs.block_push.state import RADIUS, draw_goal, draw_state, zones_of
from armflow.envs.episode import TaskWorld
from armflow.envs.scripted import make_demonstrator
from armflow.launch.choices import arm_for
from armflow.launch.controllers import ControllerOptions, make_controller
from armflow.launch.runner import run_episode
from armflow.perception.observation import Observation
from armflow.robot.chunk import ActionChunk
from armflow.robot.embodiments import load_arm
from armflow.robot.errors import ChoiceError, ShapeError, ValueRangeError
from armflow.robot.pusher import PUSHER_HIGH, PUSHER_LOW, PusherKinematics

PERIOD = 0.1  # s
LAG = (1 - 0.095) ** 24  # what a servo leaves of its error after a control step


@pytest.fixture(scope="module")
def env():
    env = gymnasium.make("armflow/BlockPush-v0", disable_env_checker=True).unwrapped
    yield env
    env.close()


@pytest.fixture(scope="module")
def world():
    world = TaskWorld("BlockPush", camera_size=(64, 48))
    yield world
    world.close()


@pytest.fixture(scope="module")
def kinematics():
    return PusherKinematics(load_arm("xarm6_pusher"))


@pytest.fixture
def state():
    """A first state; the tests change it."""
    return draw_state(np.random.default_rng(0))


def shifts(seed: int, steps: int) -> np.ndarray:
    """Shifts [T, 2], m, of a pusher that wanders towards the blocks."""
    return np.random.default_rng(seed).uniform(-0.01, 0.03, (steps, 2))


def play(env, seed: int, steps: int) -> tuple:
    return (env.reset(seed=seed), *(env.step(shift) for shift in shifts(seed, steps)))


def test_check_env_passes(env):
    check_env(env, skip_render_check=True)


def test_a_seed_repeats_bit_for_bit(env):
    assert data_equivalence(play(env, 3, 30), play(env, 3, 30), exact=True)


def test_a_vector_of_environments_repeats_a_single_one_bit_for_bit(env):
    vector = gymnasium.vector.SyncVectorEnv([BlockPushEnv] * 2)
    vector.reset(seed=[3, 4])
    rows = [vector.step(np.tile(shift, (2, 1)).astype(np.float32))[0]["observation"][0] for shift in shifts(3, 15)]
    vector.close()
    env.reset(seed=3)
    alone = [env.step(shift.astype(np.float32))[0]["observation"] for shift in shifts(3, 15)]
    np.testing.assert_array_equal(rows, alone)


def test_the_arm_of_a_world_sees_what_the_environment_shows_bit_for_bit(env, world):
    world.reset(np.random.default_rng(5))
    observation, _ = env.reset(seed=5)
    kinematics = PusherKinematics(world.arm.model)
    for shift in shifts(5, 25):
        q = kinematics.joints(kinematics.command(world.arm.q_sent) + shift)
        world.arm.execute(ActionChunk(q[None], np.ones(1), PERIOD, world.time))
        observation, *_ = env.step(shift)
        np.testing.assert_array_equal(observation["observation"], world.policy_state())
    np.testing.assert_array_equal(observation["desired_goal"], world.policy_goal())


def test_an_episode_begins_in_the_state_and_with_the_goal_asked_for(env, state):
    state[6:10] = 0.35, -0.2, 0.36, -0.19
    goal = np.array([0.3, 0.1, 0.5, 0.1])
    observation, info = env.reset(options={"state": state, "goal": goal})
    np.testing.assert_allclose(observation["observation"], state, atol=2e-5)
    np.testing.assert_array_equal(observation["desired_goal"], goal)
    assert info["pushes"] == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"state": np.zeros(15)}, ShapeError, "state"),
        ({"state": np.full(16, np.nan)}, ShapeError, "state"),
        ({"goal": np.zeros(3)}, ShapeError, "goal"),
        ({"start": np.zeros(16)}, ChoiceError, "state, goal"),
        ({"state": np.zeros(16)}, ValueRangeError, "blocks"),
    ],
)
def test_a_start_that_cannot_be_is_refused(env, options, error, words):
    with pytest.raises(error, match=words):
        env.reset(options=options)


def test_overlapping_blocks_are_refused(env, state):
    state[3:5] = state[0:2] + 0.01
    with pytest.raises(ValueRangeError, match="distance of the blocks"):
        env.reset(options={"state": state})


@pytest.mark.parametrize("options", [{"rule": "both"}, {"reward": "none"}, {"render_mode": "human"}])
def test_an_unknown_choice_is_refused(options):
    with pytest.raises(ChoiceError):
        BlockPushEnv(**options)


def test_the_measured_end_effector_lags_behind_the_command_as_recorded(env):
    env.reset(seed=0)
    before = env.step(np.zeros(2))[0]["observation"]
    after = env.step(np.array([0.0, 0.03]))[0]["observation"]
    reached = (after - before)[7] / (after - before)[9]
    assert reached == pytest.approx(1 - LAG, abs=0.01)


def test_shifts_of_the_demonstrations_pass_the_limiter_unchanged(env):
    env.reset(seed=0)
    for sign in (1, -1, 1, -1):
        info = env.step(np.array([0.03, 0.0]) * sign)[4]
    assert info["clipped"] == info["rejected"] == 0


def test_an_action_that_is_none_holds_the_arm_and_is_counted(env):
    start, _ = env.reset(seed=0)
    observation, *_, info = env.step(np.array([np.nan, 0.0]))
    assert info["rejected"] == 1
    np.testing.assert_allclose(observation["observation"][6:10], start["observation"][6:10], atol=1e-4)


def test_commands_stay_within_the_rectangle(env):
    env.reset(seed=0)
    for _ in range(5):
        observation, *_ = env.step(np.array([-MAX_SHIFT, -MAX_SHIFT]))
    np.testing.assert_allclose(observation["observation"][8:10], PUSHER_LOW, atol=1e-5)


def test_a_block_in_its_zone_counts_and_both_end_the_episode(env, state):
    zones = zones_of(state)
    state[0:2] = zones[1] + [0.0, -0.04]
    goal = np.concatenate([zones[1], zones[0]])
    _, info = env.reset(options={"state": state, "goal": goal})
    assert (info["pushes"], info["blocks_in_goal"], info["is_success"]) == ([(0, 1)], 1, False)
    state[3:5] = zones[0] + [0.0, -0.04]
    env.reset(options={"state": state, "goal": goal})
    _, reward, terminated, _, info = env.step(np.zeros(2))
    assert (reward, terminated, info["blocks_in_goal"], info["is_success"]) == (0.0, True, 2, True)


def test_the_wrong_zones_solve_the_task_but_do_not_meet_the_goal(env, state):
    zones = zones_of(state)
    state[0:2], state[3:5] = zones[1], zones[0]
    _, info = env.reset(options={"state": state, "goal": zones.ravel()})
    assert (info["solved"], info["is_success"], info["blocks_in_goal"]) == (True, False, 0)


def test_rewards_of_many_goals_are_those_of_each(env):
    env.reset(seed=0)
    rng = np.random.default_rng(1)
    achieved, desired = rng.uniform(0.1, 0.6, (2, 20, 4))
    achieved[:5] = desired[:5]
    alone = [env.compute_reward(one, other, {}) for one, other in zip(achieved, desired, strict=True)]
    np.testing.assert_array_equal(env.compute_reward(achieved, desired, {}), alone)


def test_drawn_goals_put_the_blocks_into_different_zones():
    rng = np.random.default_rng(0)
    orders = set()
    for _ in range(40):
        zones = zones_of(draw_state(rng))
        gaps = np.linalg.norm(draw_goal(zones, rng).reshape(2, 1, 2) - zones, axis=-1)
        order = tuple(gaps.argmin(axis=1).tolist())
        assert sorted(order) == [0, 1]
        assert gaps.min(axis=1).max() < RADIUS
        orders.add(order)
    assert len(orders) == 2


def test_first_states_are_where_the_benchmark_has_them():
    rng = np.random.default_rng(0)
    states = np.array([draw_state(rng) for _ in range(200)])
    assert (np.abs(states[:, 0] - states[:, 3]) > 0.1).all()
    assert ((states[:, [0, 3]] >= 0.3) & (states[:, [0, 3]] <= 0.5)).all()
    assert ((states[:, [1, 4]] >= -0.35) & (states[:, [1, 4]] <= -0.05)).all()
    np.testing.assert_allclose(np.sort(states[:, [10, 13]], axis=1).mean(axis=0), [0.28, 0.52], atol=1e-3)


def test_command_undoes_joints_and_the_rod_points_down(kinematics):
    rng = np.random.default_rng(0)
    for command in rng.uniform([0.2, -0.45], [0.5, 0.45], (20, 2)):
        q = kinematics.joints(command)
        np.testing.assert_allclose(kinematics.command(q), command, atol=2e-5)
        np.testing.assert_allclose(kinematics.arm.tool(q).rotation.as_matrix()[:, 2], [0, 0, -1], atol=2e-4)


def test_commands_out_of_reach_are_drawn_in(kinematics):
    q = kinematics.joints(PUSHER_HIGH)
    assert np.linalg.norm(kinematics.arm.tool(q).translation[:2]) < 0.71


class _Pusher:
    """Repeats a command."""

    needs_frame = False

    def __init__(self, kinematics: PusherKinematics) -> None:
        self.kinematics, self.seen = kinematics, []

    def reset(self, instruction: str) -> None:
        self.seen = []

    def act(self, observation: Observation) -> ActionChunk:
        self.seen.append(observation)
        assert observation.state is not None
        q = self.kinematics.joints(observation.state[8:10] + np.array([0.0, 0.01]))
        return ActionChunk(q[None], np.ones(1), PERIOD, observation.stamp)

    def status(self) -> str:
        return "pushing on"


def test_a_policy_gets_state_and_goal_and_no_picture(world):
    world.reset(np.random.default_rng(0))
    controller = _Pusher(PusherKinematics(world.arm.model))
    outcome = run_episode(world, controller, max_seconds=0.5)
    assert outcome.chunks == 5
    assert "camera" not in outcome.latency
    first = controller.seen[0]
    assert (first.state.shape, first.goal.shape, first.frame.rgb.shape) == ((16,), (4,), (1, 1, 3))


def test_the_runner_stops_at_success_within_a_chunk(world, state):
    zones = zones_of(state)
    state[0:2], state[3:5] = zones
    world.task.ask(state, zones.ravel())
    world.reset(np.random.default_rng(0))
    q = world.arm.q_sent
    sent = world.arm.execute(ActionChunk(np.tile(q, (5, 1)), np.ones(5), PERIOD, 0.0))
    assert sent.horizon == 1
    assert world.is_over()


def test_the_task_brings_its_arm():
    assert arm_for("BlockPush", "auto") == arm_for("BlockPush", "xarm6") == "xarm6_pusher"
    assert arm_for("Push", "auto") == "panda"
    for refuse in (lambda: arm_for("BlockPush", "panda"), lambda: TaskWorld("BlockPush", "panda")):
        with pytest.raises(ChoiceError, match="xarm6_pusher"):
            refuse()


def test_controllers_that_grip_refuse_an_arm_that_only_pushes(world):
    with pytest.raises(ChoiceError, match="xarm6_pusher"):
        make_controller("flow", world, ControllerOptions(), rng=np.random.default_rng(0))


def test_scripted_play_solves_the_task(env):
    observation, info = env.reset(seed=1)
    player = make_demonstrator("BlockPush")
    player.reset(observation, rng=np.random.default_rng(1))
    for _ in range(350):
        action = player.act(observation)
        if action is None:
            break
        assert np.linalg.norm(action) < 0.03 + 1e-9
        observation, _, ended, _, info = env.step(action)
        if ended:
            break
    assert info["solved"]
