"""`Solid`: the box or cylinder that stands for an object's whole body, hidden side included."""

from dataclasses import dataclass

import numpy as np

from armflow.perception.detection import Detection

__all__ = ["Solid", "body_points", "solid_of", "thin"]


@dataclass(frozen=True, slots=True)
class Solid:
    """A box (axis None) or a cylinder about one axis of the object frame.

    Attributes:
        axis: None for a box, else 0, 1 or 2: the cylinder's axis.
        center: [3] centre in the object frame, m.
        half: [3] half extents along the object frame's axes, m; a cylinder's two cross extents are its radius.
        open_top: True for cups, mugs and holders.
    """

    axis: int | None
    center: np.ndarray
    half: np.ndarray
    open_top: bool

    def signed_distance(self, points_object: np.ndarray) -> np.ndarray:
        """Distance [N] m from the surface to points [N, 3] in the object frame, negative inside."""
        gaps = np.abs(points_object - self.center) - self.half
        if self.axis is not None:
            cross = [a for a in range(3) if a != self.axis]
            radial = np.linalg.norm((points_object - self.center)[:, cross], axis=1) - self.half[cross[0]]
            gaps = np.stack([radial, gaps[:, self.axis]], axis=1)
        return np.linalg.norm(np.maximum(gaps, 0.0), axis=1) + np.minimum(gaps.max(axis=1), 0.0)

    def surface(self, spacing: float) -> tuple[np.ndarray, np.ndarray]:
        """Sample the outside evenly.

        Args:
            spacing: Wanted distance between neighbours, m.

        Returns:
            points_object [N, 3] in m and their outward unit normals [N, 3], both in the object frame.
        """
        unit = _box_surface(self.half, spacing) if self.axis is None else _cylinder_surface(self, spacing)
        points, normals = unit
        return points + self.center, normals


def solid_of(detection: Detection) -> Solid | None:
    """Pick the solid of a detection by its kind; None for racks and drawers, which are neither box nor cylinder."""
    x, y, z = np.maximum(detection.size, 1e-3) / 2
    if detection.kind in ("block", "unknown"):
        return Solid(None, np.zeros(3), np.array([x, y, z]), open_top=False)
    if detection.kind == "pen":
        radius = (y + z) / 2
        return Solid(0, np.zeros(3), np.array([x, radius, radius]), open_top=False)
    if detection.kind in ("cup", "holder", "mug", "disc"):
        # A mug's x extent includes its handle, so only y tells the radius of the body.
        radius = y if detection.kind == "mug" else (x + y) / 2
        height = -z if detection.kind == "disc" else z
        return Solid(2, np.array([0.0, 0.0, height]), np.array([radius, radius, z]), open_top=detection.kind != "disc")
    return None


def body_points(detection: Detection, *, spacing: float) -> np.ndarray:
    """Observed points plus the samples of the fitted solid, [N, 3] m in the object frame."""
    observed = detection.T_world_object.inv().apply(detection.state.points_world)
    observed = thin(observed, spacing)
    solid = solid_of(detection)
    return observed if solid is None else np.concatenate([observed, solid.surface(spacing)[0]])


def thin(points: np.ndarray, spacing: float) -> np.ndarray:
    """Keep one of the points [N, 3] in each cube with sides of `spacing` m."""
    if len(points) == 0:
        return points
    _, first = np.unique(np.floor(points / spacing).astype(np.int64), axis=0, return_index=True)
    return points[np.sort(first)]


def _grid(half: float, spacing: float) -> np.ndarray:
    """Evenly spaced numbers from -half to half, both ends included."""
    return np.linspace(-half, half, max(2, int(np.ceil(2 * half / spacing)) + 1))


def _box_surface(half: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Sample the six faces of a box about the origin."""
    points, normals = [], []
    for axis in range(3):
        u, v = [a for a in range(3) if a != axis]
        grid_u, grid_v = np.meshgrid(_grid(half[u], spacing), _grid(half[v], spacing))
        for sign in (-1.0, 1.0):
            face = np.empty((grid_u.size, 3))
            face[:, u], face[:, v], face[:, axis] = grid_u.ravel(), grid_v.ravel(), sign * half[axis]
            points.append(face)
            normals.append(np.tile(sign * np.eye(3)[axis], (len(face), 1)))
    return np.concatenate(points), np.concatenate(normals)


def _cylinder_surface(solid: Solid, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Sample the wall and the closed ends of a cylinder about the origin."""
    assert solid.axis is not None
    u, v = [a for a in range(3) if a != solid.axis]
    radius, half = solid.half[u], solid.half[solid.axis]
    angles = np.linspace(0, 2 * np.pi, max(12, int(2 * np.pi * radius / spacing)), endpoint=False)
    angle, along = (g.ravel() for g in np.meshgrid(angles, _grid(half, spacing)))
    outward = np.zeros((angle.size, 3))
    outward[:, u], outward[:, v] = np.cos(angle), np.sin(angle)
    wall = radius * outward
    wall[:, solid.axis] = along
    points, normals = [wall], [outward]
    for sign in (-1.0,) if solid.open_top else (-1.0, 1.0):
        cap = np.stack(np.meshgrid(_grid(radius, spacing), _grid(radius, spacing)), axis=-1).reshape(-1, 2)
        cap = cap[np.linalg.norm(cap, axis=1) <= radius]
        end = np.zeros((len(cap), 3))
        end[:, u], end[:, v], end[:, solid.axis] = cap[:, 0], cap[:, 1], sign * half
        points.append(end)
        normals.append(np.tile(sign * np.eye(3)[solid.axis], (len(end), 1)))
    return np.concatenate(points), np.concatenate(normals)
