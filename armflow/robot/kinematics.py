"""Forward kinematics and Jacobian of a revolute chain, compiled; pinocchio in `model` is the reference.

A chain is two arrays, so that compiled solvers take it as it is:
`placements` [D + 1, 4, 4], the fixed transform before each joint and, last, from the last joint to the tool;
`axes` [D, 3], each joint's unit axis in its own frame.
"""

import numpy as np
from numba import njit
from scipy.spatial.transform import Rotation

__all__ = ["chain_frames", "chain_jacobian", "chain_tool", "turn_axes_to_z"]


@njit(cache=True, inline="always")
def _rotate_about(axis: np.ndarray, angle: float, out: np.ndarray) -> None:
    """Write the rotation about a unit axis (Rodrigues) into out [3, 3]."""
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = axis[0], axis[1], axis[2]
    k = 1.0 - c
    out[0, 0], out[0, 1], out[0, 2] = c + x * x * k, x * y * k - z * s, x * z * k + y * s
    out[1, 0], out[1, 1], out[1, 2] = y * x * k + z * s, c + y * y * k, y * z * k - x * s
    out[2, 0], out[2, 1], out[2, 2] = z * x * k - y * s, z * y * k + x * s, c + z * z * k


@njit(cache=True)
def chain_frames(placements: np.ndarray, axes: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Frames of all links after their joints, and of the tool.

    Args:
        placements: [D + 1, 4, 4] fixed transforms, m.
        axes: [D, 3] unit joint axes.
        q: [D] joint angles, rad.

    Returns:
        [D + 1, 4, 4]: row j is T_base_link of joint j's moving link, the last row T_base_tool.
    """
    dof = len(q)
    frames = np.zeros((dof + 1, 4, 4))
    joint = np.empty((3, 3))
    rotation, position = np.eye(3), np.zeros(3)
    turned, moved = np.empty((3, 3)), np.empty(3)
    for j in range(dof + 1):
        fixed = placements[j]
        for a in range(3):
            moved[a] = position[a]
            for k in range(3):
                moved[a] += rotation[a, k] * fixed[k, 3]
            for b in range(3):
                turned[a, b] = (
                    rotation[a, 0] * fixed[0, b] + rotation[a, 1] * fixed[1, b] + rotation[a, 2] * fixed[2, b]
                )
        position[:] = moved
        rotation[:] = turned
        if j < dof:
            _rotate_about(axes[j], q[j], joint)
            for a in range(3):
                for b in range(3):
                    turned[a, b] = (
                        rotation[a, 0] * joint[0, b] + rotation[a, 1] * joint[1, b] + rotation[a, 2] * joint[2, b]
                    )
            rotation[:] = turned
        frames[j, :3, :3] = rotation
        frames[j, :3, 3] = position
        frames[j, 3, 3] = 1.0
    return frames


@njit(cache=True)
def chain_tool(placements: np.ndarray, axes: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Pose of the tool, T_base_tool [4, 4], m; arguments as in `chain_frames`."""
    return chain_frames(placements, axes, q)[len(q)]


@njit(cache=True)
def chain_jacobian(placements: np.ndarray, axes: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose and geometric Jacobian of the tool; arguments as in `chain_frames`.

    Returns:
        T_base_tool [4, 4] and J [6, D]: rows 0..2 the linear velocity of the tool's origin (m/rad),
        rows 3..5 the angular velocity (rad/rad), both along base axes.
    """
    dof = len(q)
    frames = chain_frames(placements, axes, q)
    tool = frames[dof]
    jacobian = np.empty((6, dof))
    turn = np.empty(3)
    for j in range(dof):
        for a in range(3):
            turn[a] = frames[j, a, 0] * axes[j, 0] + frames[j, a, 1] * axes[j, 1] + frames[j, a, 2] * axes[j, 2]
        arm = tool[:3, 3] - frames[j, :3, 3]
        jacobian[0, j] = turn[1] * arm[2] - turn[2] * arm[1]
        jacobian[1, j] = turn[2] * arm[0] - turn[0] * arm[2]
        jacobian[2, j] = turn[0] * arm[1] - turn[1] * arm[0]
        jacobian[3:, j] = turn
    return tool, jacobian


def turn_axes_to_z(placements: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Rewrite a chain so that every joint turns about z, which solvers can exploit; the tool's motion is the same.

    Args:
        placements: [D + 1, 4, 4] fixed transforms, m.
        axes: [D, 3] unit joint axes.

    Returns:
        [D + 1, 4, 4] fixed transforms, with turns from z to each axis moved into them, m.
    """
    turns = np.tile(np.eye(4), (len(axes) + 1, 1, 1))
    for turn, axis in zip(turns, axes, strict=False):
        turn[:3, :3] = Rotation.align_vectors(axis[None], [[0.0, 0.0, 1.0]])[0].as_matrix()
    chain = placements @ turns
    chain[1:] = turns[:-1].mT @ chain[1:]
    return chain
