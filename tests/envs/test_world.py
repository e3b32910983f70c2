from collections.abc import Iterator

import numpy as np
import pybullet
import pytest
from scipy.spatial.transform import Rotation

from armflow.envs.shapes import BodySpec, Part, block, drawer_cabinet, place, tube
from armflow.envs.world import World
from armflow.robot.embodiments import load_arm
from armflow.robot.errors import ChoiceError, ShapeError, ValueRangeError

RED = (0.8, 0.1, 0.1, 1.0)


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    world = World(load_arm("panda"))
    yield world
    world.close()


@pytest.fixture
def world(shared: World) -> World:
    shared.reset()
    return shared


def run(world: World, steps: int, seed: int = 0) -> np.ndarray:
    """Some bodies that fall on one another while the arm moves; all that can be read, [steps, N]."""
    world.reset()
    rng = np.random.default_rng(seed)
    handles = [
        world.add(block("block", (0.05, 0.04, 0.03), RED), place(0.5, 0, 0.03 + 0.05 * n, Rotation.random(rng=rng)))
        for n in range(4)
    ]
    handles.append(world.add(BodySpec("cup", tube(0.03, 0.034, 0.09, 0.004), 0.1), place(0.55, 0.1, 0.05)))
    cabinet = world.add(drawer_cabinet("cabinet", RED, RED), place(0.75, -0.2, 0, Rotation.from_euler("z", 3.0)))
    phase, rows = rng.uniform(0, 6, world.arm.dof), []
    for step in range(steps):
        world.step(
            world.arm.home + 0.3 * np.sin(0.04 * step + phase) - 0.3 * np.sin(phase), 0.5 + 0.5 * np.sin(step / 9)
        )
        poses = [world.pose7(h) for h in handles] + [world.velocity(h) for h in handles]
        rows.append(np.concatenate([world.joint_positions(), world.read_qd(), *poses, world.joint(cabinet, "drawer")]))
    return np.array(rows)


def test_one_seed_gives_one_trajectory_bit_for_bit_after_other_episodes_too(world):
    first = run(world, 150)
    run(world, 40, seed=1)
    assert np.array_equal(run(world, 150), first)


def test_a_new_world_gives_the_trajectory_of_an_old_one(world):
    run(world, 30, seed=1)
    new = World(load_arm("panda"))
    assert np.array_equal(run(new, 60), run(world, 60))
    new.close()


def test_restore_comes_back_bit_for_bit(world):
    handle = world.add(block("block", (0.04, 0.04, 0.04), RED), place(0.5, 0, 0.2))

    def fall() -> np.ndarray:
        for _ in range(30):
            world.step(world.arm.home, 0.0)
        return np.concatenate([world.pose7(handle), world.velocity(handle), world.joint_positions()])

    saved = world.save()
    first = fall()
    world.restore(saved)
    assert world.steps == saved.steps
    assert np.array_equal(fall(), first)


def test_restore_refuses_other_bodies(world):
    saved = world.save()
    world.add(block("block", (0.04, 0.04, 0.04), RED), place(0.5, 0, 0.2))
    with pytest.raises(ShapeError, match="bodies of the world"):
        world.restore(saved)


def test_slow_moves_are_tracked_within_two_milliradians(world):
    worst = 0.0
    for step in range(100):
        target = world.arm.home + 0.2 * (1 - np.cos(0.05 * step))
        world.step(target, 1.0)
        worst = max(worst, float(abs(world.read_q() - target).max()))
    assert worst < 2e-3


def test_poses_are_those_of_the_body_frame_wherever_its_mass_lies(world):
    T = place(0.5, 0.1, 0.3, Rotation.from_euler("xyz", [0.3, -0.4, 1.0]))
    parts = (*tube(0.03, 0.034, 0.09, 0.004), Part("box", (0.02, 0.02, 0.05), place(0.05, 0, 0.04)))
    handle = world.add(BodySpec("mug", parts, 0.1), T)
    assert np.allclose((T.inv() * world.pose(handle)).as_matrix(), np.eye(4), atol=1e-9)


def test_a_block_held_between_the_fingers_follows_a_turn_of_the_hand(world):
    q = world.arm.home
    tool = world.arm.tool(q)
    for _ in range(20):
        world.step(q, 0.56)
    handle = world.add(block("block", (0.04, 0.04, 0.04), RED), tool)
    for _ in range(10):
        world.step(q, 0.0)
    start = world.arm.tool(world.read_q()).inv() * world.pose(handle)
    turn = np.zeros(world.arm.dof)
    turn[-1] = 0.8
    for step in range(100):
        world.step(q + turn * min(1.0, step / 60), 0.0)
    slip = start.inv() * (world.arm.tool(world.read_q()).inv() * world.pose(handle))
    assert world.pose(handle).translation[2] > 0.3
    assert np.linalg.norm(slip.translation) < 2e-3
    assert np.degrees(slip.rotation.magnitude()) < 3.0
    assert 0.4 < world.read_gripper() < 0.6


@pytest.mark.parametrize("velocity", [[0, 0, 150.0, 0, 0, 0], [np.nan, 0, 0, 0, 0, 0], [0, 0, 0, np.nan, 0, 0]])
def test_a_poisoned_simulation_is_noticed_in_the_same_step_and_the_next_episode_is_clean(world, velocity):
    clean = run(world, 20)
    handle = world.add(block("poison", (0.04, 0.04, 0.04), RED), place(0.4, 0.4, 0.5))
    world.step(world.arm.home, 1.0)
    assert world.poisoned is None
    world.disturb(handle, np.array(velocity, float))
    world.step(world.arm.home, 1.0)
    assert world.poisoned is not None
    assert "broke down" in world.poisoned
    assert np.array_equal(run(world, 20), clean)
    assert world.poisoned is None


def test_a_joint_that_is_not_finite_poisons_too(world):
    pybullet.resetJointState(world.robot, 2, np.nan, physicsClientId=world.client)
    world.step(world.arm.home, 1.0)
    assert "joints of panda" in world.poisoned
    world.reset()
    world.step(world.arm.home, 1.0)
    assert world.poisoned is None


def test_a_drawer_slides_within_its_travel(world):
    cabinet = world.add(drawer_cabinet("cabinet", RED, RED, travel=0.18), place(0.6, 0.3, 0))
    closed = world.link_pose(cabinet, "drawer").translation
    for force in (30.0, -30.0):
        for _ in range(40):
            pybullet.applyExternalForce(
                cabinet, 0, [force, 0, 0], closed.tolist(), pybullet.WORLD_FRAME, physicsClientId=world.client
            )
            world.step(world.arm.home, 1.0)
        travel = world.joint(cabinet, "drawer")[0]
        assert travel == pytest.approx(0.18 if force > 0 else 0.0, abs=4e-3)


def test_names_that_do_not_exist_are_refused(world):
    with pytest.raises(ChoiceError, match="no body 99"):
        world.pose(99)
    with pytest.raises(ChoiceError, match="no link 'door'"):
        world.joint(world.table, "door")


@pytest.mark.parametrize(
    ("kind", "size", "error"),
    [("cone", (1.0,), ChoiceError), ("box", (0.1, 0.1), ShapeError), ("sphere", (-0.1,), ValueRangeError)],
)
def test_a_part_that_makes_no_sense_is_refused(kind, size, error):
    with pytest.raises(error, match=kind):
        Part(kind, size)
