"""Problems that several planning tests and benchmarks solve."""

import numpy as np

from armflow.perception.flow import Flow3D


def random_pose(rng: np.random.Generator) -> np.ndarray:
    """A random rigid motion [4, 4]."""
    T = np.eye(4)
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    T[:3, :3] = q if np.linalg.det(q) > 0 else -q
    T[:3, 3] = rng.normal(size=3)
    return T


def moved_cloud(T_world_tool: np.ndarray, shift: np.ndarray, steps: int, rng: np.random.Generator) -> Flow3D:
    """A cloud in the hand that moves straight by `shift` [3] m in `steps` rows."""
    points = T_world_tool[:3, 3] + rng.uniform(-0.02, 0.02, (100, 3))
    paths = points + np.linspace(0.0, 1.0, steps)[:, None, None] * shift
    return Flow3D(points_world=paths, visible=np.ones(paths.shape[:2], dtype=bool), dt=0.1)


def pillar(x: float, y: float, rng: np.random.Generator) -> np.ndarray:
    """Surface points [M, 3] of a column 8 cm wide and 25 cm high on the table."""
    points = rng.uniform(-1.0, 1.0, (3000, 3))
    face = rng.integers(2, size=3000)
    points[np.arange(3000), face] = np.sign(points[np.arange(3000), face])
    return points * [0.04, 0.04, 0.125] + [x, y, 0.125]
