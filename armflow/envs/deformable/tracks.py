"""`TrackPoints`: points that stay with a surface while it bends."""

from dataclasses import dataclass

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ValueRangeError

__all__ = ["TrackPoints", "draw_track_points"]


@dataclass(frozen=True, slots=True)
class TrackPoints:
    """Material points of a surface.

    Attributes:
        corners: [N, 3] vertices of each point's triangle.
        weights: [N, 3] barycentric coordinates in it.
    """

    corners: np.ndarray
    weights: np.ndarray

    def at(self, vertices: np.ndarray) -> np.ndarray:
        """Where the points are [N, 3] when the surface's vertices are at [V, 3], m."""
        return np.einsum("nk,nkd->nd", self.weights, vertices[self.corners])


def draw_track_points(vertices: np.ndarray, faces: np.ndarray, count: int, *, rng: np.random.Generator) -> TrackPoints:
    """Draw points on a surface, evenly by area.

    Args:
        vertices: [V, 3] m.
        faces: [F, 3] triangles.
        count: Number of points N.
        rng: Source of randomness.

    Raises:
        ShapeError: vertices or faces have the wrong shape, or a vertex is not finite.
        ValueRangeError: No points, or a surface without area.
    """
    check_shape("vertices", vertices, "V 3")
    check_shape("faces", faces, "F 3")
    check_finite("vertices", vertices)
    if count < 1:
        raise ValueRangeError("count", count, "at least 1")
    a, b, c = vertices[faces].swapaxes(0, 1)
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    if not area.sum() > 0:
        raise ValueRangeError("area", float(area.sum()), "above 0 m2")
    edges = np.cumsum(area) / area.sum()
    spread = (np.arange(count) + rng.uniform(size=count)) / count  # one in each share of the area
    chosen = faces[np.minimum(np.searchsorted(edges, spread), len(faces) - 1)]
    u, v = rng.uniform(size=(2, count))
    root = np.sqrt(u)
    return TrackPoints(chosen, np.column_stack([1 - root, root * (1 - v), root * v]))
