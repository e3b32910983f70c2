"""Paths of rigid poses: building blocks of every flow that moves one rigid object."""

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation, Slerp

__all__ = ["as_transforms", "carry_flow", "interpolate_poses", "pose", "shifted", "turned_about"]

_TURN_LENGTH = 0.10  # m of path that one radian of turning counts as


def pose(rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Homogeneous transform [4, 4] from a rotation [3, 3] and a position [3], m."""
    T = np.eye(4)
    T[:3, :3] = rotation
    T[:3, 3] = position
    return T


def shifted(T: np.ndarray, offset_world: np.ndarray) -> np.ndarray:
    """The same pose [4, 4], its origin moved by a world offset [3], m."""
    return pose(T[:3, :3], T[:3, 3] + offset_world)


def turned_about(T: np.ndarray, point_world: np.ndarray, rotation_vector: np.ndarray) -> np.ndarray:
    """Turn a pose [4, 4] about a fixed world point [3] by a rotation vector [3], rad."""
    turn = Rotation.from_rotvec(rotation_vector).as_matrix()
    return pose(turn @ T[:3, :3], point_world + turn @ (T[:3, 3] - point_world))


def interpolate_poses(keys: np.ndarray, spacing: float, most: int) -> np.ndarray:
    """Sample a path through key poses at even steps of path length.

    Positions run along straight lines, rotations along great arcs. Every key pose is a row of the result.

    Args:
        keys: [K, 4, 4] key poses, m.
        spacing: Wanted path length between rows, m; a radian of turning counts as 0.1 m.
        most: Upper bound on the number of rows.

    Returns:
        [T, 4, 4] poses, first and last equal to the first and last key, K <= T <= max(most, K).
    """
    turns = Rotation.from_matrix(keys[:, :3, :3])
    steps = np.linalg.norm(np.diff(keys[:, :3, 3], axis=0), axis=1)
    steps += _TURN_LENGTH * (turns[:-1].inv() * turns[1:]).magnitude()
    spacing = max(spacing, steps.sum() / max(most - len(keys), 1))
    counts = np.maximum(np.floor(steps / spacing).astype(int), 1)
    stations = np.concatenate([[0.0], *(k + np.arange(1, n + 1) / n for k, n in enumerate(counts))])
    path = np.tile(np.eye(4), (len(stations), 1, 1))
    path[:, :3, :3] = Slerp(np.arange(len(keys)), turns)(stations).as_matrix()
    for axis in range(3):
        path[:, axis, 3] = np.interp(stations, np.arange(len(keys)), keys[:, axis, 3])
    return path


def carry_flow(points_world: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Carry points [N, 3] observed at path[0] along the path [T, 4, 4]; returns [T, N, 3], m."""
    motions = path @ np.linalg.inv(path[0])
    return points_world @ motions[:, :3, :3].transpose(0, 2, 1) + motions[:, None, :3, 3]


def as_transforms(path: np.ndarray) -> RigidTransform:
    """The path [T, 4, 4] as SciPy transforms."""
    return RigidTransform.from_matrix(path)
