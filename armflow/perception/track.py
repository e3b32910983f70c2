"""`PointTracker`: the points of one object over frames, by colour, depth and the registration of its surface."""

from dataclasses import dataclass

import numba as nb
import numpy as np

from armflow.perception.cloud import project
from armflow.perception.detection import Detection
from armflow.perception.frame import RGBDFrame
from armflow.perception.registration import NearestGrid, register
from armflow.perception.surface import object_surface
from armflow.robot.errors import StackError

__all__ = ["PointTracker", "Tracked", "TrackerConfig", "TrackerError"]

_BINS = 32


class TrackerError(StackError):
    """The tracker was asked for an update before it was given an object."""


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """How the tracker searches and when it gives up.

    Attributes:
        points: Most points that are followed.
        search: How far beyond its radius the object is looked for around the prediction, m.
        least: Fewest observed pixels of the object for an estimate.
        bound: Largest rms distance of observed points from the surface, m.
        agree: Largest difference of depth at which a point counts as seen, m.
        margin: Added to the robot's capsules, m.
    """

    points: int = 256
    search: float = 0.06
    least: int = 14
    bound: float = 0.006
    agree: float = 0.008
    margin: float = 0.006


@dataclass(frozen=True, slots=True)
class Tracked:
    """Where the object is now.

    Attributes:
        points_world: [N, 3] the followed points, m; where not visible, they ride on the estimated motion.
        visible: [N] bool, seen in this frame.
        T_world_object: [4, 4] estimated pose of the object's frame.
        lost: True when too little was seen; the pose is then the prediction.
        residual: Rms distance of the observed points from the estimated surface, m; NaN when lost.
    """

    points_world: np.ndarray
    visible: np.ndarray
    T_world_object: np.ndarray
    lost: bool
    residual: float


