"""Surface points with normals of a detected object, its hidden side completed from kind, pose and size."""

import numpy as np
from scipy.spatial import cKDTree

from armflow.perception.detection import Detection

__all__ = ["box_surface", "object_surface", "tube_surface"]


def object_surface(detection: Detection, eye: np.ndarray, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Points [M, 3] m and outward normals [M, 3] in the object's frame.

    The observed points are kept, with normals from their neighbours turned towards the eye [3] (world); blocks, pens
    and vessels get their whole shape besides.
    """
    inverse = detection.T_world_object.inv().as_matrix()
    seen = detection.state.points_world @ inverse[:3, :3].T + inverse[:3, 3]
    seen = seen[:: max(1, len(seen) // count)]
    parts = [(seen, _normals(seen, inverse[:3, :3] @ eye + inverse[:3, 3]))]
    size = detection.size
    if detection.kind == "block":
        parts.append(box_surface(size, 0.005))
    elif detection.kind == "pen":
        points, normals = tube_surface(size[1] / 2, size[0], 0.004)
        turn = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
        parts.append(((points - [0, 0, size[0] / 2]) @ turn.T, normals @ turn.T))
    elif detection.kind in ("cup", "holder", "mug"):
        parts.append(tube_surface(size[0] / 2, size[2], 0.006))
    return np.concatenate([p for p, _ in parts]), np.concatenate([n for _, n in parts])


def _normals(points: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Normals [N, 3] of the planes through the ten nearest neighbours, turned to the eye."""
    if len(points) < 4:
        return _unit(eye - points)
    _, index = cKDTree(points).query(points, k=min(10, len(points)))
    offset = points[index] - points[index].mean(1, keepdims=True)
    normals = np.linalg.eigh(offset.transpose(0, 2, 1) @ offset)[1][:, :, 0]
    return normals * np.where((normals * (eye - points)).sum(1, keepdims=True) < 0, -1.0, 1.0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def box_surface(size: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals on the six faces of a box centred on its frame, about `pitch` m apart."""
    points, normals = [], []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        grids = [np.linspace(-size[a] / 2, size[a] / 2, max(2, round(size[a] / pitch))) for a in others]
        u, v = (g.ravel() for g in np.meshgrid(*grids))
        for sign in (-1.0, 1.0):
            face = np.empty((len(u), 3))
            face[:, others[0]], face[:, others[1]], face[:, axis] = u, v, sign * size[axis] / 2
            points.append(face)
            normals.append(np.tile(sign * np.eye(3)[axis], (len(u), 1)))
    return np.concatenate(points), np.concatenate(normals)


def tube_surface(radius: float, height: float, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals on the side of a cylinder that stands on the origin of its frame, about `pitch` m apart."""
    angle = np.linspace(0, 2 * np.pi, max(8, round(2 * np.pi * radius / pitch)), endpoint=False)
    a, z = (g.ravel() for g in np.meshgrid(angle, np.linspace(0, height, max(2, round(height / pitch)))))
    normals = np.column_stack([np.cos(a), np.sin(a), np.zeros_like(a)])
    return np.column_stack([radius * normals[:, :2], z]), normals
