import numpy as np
import pytest

from armflow.robot.embodiments import ARMS, load_arm
from armflow.robot.kinematics import chain_frames, chain_tool, turn_axes_to_z
from tests.numeric import central_difference


def random_q(arm, rng, count=20):
    return rng.uniform(arm.q_min, arm.q_max, (count, arm.dof))


@pytest.mark.parametrize("name", ARMS)
def test_tool_pose_is_that_of_pinocchio(name):
    arm, rng = load_arm(name), np.random.default_rng(0)
    for q in random_q(arm, rng):
        np.testing.assert_allclose(arm.tool(q).as_matrix(), arm.pinocchio.tool_pose(q), atol=1e-12)


@pytest.mark.parametrize("name", ARMS)
def test_jacobian_is_that_of_pinocchio(name):
    arm, rng = load_arm(name), np.random.default_rng(1)
    for q in random_q(arm, rng):
        np.testing.assert_allclose(arm.jacobian(q), arm.pinocchio.jacobian(q), atol=1e-12)


@pytest.mark.parametrize("name", ARMS)
def test_jacobian_is_the_derivative_of_the_tool_pose(name):
    arm, rng = load_arm(name), np.random.default_rng(2)
    for q in random_q(arm, rng, 5):
        tool = chain_tool(arm.placements, arm.axes, q)
        slope = central_difference(lambda x: chain_tool(arm.placements, arm.axes, x), q)
        spin = np.einsum("abd,cb->acd", slope[:3, :3], tool[:3, :3])  # dR/dq R^T is skew
        angular = np.stack([spin[2, 1], spin[0, 2], spin[1, 0]])
        # 1e-16 / 1e-6 of rounding is left of the difference.
        np.testing.assert_allclose(arm.jacobian(q), np.concatenate([slope[:3, 3], angular]), atol=1e-8)


@pytest.mark.parametrize("name", ARMS)
def test_turning_axes_to_z_leaves_the_tool_where_it_is(name):
    arm, rng = load_arm(name), np.random.default_rng(3)
    chain, z = turn_axes_to_z(arm.placements, arm.axes), np.tile([0.0, 0.0, 1.0], (arm.dof, 1))
    for q in random_q(arm, rng, 5):
        np.testing.assert_allclose(chain_tool(chain, z, q), arm.tool(q).as_matrix(), atol=1e-12)


def test_frames_are_rigid_and_the_last_is_the_tool():
    arm = load_arm("xarm7")
    frames = chain_frames(arm.placements, arm.axes, arm.home)
    R = frames[:, :3, :3]
    np.testing.assert_allclose(R @ R.mT, np.tile(np.eye(3), (arm.dof + 1, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(frames[-1], arm.tool(arm.home).as_matrix(), atol=1e-12)


def test_full_turns_leave_the_frames_where_they_are():
    arm = load_arm("ur5")
    np.testing.assert_allclose(arm.frames(arm.home + 2 * np.pi), arm.frames(arm.home), atol=1e-12)
