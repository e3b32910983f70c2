from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from armflow.envs.episode import TaskWorld
from armflow.envs.tasks import TASKS, make_task
from armflow.envs.tasks.task import Task
from armflow.perception.frame import Camera
from armflow.perception.instruction import parse_instruction
from armflow.robot.arm import Arm
from armflow.robot.chunk import ActionChunk
from armflow.robot.errors import ChoiceError, ShapeError
from tests.envs.scripted import down, grasp_block, hold, move, nearest_yaw, solve

MINE = ("Push", "PickPlace", "OpenDrawer")


@pytest.fixture(scope="module")
def worlds():
    made: dict[str, TaskWorld] = {}

    def world(task: str, seed: int) -> TaskWorld:
        if task not in made:
            made[task] = TaskWorld(task, "panda", camera_size=(160, 120))
        made[task].reset(np.random.default_rng(seed))
        return made[task]

    yield world
    for one in made.values():
        one.close()


@pytest.mark.parametrize("name", TASKS)
def test_task_fits_the_protocol_and_starts_unsolved_and_at_rest(worlds: Callable, name):
    world = worlds(name, 3)
    assert isinstance(world.task, Task)
    assert world.task.name == name
    start = world.task.achieved_goal(world.world)
    hold(world, 1.0, 0.6)
    assert not world.is_success()
    assert world.failure() is None
    assert np.allclose(world.task.achieved_goal(world.world), start, atol=3e-3)


@pytest.mark.parametrize("name", MINE)
def test_every_instruction_is_understood(worlds: Callable, name):
    sentences = set()
    for seed in range(30):
        world = worlds(name, seed)
        parse_instruction(world.instruction)
        sentences.add(world.instruction)
    assert len(sentences) > 15


@pytest.mark.parametrize("name", MINE)
def test_success_and_reward_of_a_batch_are_those_of_each(worlds: Callable, name):
    task = worlds(name, 0).task
    rng = np.random.default_rng(0)
    desired = rng.normal(size=(2, 5, 3))
    achieved = desired + rng.normal(0, 0.03, size=(2, 5, 3))
    for function in (task.success, task.reward):
        each = [[function(a, d) for a, d in zip(*rows, strict=True)] for rows in zip(achieved, desired, strict=True)]
        assert np.array_equal(function(achieved, desired), each)
    assert task.success(desired, desired).all()
    assert not task.reward(desired, desired).any()


@pytest.mark.parametrize("name", MINE)
def test_bodies_keep_clear_of_one_another_and_stay_put(worlds: Callable, name):
    for seed in range(8):
        world = worlds(name, seed)
        loose = [h for h, spec in world.world.specs.items() if spec.mass > 0]
        before = [world.world.pose7(h) for h in loose]
        hold(world, 1.0, 0.4)
        for handle, pose in zip(loose, before, strict=True):
            assert np.abs(world.world.pose7(handle)[:3] - pose[:3]).max() < 1e-3, world.world.specs[handle].name


def test_a_block_carried_to_the_disc_and_let_go_is_a_success(worlds: Callable):
    world = worlds("PickPlace", 1)
    yaw = grasp_block(world, world.task.target)
    x, y, z = world.task.desired_goal(world.world)
    move(world, down(x, y, 0.2, yaw), 0.0, 1.6)
    move(world, down(x, y, z + 0.002, yaw), 0.0, 1.0)
    assert not world.is_success()
    hold(world, 1.0, 0.6)
    move(world, down(x, y, 0.15, yaw), 1.0, 1.0)
    assert world.is_success()


def test_a_block_pushed_to_the_disc_is_a_success(worlds: Callable):
    world = worlds("Push", 5)
    start, goal = world.task.achieved_goal(world.world), world.task.desired_goal(world.world)
    way = (goal - start)[:2] / np.linalg.norm((goal - start)[:2])
    yaw = nearest_yaw(np.arctan2(way[1], way[0]))
    side = 0.5 * np.linalg.norm(world.world.specs[world.task.target].parts[0].size[:2])
    back = start[:2] - (side + 0.04) * way
    move(world, down(*back, 0.12, yaw), 0.0, 2.0)
    move(world, down(*back, 0.02, yaw), 0.0, 1.0)
    for share in np.linspace(0.0, 1.0, 30)[1:]:
        gap = world.task.desired_goal(world.world)[:2] - world.task.achieved_goal(world.world)[:2]
        if gap @ way < 0.004:
            break
        move(world, down(*(back + share * (goal[:2] - back)), 0.02, yaw), 0.0, 0.24)
    hold(world, 0.0, 0.4)
    assert world.is_success()


