"""The table: the dominant plane of a depth image, by RANSAC and least squares."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.perception.cloud import DepthError, back_project, table_axes
from armflow.perception.detection import TablePlane
from armflow.perception.frame import RGBDFrame
from armflow.robot.errors import StackError

__all__ = ["PlaneError", "find_table", "level_frame"]

_MIN_READINGS = 200
_MIN_SHARE = 0.08
_UP = np.array([0.0, 0.0, 1.0])


class PlaneError(StackError):
    """No plane carries enough of the picture to be a table."""

    def __init__(self, share: float, bound: float) -> None:
        self.share, self.bound = share, bound
        super().__init__(f"no table: the best plane holds {share:.1%} of the depth readings; it must hold {bound:.0%}")


def find_table(
    frame: RGBDFrame,
    *,
    rng: np.random.Generator,
    up: np.ndarray | None = _UP,
    tolerance: float = 0.004,
    max_tilt: float = 0.26,
) -> TablePlane:
    """Find the plane that carries the objects.

    Hypotheses through three random points are scored by their inliers (Fischler and Bolles 1981,
    doi:10.1145/358669.358692) on a subsample, then the best one is refined by total least squares.

    Args:
        frame: The picture.
        rng: Source of the hypotheses.
        up: [3] direction against gravity in the world, or None where it is unknown: then the dominant plane of any
            orientation is taken and its normal points to the camera's side.
        tolerance: Half thickness of the inlier band at 1 m, m; it grows with the square of the depth.
        max_tilt: Largest angle between the normal and `up`, rad.

    Raises:
        DepthError: Fewer than 200 depth readings.
        PlaneError: The best plane holds less than 8 % of the readings.
    """
    points = back_project(frame).reshape(-1, 3)
    keep = np.isfinite(points[:, 2])
    if keep.sum() < _MIN_READINGS:
        raise DepthError(
            f"{int(keep.sum())} depth readings in a {frame.depth.shape} picture; needed are {_MIN_READINGS}"
        )
    points, depth = points[keep], frame.depth.reshape(-1)[keep]
    band = tolerance * np.clip(depth, 0.5, 2.0) ** 2
    pick = rng.choice(len(points), min(len(points), 1500), replace=False)
    normals, offsets = _hypotheses(points[pick], rng, up, max_tilt)
    near = np.abs(points[pick] @ normals.T - offsets) < band[pick, None]
    best = int(np.argmax(near.sum(0))) if normals.size else -1
    share = float(near[:, best].mean()) if best >= 0 else 0.0
    if share < _MIN_SHARE:
        raise PlaneError(share, _MIN_SHARE)
    thin = max(1, len(points) // 10000)  # 10 000 readings place the plane to within 0.02 mm
    normal, offset = _refine(points[::thin], band[::thin], normals[best], offsets[best])
    toward = up if up is not None else frame.T_world_camera.translation - points.mean(0)
    sign = 1.0 if normal @ toward >= 0 else -1.0
    return TablePlane(sign * normal, float(sign * offset))


def _hypotheses(
    points: np.ndarray, rng: np.random.Generator, up: np.ndarray | None, max_tilt: float, count: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Planes through random triples: normals [M, 3] and offsets [M], the tilted ones left out."""
    a, b, c = points[rng.integers(len(points), size=(3, count))]
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1)
    good = length > 1e-6
    normals, a = normals[good] / length[good, None], a[good]
    if up is not None:
        level = np.abs(normals @ up) > np.cos(max_tilt)
        normals, a = normals[level], a[level]
    return normals, (normals * a).sum(1)


def _refine(points: np.ndarray, band: np.ndarray, normal: np.ndarray, offset: float) -> tuple[np.ndarray, float]:
    """Total least squares on the inliers, four times with a narrowing band."""
    for scale in (2.0, 1.0, 0.75, 0.75):
        near = points[np.abs(points @ normal - offset) < scale * band]
        if len(near) < 3:
            break
        centre = near.mean(0)
        normal = np.linalg.eigh((near - centre).T @ (near - centre))[1][:, 0]
        offset = float(normal @ centre)
    return normal, offset


def level_frame(frame: RGBDFrame, plane: TablePlane) -> RGBDFrame:
    """The same picture in a world whose z = 0 is the plane, for a camera that does not know where it stands.

    The new origin lies below the camera, x points away from it along the plane.
    """
    T_old_table = table_axes(plane)
    eye = frame.T_world_camera.translation
    forward = frame.T_world_camera.rotation.as_matrix()[:, 2]
    z = plane.normal
    x = forward - (forward @ z) * z
    if np.linalg.norm(x) > 1e-3:
        x = x / np.linalg.norm(x)
        T_old_table[:3, :3] = np.column_stack([x, np.cross(z, x), z])
    T_old_table[:3, 3] = eye - float(plane.height(eye[None])[0]) * z
    return replace(frame, T_world_camera=RigidTransform.from_matrix(T_old_table).inv() * frame.T_world_camera)
