"""Depth images as points: back-projection, projection, the robot's own pixels, and a view from the table."""

from dataclasses import dataclass

import numba as nb
import numpy as np
from scipy.spatial import ConvexHull

from armflow.perception.detection import TablePlane
from armflow.perception.frame import RGBDFrame
from armflow.robot.arrays import check_shape
from armflow.robot.errors import ShapeError, StackError

__all__ = [
    "DepthError",
    "TableView",
    "back_project",
    "farthest_points",
    "hidden_points",
    "pixel_rays",
    "project",
    "robot_mask",
    "table_axes",
    "view_from",
]


_BEHIND = 0.012  # m that a point may lie behind what is seen in front of it before it counts as hidden


class DepthError(StackError):
    """A frame has too few depth readings to see anything in it."""


@dataclass(frozen=True, slots=True)
class TableView:
    """A frame expressed in the table's frame: z is the height above the table.

    Attributes:
        points: [H, W, 3] m, NaN without reading.
        rays: [H, W, 3] direction of each pixel; eye + depth * ray is the point.
        eye: [3] camera centre, m.
        rgb: [H, W, 3] uint8.
        K: [3, 3] px.
        T_world_table: [4, 4].
    """

    points: np.ndarray
    rays: np.ndarray
    eye: np.ndarray
    rgb: np.ndarray
    K: np.ndarray
    T_world_table: np.ndarray

    def meet(self, pixels: np.ndarray, height: float) -> np.ndarray:
        """Where the rays of pixels [N, 2] (row, column) cross the plane z = height: [N, 2] x, y in m."""
        rays = self.rays[pixels[:, 0], pixels[:, 1]]
        return self.eye[:2] + (height - self.eye[2]) * rays[:, :2] / rays[:, 2:]


