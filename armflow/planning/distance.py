"""`DistanceField`: how far each place is from the scene, and in which direction it gets farther.

The cloud is thinned to one mean point per voxel and each of these writes its exact distance to the grid nodes around
it, so that the field has no staircase; the table is kept as a plane and costs no voxels.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from armflow.perception.detection import TablePlane
from armflow.robot.arrays import check_shape
from armflow.robot.errors import ValueRangeError

__all__ = ["DistanceField", "build_field", "empty_field", "field_distance"]


class DistanceField(NamedTuple):
    """Signed distance to the scene, ready for compiled kernels.

    Attributes:
        values: [X, Y, Z] float32 distance to the nearest scene point less `thickness`, at most `reach`, m.
        origin: [3] place of node (0, 0, 0), m.
        voxel: Node spacing, m.
        reach: Distance beyond which everything counts as free, m.
        normal: [3] table normal; zeros where there is no table.
        offset: Table offset, m.
    """

    values: np.ndarray
    origin: np.ndarray
    voxel: float
    reach: float
    normal: np.ndarray
    offset: float

    def distance(self, points_world: np.ndarray) -> np.ndarray:
        """Signed distance [N] m of points [N, 3], negative inside the scene."""
        return _query(self, np.ascontiguousarray(points_world, dtype=float))[0]

    def gradient(self, points_world: np.ndarray) -> np.ndarray:
        """Gradient [N, 3] of the distance at points [N, 3]."""
        return _query(self, np.ascontiguousarray(points_world, dtype=float))[1]


def empty_field() -> DistanceField:
    """Return a field of a scene without anything in it."""
    return DistanceField(np.full((2, 2, 2), 1.0, dtype=np.float32), np.zeros(3), 1.0, 1.0, np.zeros(3), -1.0)


def build_field(
    points_world: np.ndarray,
    table: TablePlane | None,
    workspace: np.ndarray,
    *,
    voxel: float = 0.01,
    reach: float = 0.1,
    thickness: float = 0.003,
) -> DistanceField:
    """Build the field of a scene cloud.

    Args:
        points_world: [M, 3] scene points, m; points outside the box by more than `reach` do not matter.
        table: Supporting plane, or None.
        workspace: [2, 3] lowest and highest corner of the box, m.
        voxel: Node spacing, m.
        reach: Distances are exact up to here, m.
        thickness: Radius given to each point, m.

    Raises:
        ShapeError: points_world is not [M, 3] or workspace not [2, 3].
        ValueRangeError: The box is empty, or more than 2e7 nodes would be needed.
    """
    check_shape("points_world", points_world, "M 3")
    check_shape("workspace", workspace, "2 3")
    size = np.ceil((workspace[1] - workspace[0]) / voxel) + 1
    if not (size.min() >= 2 and size.prod() <= 2e7):
        raise ValueRangeError("workspace", workspace.tolist(), "a box of 2 to 2e7 nodes")
    origin = np.asarray(workspace[0], dtype=float)
    points = points_world[np.isfinite(points_world).all(1)].astype(float)
    near = ((points > origin - reach) & (points < workspace[1] + reach)).all(1)
    squared = np.full(size.astype(int), np.float32((reach + thickness) ** 2), dtype=np.float32)
    _splat(squared, _thin(points[near], voxel), origin, voxel, reach + thickness)
    np.sqrt(squared, out=squared)
    squared -= np.float32(thickness)
    normal = np.zeros(3) if table is None else np.asarray(table.normal, dtype=float)
    offset = -1.0 if table is None else float(table.offset)
    return DistanceField(squared, origin, float(voxel), float(reach), normal, offset)


def _thin(points: np.ndarray, voxel: float) -> np.ndarray:
    """Mean point of each occupied voxel, [M', 3]."""
    if len(points) == 0:
        return points
    cells = np.floor((points - points.min(0)) / voxel).astype(np.int64)
    size = cells.max(0) + 1
    _, index, count = np.unique(
        (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2], return_inverse=True, return_counts=True
    )
    sums = np.stack([np.bincount(index, points[:, k]) for k in range(3)], axis=1)
    return sums / count[:, None]


@njit(cache=True, error_model="numpy")
def _splat(squared: np.ndarray, points: np.ndarray, origin: np.ndarray, voxel: float, reach: float) -> None:
    """Lower each node within `reach` of a point to its squared distance from it, m^2."""
    size_x, size_y, size_z = squared.shape
    for p in range(len(points)):
        x, y, z = points[p, 0] - origin[0], points[p, 1] - origin[1], points[p, 2] - origin[2]
        for i in range(max(0, int(np.ceil((x - reach) / voxel))), min(size_x, int((x + reach) / voxel) + 1)):
            dx = (i * voxel - x) ** 2
            rest = reach * reach - dx
            if rest <= 0.0:
                continue
            half = np.sqrt(rest)
            for j in range(max(0, int(np.ceil((y - half) / voxel))), min(size_y, int((y + half) / voxel) + 1)):
                dxy = dx + (j * voxel - y) ** 2
                left = max(reach * reach - dxy, 0.0)
                span = np.sqrt(left)
                low, high = max(0, int(np.ceil((z - span) / voxel))), min(size_z, int((z + span) / voxel) + 1)
                row = squared[i, j]
                base, step, shift = np.float32(dxy), np.float32(voxel), np.float32(z)
                for k in range(low, high):
                    dz = np.float32(k) * step - shift
                    row[k] = min(row[k], base + dz * dz)


@njit(cache=True, error_model="numpy")
def _trilinear(field: DistanceField, p: np.ndarray, gradient: np.ndarray) -> float:
    """Interpolate the grid at p [3]; outside it everything is free."""
    values, voxel = field.values, field.voxel
    x, y, z = (p[0] - field.origin[0]) / voxel, (p[1] - field.origin[1]) / voxel, (p[2] - field.origin[2]) / voxel
    gradient[0] = gradient[1] = gradient[2] = 0.0
    size_x, size_y, size_z = values.shape
    if not (0.0 <= x < size_x - 1 and 0.0 <= y < size_y - 1 and 0.0 <= z < size_z - 1):
        return field.reach
    i, j, k = int(x), int(y), int(z)
    x, y, z = x - i, y - j, z - k
    a, b = values[i, j, k], values[i, j, k + 1]
    c, d = values[i, j + 1, k], values[i, j + 1, k + 1]
    e, f = values[i + 1, j, k], values[i + 1, j, k + 1]
    g, h = values[i + 1, j + 1, k], values[i + 1, j + 1, k + 1]
    near_low, near_high = a + (b - a) * z, c + (d - c) * z
    far_low, far_high = e + (f - e) * z, g + (h - g) * z
    near, far = near_low + (near_high - near_low) * y, far_low + (far_high - far_low) * y
    gradient[0] = (far - near) / voxel
    gradient[1] = ((near_high - near_low) * (1.0 - x) + (far_high - far_low) * x) / voxel
    gradient[2] = (((b - a) * (1.0 - y) + (d - c) * y) * (1.0 - x) + ((f - e) * (1.0 - y) + (h - g) * y) * x) / voxel
    return near + (far - near) * x


@njit(cache=True, error_model="numpy")
def field_distance(field: DistanceField, p: np.ndarray, gradient: np.ndarray) -> float:
    """Signed distance at p [3], m; its gradient is written into `gradient` [3]."""
    distance = _trilinear(field, p, gradient)
    normal = field.normal
    height = normal[0] * p[0] + normal[1] * p[1] + normal[2] * p[2] - field.offset
    if height < distance:
        gradient[:] = normal
        return height
    return distance


@njit(cache=True, error_model="numpy")
def _query(field: DistanceField, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances [N] and gradients [N, 3] at points [N, 3]."""
    distances, gradients = np.empty(len(points)), np.empty((len(points), 3))
    for i in range(len(points)):
        distances[i] = field_distance(field, points[i], gradients[i])
    return distances, gradients
