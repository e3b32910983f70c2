import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.utils.seeding import np_random

from armflow.envs.episode import TaskWorld
from armflow.envs.play_table import GOAL_COLUMNS, KINDS, STATE_NAMES, PlayTable, draw_goal, draw_state, met
from armflow.envs.play_table.env import PlayTableEnv
from armflow.envs.scripted import make_demonstrator
from armflow.envs.scripted.play_table import TablePlay
from armflow.robot.embodiments import load_arm
from armflow.robot.errors import ChoiceError, ShapeError, ValueRangeError
from armflow.robot.tool_motion import CONTROL_STEP_SECONDS, CONTROL_STEPS, TOOL_SPEED, tool_chunk, tool_motion

OVER_BUTTON = np.array([0.48, -0.33, 0.1])


def make(**options) -> PlayTableEnv:
    return gymnasium.make("armflow/PlayTable-v0", disable_env_checker=True, **options).unwrapped  # type: ignore[return-value]


@pytest.fixture(scope="module")
def env():
    env = make()
    yield env
    env.close()


def state(**columns: float) -> np.ndarray:
    """A tidy table with a few columns as told, such as red_y=0.1."""
    values = np.array([0.45, 0.0, 0.15, 1, 0, 0, 0, 0, 0.4, 0.09, 0.02, 0, 1, 0.4, -0.11, 0.02, 0, 1])
    for name, value in columns.items():
        values[STATE_NAMES.index(name.replace("_", " "))] = value
    return values


def rollout(env, seed: int, steps: int) -> list:
    env.action_space.seed(seed)
    return [env.reset(seed=seed), *(env.step(env.action_space.sample()) for _ in range(steps))]


@pytest.mark.parametrize("options", [{}, {"kind": "lamp on", "observation": "rgbd", "camera_size": (32, 24)}])
def test_check_env_passes_without_a_warning(options):
    env = make(**options)
    check_env(env, skip_render_check=True)
    env.close()


def test_one_seed_gives_one_episode_bit_for_bit(env):
    first = rollout(env, 3, 25)
    rollout(env, 4, 5)
    assert data_equivalence(tuple(rollout(env, 3, 25)), tuple(first), exact=True)
    other = gymnasium.vector.SyncVectorEnv([make, make])
    observations, _ = other.reset(seed=[9, 3])
    assert np.array_equal(observations["observation"][1], first[0][0]["observation"])
    env.action_space.seed(3)
    for result in first[1:10]:
        action = env.action_space.sample()
        observations = other.step(np.stack([action, action]))[0]
        assert np.array_equal(observations["observation"][1], result[0]["observation"])
    other.close()


def test_a_controller_in_the_runners_world_sees_and_does_the_same(env):
    world = TaskWorld("PlayTable", noise=False)
    world.reset(np_random(5)[0])
    observation, _ = env.reset(seed=5)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert np.array_equal(world.policy_state(), observation["observation"])
        assert np.array_equal(world.policy_goal(), observation["desired_goal"])
        action = rng.uniform(-1, 1, 4)
        world.arm.execute(tool_chunk(world.arm.model, world.arm.read_q(), action, world.time))
        observation = env.step(action)[0]
    assert world.time == pytest.approx(20 * CONTROL_STEPS * CONTROL_STEP_SECONDS)
    world.close()


@pytest.mark.parametrize("bad", [np.full(4, np.nan), np.full(4, np.inf), np.zeros(3), np.zeros((2, 4)), "left", None])
def test_bad_actions_are_refused_counted_and_move_nothing(env, bad):
    env.reset(seed=0)
    before = env._episode.arm.read_q()
    observation, reward, over, _, info = env.step(bad)
    assert info["rejected"] == CONTROL_STEPS
    assert not over
    assert np.isfinite(reward)
    assert observation in env.observation_space
    assert np.allclose(env._episode.arm.read_q(), before, atol=1e-3)