class PointTracker:
    """Follows one rigid object of fairly uniform colour.

    Each update collects pixels of the object's colours near the prediction that are not the robot's, and registers
    their points with the object's surface. Motion about an axis of symmetry cannot be seen; it follows the prediction.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        """Nothing is tracked until `start`."""
        self._config = config or TrackerConfig()
        self._points: np.ndarray | None = None

    @property
    def points_start(self) -> np.ndarray:
        """[N, 3] the followed points where they were at the start, m, world.

        Raises:
            TrackerError: Nothing was started.
        """
        if self._points is None:
            raise TrackerError("nothing is tracked yet; call start(frame, detection) first")
        return self._points

    def start(self, frame: RGBDFrame, detection: Detection) -> None:
        """Take on an object as it was detected in a frame."""
        points = detection.state.points_world
        self._points = points[:: max(1, -(-len(points) // self._config.points))]
        self._T_start = detection.T_world_object.as_matrix()
        self._inverse_start = np.linalg.inv(self._T_start)
        eye = frame.T_world_camera.translation
        self._surface, self._normals = object_surface(detection, eye)
        self._grid = NearestGrid.build(self._surface, self._normals)
        self._center = self._surface.mean(0)
        self._radius = float(np.linalg.norm(self._surface - self._center, axis=1).max())
        self._palette = _palette(frame.rgb[detection.mask])
        self._T, self._step = self._T_start, np.eye(4)

    def update(
        self,
        frame: RGBDFrame,
        robot_capsules: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
        predicted: np.ndarray | None = None,
    ) -> Tracked:
        """Find the object in a new frame.

        Args:
            frame: The picture.
            robot_capsules: Starts [C, 3], ends [C, 3] and radii [C] of the robot in the world, m.
            predicted: T_world_object [4, 4] where the object should be; without it, the last motion goes on.

        Raises:
            TrackerError: Nothing was started.
        """
        start = self.points_start
        guess = self._step @ self._T if predicted is None else np.asarray(predicted, float)
        capsules = robot_capsules or (np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
        best = None
        for wide, T in ((False, guess), (False, self._T), (True, guess)):
            seen = self._observe(frame, capsules, T, wide)
            if len(seen) >= self._config.least:
                fit = self._fit(frame, seen, T)
                best = fit if best is None or fit[1] < best[1] else best
            if best is not None and best[1] < self._config.bound:
                break
        lost = best is None or best[1] > self._config.bound
        T = guess if best is None or lost else best[0]
        self._step = np.eye(4) if lost else T @ np.linalg.inv(self._T)
        self._T = T
        motion = T @ self._inverse_start
        points = start @ motion[:3, :3].T + motion[:3, 3]
        visible = np.zeros(len(points), bool) if lost else self._visible(frame, points, capsules)
        return Tracked(points, visible, T, lost, float("nan") if lost or best is None else best[1])

    def _observe(self, frame: RGBDFrame, capsules: tuple, T: np.ndarray, wide: bool) -> np.ndarray:
        """Points [M, 3] of the object's colour near a pose, or anywhere in the picture."""
        center = T[:3, :3] @ self._center + T[:3, 3]
        reach = 10.0 if wide else self._radius + self._config.search
        T_world_camera = frame.T_world_camera.as_matrix()
        uv, z = project(center[None], frame.K, T_world_camera)
        span = np.inf if wide or z[0] < reach else reach * frame.K[0, 0] / (z[0] - 0.7 * reach)
        H, W = frame.depth.shape
        low = np.clip(np.floor(uv[0] - span), 0, [W, H])
        high = np.clip(np.ceil(uv[0] + span) + 1, 0, [W, H])
        window = np.array([low[1], high[1], low[0], high[0]]).astype(np.int64)
        starts, ends, radii = capsules
        return _gather(
            frame.rgb, frame.depth, frame.K, T_world_camera, window, (center, reach), self._palette,
            (starts, ends, radii + self._config.margin),
        )  # fmt: skip

    def _fit(self, frame: RGBDFrame, seen: np.ndarray, T: np.ndarray) -> tuple[np.ndarray, float]:
        """Best registration from the given pose and from one shifted onto the seen points: pose and rms distance."""
        sample = seen[:: max(1, len(seen) // 300)]
        eye = frame.T_world_camera.translation
        eye_object = T[:3, :3].T @ (eye - T[:3, 3])
        facing = (self._normals * (eye_object - self._surface)).sum(1) > 0
        front = self._surface[facing].mean(0) if facing.any() else self._center
        shifted = T.copy()
        shifted[:3, 3] += np.median(sample, axis=0) - (T[:3, :3] @ front + T[:3, 3])
        fits = [register(sample, self._grid, start) for start in (T, shifted)]
        return min(fits, key=lambda fit: fit[1])

    def _visible(self, frame: RGBDFrame, points: np.ndarray, capsules: tuple) -> np.ndarray:
        """Points [N] whose pixel shows the object's colour at their depth."""
        uv, z = project(points, frame.K, frame.T_world_camera.as_matrix())
        H, W = frame.depth.shape
        pixel = np.round(uv).astype(int)
        inside = (z > 0) & (pixel >= 0).all(1) & (pixel[:, 0] < W) & (pixel[:, 1] < H)
        column, row = np.clip(pixel[:, 0], 0, W - 1), np.clip(pixel[:, 1], 0, H - 1)
        agree = np.abs(frame.depth[row, column] - z) < self._config.agree
        return inside & agree & _like(frame.rgb[row, column], self._palette)


def _palette(rgb: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Chromaticities that pixels [N, 3] have, as a grid of bins widened by one, and their range of brightness."""
    grid = np.zeros((_BINS, _BINS), bool)
    values = rgb.astype(float) + 20
    cells = (values[:, :2] / values.sum(1, keepdims=True) * _BINS).astype(int)
    counts = np.zeros((_BINS, _BINS))
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1)
    for r, c in np.argwhere(counts >= max(1, 0.004 * len(rgb))):
        grid[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2] = True
    low, high = np.quantile(rgb.sum(1), [0.01, 0.99])
    return grid, 0.55 * low - 20, 1.6 * high + 30


def _like(rgb: np.ndarray, palette: tuple[np.ndarray, float, float]) -> np.ndarray:
    """True for pixels [N, 3] of the object's colours."""
    grid, low, high = palette
    values = rgb.astype(float) + 20
    total = values.sum(1) - 60
    cells = (values[:, :2] / values.sum(1, keepdims=True) * _BINS).astype(int)
    return grid[cells[:, 0], cells[:, 1]] & (total > low) & (total < high)


@nb.njit(cache=True)
def _gather(rgb, depth, K, T, window, ball, palette, capsules):  # noqa: PLR0913 - numba takes no dataclasses
    """World points [M, 3] in a window of the picture that have the colours, in the ball and outside all capsules."""
    center, reach = ball
    grid, low, high = palette
    starts, ends, radii = capsules
    out = np.empty((max(0, (window[1] - window[0]) * (window[3] - window[2])), 3))
    count = 0
    for r in range(window[0], window[1]):
        for c in range(window[2], window[3]):
            z = depth[r, c]
            if not z > 0:
                continue
            red, green, blue = float(rgb[r, c, 0]), float(rgb[r, c, 1]), float(rgb[r, c, 2])
            total = red + green + blue
            i, j = int((red + 20) / (total + 60) * 32), int((green + 20) / (total + 60) * 32)
            if not (low < total < high and grid[i, j]):
                continue
            x, y = (c - K[0, 2]) / K[0, 0] * z, (r - K[1, 2]) / K[1, 1] * z
            px = T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3]
            py = T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3]
            pz = T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3]
            if (px - center[0]) ** 2 + (py - center[1]) ** 2 + (pz - center[2]) ** 2 > reach * reach:
                continue
            if not _in_capsules(px, py, pz, starts, ends, radii):
                out[count, 0], out[count, 1], out[count, 2] = px, py, pz
                count += 1
    return out[:count]


@nb.njit(cache=True)
def _in_capsules(x, y, z, starts, ends, radii):
    """True where a point lies in at least one capsule."""
    for k in range(len(radii)):
        a, b = starts[k], ends[k]
        ax, ay, az = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        s = ((x - a[0]) * ax + (y - a[1]) * ay + (z - a[2]) * az) / max(ax * ax + ay * ay + az * az, 1e-12)
        s = min(max(s, 0.0), 1.0)
        dx, dy, dz = x - a[0] - s * ax, y - a[1] - s * ay, z - a[2] - s * az
        if dx * dx + dy * dy + dz * dz < radii[k] * radii[k]:
            return True
    return False
