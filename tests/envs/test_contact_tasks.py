"""InsertPen, HangMug and Pour: layouts that every arm can serve, bodies that stay put, success that means it."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.envs.episode import TaskWorld
from armflow.envs.objects import Cup, Mug, Rack
from armflow.envs.shapes import BodySpec, place
from armflow.envs.tasks.hang_mug import HANDLE_TURN, HangMug
from armflow.envs.tasks.insert_pen import InsertPen
from armflow.envs.tasks.pour import BEADS, Pour
from armflow.perception.instruction import parse_instruction
from armflow.robot.embodiments import load_arm
from tests.envs.scripted import hold, move

ARMS = ("panda", "iiwa", "xarm6", "xarm7", "ur5", "so101")
TASKS = (InsertPen, HangMug, Pour)
RED = (0.8, 0.1, 0.1, 1.0)


class Shelf:
    """Stands in for a `World` while a task is laid out: it only remembers what was put where."""

    def __init__(self, arm) -> None:
        self.arm = arm
        self.things: list[tuple[BodySpec, RigidTransform]] = []

    def add(self, spec: BodySpec, T_world_body: RigidTransform) -> int:
        self.things.append((spec, T_world_body))
        return len(self.things) - 1


def lay_out(task, arm, seed: int) -> Shelf:
    shelf = Shelf(arm)
    task.build(shelf, arm, rng=np.random.default_rng(seed))
    return shelf


@pytest.fixture(scope="module")
def worlds():
    made: dict[str, TaskWorld] = {}

    def world(name: str, seed: int) -> TaskWorld:
        if name not in made:
            made[name] = TaskWorld(name, "panda", camera_size=(64, 48))
        made[name].reset(np.random.default_rng(seed))
        return made[name]

    yield world
    for one in made.values():
        one.close()


def put_again(episode: TaskWorld, spec: BodySpec, T_world_body: RigidTransform) -> None:
    """Take the target out and put one like it somewhere else."""
    episode.world.remove(episode.task.target)
    episode.task.target = episode.world.add(spec, T_world_body)


@pytest.mark.parametrize("arm_name", ARMS)
@pytest.mark.parametrize("Task", TASKS)
def test_things_lie_on_the_bench_of_every_arm_and_apart(Task, arm_name):
    arm, task = load_arm(arm_name), Task()
    for seed in range(40):
        shelf = lay_out(task, arm, seed)
        target, reference = (shelf.things[h][1].translation[:2] for h in (task.target, task.reference))
        reach = arm.bench_half + (0.13 if Task is HangMug else 0.0)
        assert (abs(target - arm.bench_center) <= arm.bench_half + 1e-9).all()
        assert (abs(reference - arm.bench_center) <= reach).all()
        assert np.linalg.norm(target - reference) > 0.08


@pytest.mark.parametrize("Task", TASKS)
def test_every_instruction_is_understood_and_words_vary(Task):
    arm, task, sentences = load_arm("panda"), Task(), set()
    kinds = {"InsertPen": ("pen", "holder"), "HangMug": ("mug", "rack"), "Pour": ("cup", "cup")}[task.name]
    for seed in range(60):
        lay_out(task, arm, seed)
        command = parse_instruction(task.instruction)
        assert (command.target.kinds[0], command.reference.kinds[0]) == kinds
        sentences.add(task.instruction)
    assert len(sentences) > 40


def test_the_handle_is_never_hidden_behind_the_mug():
    arm, task = load_arm("panda"), HangMug()
    for seed in range(60):
        handle = lay_out(task, arm, seed).things[task.target][1].rotation.as_matrix()[:, 0]
        assert handle[0] >= np.cos(HANDLE_TURN) - 1e-9  # the camera stands towards +x


@pytest.mark.parametrize("name", [Task.name for Task in TASKS])
def test_bodies_stay_where_they_were_put(worlds: Callable, name):
    for seed in range(3):
        episode = worlds(name, seed)
        hold(episode, 1.0, 0.4)
        handles = (episode.task.target, episode.task.reference)
        before = [episode.world.pose(h) for h in handles]
        hold(episode, 1.0, 2.0)
        for handle, old in zip(handles, before, strict=True):
            change = old.inv() * episode.world.pose(handle)
            assert np.linalg.norm(change.translation) < 5e-4  # creep that the solver leaves, stopping early
            assert change.rotation.magnitude() < 1e-2


@pytest.mark.parametrize("Task", TASKS)
def test_success_and_reward_of_a_batch_are_those_of_each(Task):
    task, rng = Task(), np.random.default_rng(0)
    size = 1 if Task is Pour else 3
    achieved = rng.uniform(0, 0.05, (50, size)) + (0.78 if Task is Pour else 0.0)
    desired = np.full((50, size), 1.0 if Task is Pour else 0.0)
    met = task.success(achieved, desired)
    assert 0 < met.sum() < 50
    assert (met == [task.success(a, d) for a, d in zip(achieved, desired, strict=True)]).all()
    assert task.reward(achieved, desired).shape == (50,)


def test_a_pen_dropped_into_the_holder_counts_and_one_beside_it_does_not(worlds: Callable):
    episode = worlds("InsertPen", 0)
    task = episode.task
    spec = task.pen.body("pen", RED)
    over = task.desired_goal(episode.world) + np.array([0.005, 0, 0.03 + task.pen.length / 2])
    upright = Rotation.from_euler("y", 80, degrees=True)
    put_again(episode, spec, place(*over, upright))
    hold(episode, 1.0, 2.0)
    assert episode.is_success()
    put_again(episode, spec, place(over[0] - 0.08, over[1], over[2], upright))
    hold(episode, 1.0, 2.0)
    assert not episode.is_success()


def test_a_held_pen_keeps_its_angle_while_the_hand_turns(worlds: Callable):
    episode = worlds("InsertPen", 1)
    turn = Rotation.from_euler("y", np.pi)
    put_again(episode, episode.task.pen.body("pen", RED), place(0.53, 0.0, 0.01))
    grasp = RigidTransform.from_components([0.5, 0.0, 0.01], turn)  # 3 cm off the pen's centre
    level = RigidTransform.from_components([0.5, 0.0, 0.3], Rotation.from_euler("yz", [-75, 40], degrees=True) * turn)
    move(episode, place(0, 0, 0.1) * grasp, 1.0, 1.5)
    move(episode, grasp, 1.0, 1.0)
    hold(episode, 0.0, 0.8)
    move(episode, place(0, 0, 0.2) * grasp, 0.0, 1.0)
    move(episode, level, 0.0, 2.0)
    T_tool_pen = episode.arm.model.tool(episode.arm.read_q()).inv() * episode.world.pose(episode.task.target)
    assert abs(T_tool_pen.rotation.as_matrix()[0, 0]) > np.cos(np.radians(8.0))


def test_a_mug_on_the_peg_succeeds_after_a_second_and_not_before(worlds: Callable):
    episode = worlds("HangMug", 2)
    task, T_world_peg = episode.task, episode.world.pose(episode.task.reference)
    along = T_world_peg.rotation.as_matrix()[:, 0]
    turn = Rotation.from_euler("z", np.arctan2(along[1], along[0]) - np.pi / 2)
    drop = [0.0, 0.0, task.rack.peg_radius - task.mug.hole_height / 2]
    corner = T_world_peg.apply([task.rack.peg_length / 2, 0, 0]) - turn.apply(task.mug.hole_center) + drop
    put_again(episode, task.mug.body("mug", RED), place(*corner, turn))
    hold(episode, 1.0, 0.9)
    assert not episode.is_success()
    hold(episode, 1.0, 4.0)
    assert episode.is_success()
    assert episode.world.at_rest(task.target, speed=0.02, spin=0.3)


def test_a_rod_crosses_the_handle_only_through_its_opening():
    mug = Mug(0.033, 0.09)
    inside, side = mug.hole_center, np.array([0.0, 0.05, 0.0])
    assert mug.hole_crossing(inside - side, inside + side) == pytest.approx(0.5)
    assert mug.hole_crossing(inside + side, inside + 2 * side) is None
    beyond = inside + np.array([0.02, 0.0, 0.0])
    assert mug.hole_crossing(beyond - side, beyond + side) is None


def test_rack_frame_has_x_along_the_peg_and_y_level():
    rack = Rack(0.22, 0.1, np.radians(18.0))
    R = rack.peg_pose().rotation.as_matrix()
    assert R[:, 0] == pytest.approx([np.cos(rack.peg_tilt), 0, np.sin(rack.peg_tilt)])
    assert R[2, 1] == pytest.approx(0.0)


def test_beads_stay_in_the_cup_and_count_once_they_are_in_the_other(worlds: Callable):
    episode = worlds("Pour", 0)
    task, world = episode.task, episode.world
    hold(episode, 1.0, 1.0)
    at = world.pose(task.target).inv().apply(np.array([world.pose7(b)[:3] for b in task.beads]))
    assert task.source.holds(at).all()
    assert task.achieved_goal(world) == 0.0
    specs = [world.specs[b] for b in task.beads]
    for bead in task.beads:
        world.remove(bead)
    above = Cup(0.03, 0.1).bead_spots(BEADS) + np.array([0.0, 0.0, 0.08])  # a fall of 8 cm
    spots = world.pose(task.reference).apply(above)
    task.beads = [world.add(spec, place(*spot)) for spec, spot in zip(specs, spots, strict=True)]
    assert not episode.is_success()
    hold(episode, 1.0, 2.0)
    assert task.achieved_goal(world) >= 0.8
    assert episode.is_success()


def test_nothing_gets_through_the_wall_of_a_cup(worlds: Callable):
    episode = worlds("Pour", 1)
    task, world = episode.task, episode.world
    hold(episode, 1.0, 0.4)
    for n, bead in enumerate(task.beads):  # thrown at the wall at 2 m/s, all ways
        world.disturb(bead, np.array([2 * np.cos(n), 2 * np.sin(n), 0, 0, 0, 0]))
    hold(episode, 1.0, 1.0)
    at = world.pose(task.target).inv().apply(np.array([world.pose7(b)[:3] for b in task.beads]))
    assert task.source.holds(at).all()
