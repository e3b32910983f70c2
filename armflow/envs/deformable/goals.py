"""Goals as clouds of points, and how far a cloud is from one."""

import numpy as np
from scipy.spatial import cKDTree

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ValueRangeError

__all__ = ["SHAPES", "chamfer", "drawn_shape"]

# Polylines, in units of the rope's length once scaled; corners are rounded by the rope itself.
SHAPES: dict[str, np.ndarray] = {
    "line": np.array([[0.0, 0.0], [1.0, 0.0]]),
    "L": np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]),
    "U": np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),
    "S": np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.6], [0.0, 0.6], [0.0, 1.2], [1.0, 1.2]]),
}


def chamfer(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two clouds: half the sum of both mean distances to the nearest point of the other, m.

    Args:
        a: [N, 3] m.
        b: [P, 3] m.

    Raises:
        ShapeError: A cloud is not [N, 3], or a point is not finite.
        ValueRangeError: A cloud is empty.
    """
    for name, cloud in (("a", a), ("b", b)):
        check_shape(name, cloud, "N 3")
        check_finite(name, cloud)
        if len(cloud) == 0:
            raise ValueRangeError(f"points of cloud {name}", 0, "at least 1")
    there, back = cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]
    return float(0.5 * (np.mean(there) + np.mean(back)))


def drawn_shape(name: str, length: float, count: int) -> np.ndarray:
    """Points [count, 2] evenly along a shape of that length about the origin, m."""
    corners = SHAPES[name]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    at = np.linspace(0.0, along[-1], count)
    points = np.column_stack([np.interp(at, along, column) for column in corners.T]) * (length / along[-1])
    return points - points.mean(axis=0)