def test_an_episode_begins_as_it_is_told(env):
    wanted = state(tool_y=0.1, gripper=0.5, drawer=0.1, slider=0.15, lamp=1, red_sin_4_yaw=1, red_cos_4_yaw=0)
    goal = np.array([0.1, 0.0, 1, 0.4, 0.09, 0.4, -0.11])
    observation, info = env.reset(seed=1, options={"state": wanted, "goal": goal, "kind": "slider right"})
    assert np.allclose(observation["observation"], wanted, atol=2e-4)
    assert np.array_equal(observation["desired_goal"], goal)
    assert (info["kind"], info["instruction"]) == ("slider right", "move the slider to the right")
    assert np.array_equal(observation["achieved_goal"], observation["observation"][list(GOAL_COLUMNS)])
    again, _ = env.reset(seed=1)
    assert not np.allclose(again["observation"], wanted, atol=1e-2)  # options hold for one episode


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"weather": 1}, ChoiceError, "no reset option 'weather'; choose from state, goal, kind"),
        ({"kind": "dance"}, ChoiceError, "no goal kind 'dance'; choose from open drawer"),
        ({"state": np.zeros(3)}, ShapeError, "state must be"),
        ({"goal": np.full(7, np.nan)}, ShapeError, "goal must be"),
        ({"state": state(drawer=0.5)}, ValueRangeError, r"state\[4\] \(drawer\) is 0.5"),
        ({"state": state(tool_x=0.75, tool_y=0.45, tool_z=0.5)}, ValueRangeError, "where panda can reach"),
    ],
)
def test_a_start_that_cannot_be_is_refused(env, options, error, said):
    with pytest.raises(error, match=said):
        env.reset(seed=0, options=options)


def test_unknown_choices_are_refused():
    for options in ({"observation": "smell"}, {"kind": "dance"}, {"render_mode": "opera"}):
        with pytest.raises(ChoiceError, match="choose from"):
            PlayTableEnv(**options)
    with pytest.raises(ChoiceError, match="no arm for PlayTable 'iiwa'; choose from panda"):
        TaskWorld("PlayTable", "iiwa")


@pytest.mark.parametrize("kind", KINDS)
def test_a_goal_asks_for_one_column_that_the_start_does_not_meet(kind):
    rng = np.random.default_rng(0)
    for _ in range(20):
        achieved = draw_state(kind, rng=rng)[list(GOAL_COLUMNS)]
        goal = draw_goal(achieved, kind)
        assert np.flatnonzero(goal != achieved).tolist() == [KINDS[kind].column]
        assert not met(achieved, goal, kind)
        assert met(goal, goal, kind)


def test_reward_takes_batches_and_the_kind_of_each_row(env):
    _, info = env.reset(seed=2, options={"state": state(), "kind": "open drawer"})
    start = state()[list(GOAL_COLUMNS)]
    opened = draw_goal(start, "open drawer")
    pushed = opened.copy()
    pushed[4] = -0.1
    achieved = np.stack([start, opened, pushed])
    assert env.compute_reward(achieved, np.stack([opened] * 3), info).tolist() == [-1, 0, 0]
    assert env.compute_reward(achieved, np.stack([opened] * 3), {}).tolist() == [-1, 0, -1]
    kinds = [{"kind": "lamp off"}, {"kind": "open drawer"}, {"kind": "red left"}]
    assert env.compute_reward(achieved, np.stack([opened] * 3), kinds).tolist() == [0, 0, -1]


def test_a_press_switches_the_lamp_once_and_the_button_comes_back(env):
    at = dict(zip(("tool_x", "tool_y", "tool_z"), OVER_BUTTON, strict=True))
    observation, _ = env.reset(seed=0, options={"state": state(**at, gripper=0.0), "kind": "lamp on"})
    lamps = []
    for speeds in ([-0.4] * 6, [0.0] * 4, [0.4] * 6, [-0.4] * 6, [0.4] * 6):
        for speed in speeds:
            observation = env.step(np.array([0, 0, speed, -1]))[0]
        lamps.append(observation["observation"][7])
    assert lamps == [1, 1, 1, 0, 0]
    assert observation["observation"][6] == pytest.approx(0, abs=1e-3)


def test_nothing_moves_on_a_table_that_nobody_touches(env):
    observation, _ = env.reset(seed=0, options={"state": state(drawer=0.1, slider=0.1)})
    first = observation["observation"]
    for _ in range(40):
        observation = env.step(np.array([0, 0, 0, 1]))[0]
    assert np.allclose(observation["observation"][4:11], first[4:11], atol=2e-3)