def pixel_rays(K: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Direction of each pixel in the camera's frame, scaled to z = 1: [H, W, 3]."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    y = (rows - K[1, 2]) / K[1, 1]
    x = (columns - K[0, 2] - K[0, 1] * y) / K[0, 0]
    return np.stack([x, y, np.ones(shape)], -1)


def back_project(frame: RGBDFrame) -> np.ndarray:
    """Points in the world of every pixel: [H, W, 3] m, NaN without reading."""
    T = frame.T_world_camera.as_matrix()
    depth = np.where(np.isfinite(frame.depth) & (frame.depth > 0), frame.depth, np.nan)
    rays = pixel_rays(frame.K, depth.shape) @ T[:3, :3].T
    return rays * depth[..., None] + T[:3, 3]


def project(points_world: np.ndarray, K: np.ndarray, T_world_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 2] (u right, v down) and depths [N] m of world points [N, 3], with T_world_camera [4, 4]."""
    in_camera = (points_world - T_world_camera[:3, 3]) @ T_world_camera[:3, :3]
    z = in_camera[:, 2]
    scaled = in_camera @ K.T
    return scaled[:, :2] / np.where(np.abs(z) > 1e-9, z, 1e-9)[:, None], z


def hidden_points(points: np.ndarray, frame: RGBDFrame) -> np.ndarray:
    """Which points [N, 3] (m, world) lie outside the picture or behind what it shows, [N] bool."""
    pixels, depth = project(points, frame.K, frame.T_world_camera.as_matrix())
    u, v = np.round(pixels).astype(int).T
    height, width = frame.depth.shape
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    shown = np.full(len(points), np.nan)
    shown[inside] = frame.depth[v[inside], u[inside]]
    return ~inside | (np.nan_to_num(shown, nan=np.inf) < depth - _BEHIND)


@nb.njit(cache=True)
def _near_capsules(points, starts, ends, radii):
    """True for points [N, 3] within a radius of at least one segment."""
    inside = np.zeros(len(points), np.bool_)
    for c in range(len(starts)):
        ax, ay, az = ends[c, 0] - starts[c, 0], ends[c, 1] - starts[c, 1], ends[c, 2] - starts[c, 2]
        length2 = max(ax * ax + ay * ay + az * az, 1e-12)
        for i in range(len(points)):
            if inside[i]:
                continue
            px, py, pz = points[i, 0] - starts[c, 0], points[i, 1] - starts[c, 1], points[i, 2] - starts[c, 2]
            s = min(max((px * ax + py * ay + pz * az) / length2, 0.0), 1.0)
            dx, dy, dz = px - s * ax, py - s * ay, pz - s * az
            inside[i] = dx * dx + dy * dy + dz * dz < radii[c] * radii[c]
    return inside


def robot_mask(
    frame: RGBDFrame, starts: np.ndarray, ends: np.ndarray, radii: np.ndarray, margin: float = 0.015
) -> np.ndarray:
    """Pixels that show the robot itself, given its capsules at the present joint positions.

    Args:
        frame: The picture.
        starts: [C, 3] one end of each capsule, m, world.
        ends: [C, 3] the other end.
        radii: [C] m.
        margin: Added to each radius for calibration and depth errors, m.

    Returns:
        [H, W] bool.
    """
    sizes = check_shape("starts", starts, "C 3")
    check_shape("radii", radii, "C", check_shape("ends", ends, "C 3", sizes))
    points = np.nan_to_num(back_project(frame).reshape(-1, 3), nan=1e6)
    return _near_capsules(points, starts, ends, radii + margin).reshape(frame.depth.shape)


def table_axes(plane: TablePlane) -> np.ndarray:
    """T_world_table [4, 4]: origin below the world's, z along the normal, x as near to the world's x as possible."""
    z = plane.normal
    x = np.array([1.0, 0, 0]) - z[0] * z
    if np.linalg.norm(x) < 1e-3:
        x = np.array([0.0, 1, 0]) - z[1] * z
    x = x / np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.column_stack([x, np.cross(z, x), z])
    T[:3, 3] = plane.offset * z
    return T


def view_from(frame: RGBDFrame, plane: TablePlane) -> TableView:
    """Express a frame in the table's frame."""
    T_world_table, T_world_camera = table_axes(plane), frame.T_world_camera.as_matrix()
    T = np.linalg.inv(T_world_table) @ T_world_camera
    depth = np.where(np.isfinite(frame.depth) & (frame.depth > 0), frame.depth, np.nan)
    rays = pixel_rays(frame.K, depth.shape) @ T[:3, :3].T
    return TableView(rays * depth[..., None] + T[:3, 3], rays, T[:3, 3], frame.rgb, frame.K, T_world_table)


def visible_from(points: np.ndarray, eye: np.ndarray, reach: float = 100.0) -> np.ndarray:
    """Indices of the points [N, 3] (m) that an eye [3] sees, were a surface drawn through all of them.

    Points are flipped about a sphere that holds them all, p + 2 (R - |p|) p / |p| from the eye; those on the convex
    hull of the result and the eye are visible: Katz et al. (2007), doi:10.1145/1276377.1276407, section 3.

    Args:
        points: Of one object.
        eye: Where it is seen from, outside of it.
        reach: Radius R of the sphere over the farthest point's distance; more sees more.

    Raises:
        ShapeError: points is not [N, 3] with at least four rows.
    """
    sizes = check_shape("points", points, "N 3")
    if sizes["N"] < 4:
        raise ShapeError("points", "an array [N, 3] with N >= 4", points.shape)
    away = points - eye
    length = np.linalg.norm(away, axis=1, keepdims=True)
    flipped = away + 2.0 * (reach * length.max() - length) * away / length
    hull = ConvexHull(np.vstack([flipped, np.zeros(3)])).vertices
    return np.sort(hull[hull < len(points)])


def farthest_points(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` points [N, 3] spread evenly: each the farthest from those before; all where N is smaller.

    The first is the one farthest from the centre, so that the choice does not depend on the order.
    """
    if len(points) <= count:
        return np.arange(len(points))
    return _farthest(np.ascontiguousarray(points, float), count)


@nb.njit(cache=True)
def _farthest(points, count):
    chosen, away = np.empty(count, np.int64), np.empty(len(points))
    middle = points.sum(0) / len(points)
    chosen[0] = _widen(points, middle[0], middle[1], middle[2], away, True)
    away[:] = np.inf
    for k in range(1, count):
        last = points[chosen[k - 1]]
        chosen[k] = _widen(points, last[0], last[1], last[2], away, False)
    return chosen


@nb.njit(cache=True)
def _widen(points, x, y, z, away, anew):
    """Bring the squared distances [N] to the chosen up to date with one more at x, y, z; the farthest point."""
    best, most = 0, -1.0
    for i in range(len(points)):
        d = (points[i, 0] - x) ** 2 + (points[i, 1] - y) ** 2 + (points[i, 2] - z) ** 2
        if anew or d < away[i]:
            away[i] = d
        if away[i] > most:
            best, most = i, away[i]
    return best
