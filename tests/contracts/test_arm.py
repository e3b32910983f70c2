"""What every `Arm` keeps; a driver of a real arm joins `MAKERS` with its simulator."""

from collections.abc import Callable

import numpy as np
import pytest

from armflow.envs.sim_arm import SimArm
from armflow.envs.world import World
from armflow.robot.arm import Arm
from armflow.robot.chunk import ActionChunk
from armflow.robot.embodiments import load_arm
from armflow.robot.errors import ShapeError
from armflow.robot.model import RobotModel

DT = 0.04


def sim_arm() -> tuple[Arm, RobotModel]:
    model = load_arm("panda")
    return SimArm(World(model)), model


MAKERS: dict[str, Callable[[], tuple[Arm, RobotModel]]] = {"SimArm": sim_arm}


@pytest.fixture(params=MAKERS)
def made(request):
    return MAKERS[request.param]()


def chunk(q: np.ndarray, rows: int = 5) -> ActionChunk:
    return ActionChunk(np.tile(q, (rows, 1)), np.ones(rows), DT, 0.0)


def test_an_arm_has_the_methods(made):
    assert isinstance(made[0], Arm)


def test_an_arm_reads_itself_within_its_limits(made):
    arm, model = made
    q, gripper = arm.read_q(), arm.read_gripper()
    assert q.shape == (model.dof,)
    assert ((q >= model.q_min - 1e-3) & (q <= model.q_max + 1e-3)).all()
    assert -0.05 <= gripper <= 1.05


def test_an_arm_goes_where_it_is_told(made):
    arm, _ = made
    target = arm.read_q() + 0.05
    for _ in range(8):
        arm.execute(chunk(target))
    assert np.abs(arm.read_q() - target).max() < 0.01


def test_an_arm_slows_a_jump_down_and_says_what_it_sent(made):
    arm, model = made
    before = arm.read_q()
    sent = arm.execute(chunk(before + 0.6))
    steps = np.diff(np.vstack([before, sent.q]), axis=0)
    assert (np.abs(steps) <= model.v_max * sent.dt * 1.01 + 1e-3).all()
    assert (np.abs(sent.q - before) < 0.6).all()


def test_an_arm_stays_within_its_limits_whatever_it_is_told(made):
    arm, model = made
    for _ in range(20):
        sent = arm.execute(chunk(np.full(model.dof, 50.0)))
    assert (sent.q <= model.q_max + 1e-9).all()


def test_an_arm_refuses_a_chunk_for_another_number_of_joints(made):
    arm, model = made
    with pytest.raises(ShapeError):
        arm.execute(chunk(np.zeros(model.dof + 1)))