def test_an_episode_ends_at_success_unless_play_goes_on(env):
    free = make(ends_at_success=False)
    for one, over in ((env, True), (free, False)):
        one.reset(seed=0, options={"state": state(), "goal": state()[list(GOAL_COLUMNS)], "kind": "close drawer"})
        result = one.step(np.array([0, 0, 0, 1]))
        assert result[4]["is_success"]
        assert result[2] == over
        assert result[1] == 0
    free.close()


def test_a_block_in_the_air_is_not_yet_on_its_side(env):
    env.reset(seed=0, options={"state": state(red_z=0.2), "goal": state()[list(GOAL_COLUMNS)], "kind": "red left"})
    assert not env.step(np.array([0, 0, 0, 1]))[4]["is_success"]


def test_the_tool_goes_as_told_and_the_hand_stays_upright():
    arm, rng = load_arm("panda"), np.random.default_rng(0)
    q = arm.home
    for _ in range(300):
        before = arm.tool(q).translation
        aim = rng.uniform([0.35, -0.3, 0.05], [0.65, 0.3, 0.3]) - before
        velocity = np.clip(aim / 0.3, -TOOL_SPEED, TOOL_SPEED)
        q = tool_motion(arm, q, velocity, CONTROL_STEPS, CONTROL_STEP_SECONDS)[-1]
        moved = arm.tool(q).translation - before
        assert np.allclose(moved, velocity * CONTROL_STEPS * CONTROL_STEP_SECONDS, atol=3e-3)
        assert arm.tool(q).rotation.as_matrix()[2, 2] < -0.999
    assert (arm.q_min <= q).all()
    assert (q <= arm.q_max).all()


def test_a_long_play_does_not_wander_through_the_redundant_joint():
    arm = load_arm("panda")
    bent = arm.home + np.array([0.4, 0, -0.5, 0, 0.3, 0, 0])
    place = arm.tool(bent).translation
    for _ in range(200):
        bent = tool_motion(arm, bent, np.zeros(3), CONTROL_STEPS, CONTROL_STEP_SECONDS)[-1]
    assert abs(bent[2]) < 0.05
    assert np.allclose(arm.tool(bent).translation, place, atol=0.02)


def test_tool_chunk_refuses_what_is_no_action():
    arm = load_arm("panda")
    for q, action in ((arm.home, np.zeros(3)), (arm.home, np.full(4, np.nan)), (np.zeros(3), np.zeros(4))):
        with pytest.raises(ShapeError):
            tool_chunk(arm, q, action, 0.0)
    chunk = tool_chunk(arm, arm.home, np.array([0, 0, 0, 7.0]), 1.0)
    assert chunk.gripper.tolist() == [1.0] * CONTROL_STEPS


def play(env, seed: int, player: TablePlay) -> list:
    observation, _ = env.reset(seed=seed)
    player.reset(observation, rng=np.random.default_rng(seed))
    actions = []
    while (action := player.act(observation)) is not None:
        assert action in env.action_space
        actions.append(action)
        observation = env.step(action)[0]
    return actions


def test_play_reaches_most_of_what_it_tries_in_many_ways():
    env = make(ends_at_success=False)
    player = TablePlay(seconds=(25.0, 26.0))
    done = []
    for seed in range(2):
        actions = play(env, seed, player)
        assert len(actions) >= 200
        done += player.done
        assert all(0 <= one.start < one.end <= len(actions) for one in player.done)
    whole = [one for one in done if not one.gave_up]
    assert sum(one.reached for one in whole) >= 0.9 * len(whole)
    assert len({one.kind for one in whole}) >= 6
    env.close()


def test_one_seed_plays_one_way_and_another_one_another():
    env = make(ends_at_success=False)
    first, again, other = (np.array(play(env, seed, TablePlay((5.0, 6.0)))) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)
    env.close()


def test_a_player_exists_for_play_only():
    assert isinstance(make_demonstrator("PlayTable"), TablePlay)
    with pytest.raises(ChoiceError, match="no demonstrator for task 'Push'; choose from"):
        make_demonstrator("Push")
    assert PlayTable("lamp on").kind == "lamp on"