def test_a_drawer_pulled_by_its_handle_is_a_success(worlds: Callable):
    world = worlds("OpenDrawer", 0)
    T = world.world.link_pose(world.task.target, "drawer")
    out = T.rotation.apply([1.0, 0.0, 0.0])
    across = nearest_yaw(np.arctan2(out[1], out[0]) - np.pi / 2)
    x, y, z = T.translation
    move(world, down(x, y, z + 0.1, across), 0.3, 2.0)
    move(world, down(x, y, z, across), 0.3, 1.0)
    hold(world, 0.0, 0.6)
    for distance in np.linspace(0.02, 0.16, 8):
        move(world, down(*(T.translation + distance * out), across), 0.0, 0.3)
    hold(world, 0.0, 0.3)
    assert world.world.joint(world.task.target, "drawer")[0] > 0.14
    assert world.is_success()


def test_one_generator_state_gives_one_episode_with_its_noise(worlds: Callable):
    pictures = []
    for _ in range(2):
        world = worlds("PickPlace", 7)
        hold(world, 0.5, 0.4)
        frame = world.camera.read()
        pictures.append((world.instruction, frame.rgb, frame.depth, world.arm.read_q()))
        worlds("PickPlace", 8)
    for one, other in zip(*pictures, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other), equal_nan=not isinstance(one, str))


def test_arm_and_camera_fit_their_protocols(worlds: Callable):
    world = worlds("Push", 0)
    assert isinstance(world.arm, Arm)
    assert isinstance(world.camera, Camera)


def test_the_camera_sees_every_body_of_the_episode(worlds: Callable):
    for name in MINE:
        world = worlds(name, 2)
        seen = world.camera.truth().segmentation
        for handle, spec in world.world.specs.items():
            assert (seen == handle).sum() > 10, spec.name


def test_a_point_on_the_table_is_where_the_picture_shows_it(worlds: Callable):
    world = worlds("PickPlace", 2)
    camera, truth = world.camera, world.camera.truth()
    rows, columns = np.nonzero(truth.segmentation == world.task.target)
    rays = np.column_stack([columns, rows, np.ones_like(rows)]) @ np.linalg.inv(camera.spec.K).T
    points = camera.spec.T_world_camera.apply(rays * truth.depth[rows, columns][:, None])
    local = world.world.pose(world.task.target).inv().apply(points)
    half = np.array(world.world.specs[world.task.target].parts[0].size) / 2
    assert (np.abs(local) < half + 2e-3).all()


def test_chunks_of_another_rate_take_as_long_as_they_say(worlds: Callable):
    world = worlds("Push", 0)
    q = world.arm.read_q() + np.linspace(0, 0.1, 11)[1:, None] * np.eye(world.arm.model.dof)[0]
    sent = world.arm.execute(ActionChunk(q, np.ones(10), 0.1, 0.0))
    assert world.time == pytest.approx(1.0)
    assert sent.horizon == 25
    assert world.arm.read_q()[0] == pytest.approx(q[-1, 0], abs=2e-3)


def test_the_limiter_stands_between_every_command_and_the_arm(worlds: Callable):
    world = worlds("Push", 0)
    start = world.arm.read_q()
    model = world.arm.model
    for target in (np.full(model.dof, np.nan), np.full(model.dof, 1e300), np.zeros(2), None, "up"):
        world.arm.command(target, np.nan)
    assert world.arm.rejected == 5
    assert np.allclose(world.arm.read_q(), start, atol=1e-3)
    world.arm.command(start + 0.5, 1.0)
    assert world.arm.clipped == 1
    assert (np.abs(world.arm.read_q() - start) <= model.v_max * 0.04 + 1e-3).all()


def test_wrong_chunks_tasks_and_poses_are_refused(worlds: Callable):
    world = worlds("Push", 0)
    with pytest.raises(ShapeError, match=r"chunk\.q"):
        world.arm.execute(ActionChunk(np.zeros((1, 3)), np.ones(1), 0.04, 0.0))
    with pytest.raises(ChoiceError, match="no task 'Juggle'; choose from Push"):
        make_task("Juggle")


def test_an_unreachable_pose_is_told_by_the_script(worlds: Callable):
    with pytest.raises(AssertionError, match="off"):
        solve(worlds("Push", 0), down(3.0, 0.0, 0.3))


def test_the_camera_looks_at_the_bench_from_beyond_it(worlds: Callable):
    spec = worlds("Push", 0).camera.spec
    forward = spec.T_world_camera.rotation.apply([0.0, 0.0, 1.0])
    right = spec.T_world_camera.rotation.apply([1.0, 0.0, 0.0])
    assert forward[0] < 0
    assert forward[2] < 0
    assert right[2] == pytest.approx(0.0, abs=1e-12)
    assert Rotation.from_matrix(spec.T_world_camera.as_matrix()[:3, :3]).magnitude() > 0
