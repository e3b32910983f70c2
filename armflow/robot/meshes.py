"""Triangle meshes of robot links: read from OBJ and STL, made from URDF primitives, sampled, simplified."""

from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull

from armflow.robot.errors import FormatError

__all__ = ["box", "cylinder", "extreme_points", "obj_text", "read_mesh", "simple_hull", "sphere", "surface_points"]


def read_mesh(path: Path) -> np.ndarray:
    """Read the triangles of an OBJ or STL file.

    Returns:
        [N, 3, 3] corners, in the file's own unit.

    Raises:
        FormatError: The file is neither, or holds no triangle.
    """
    kind = path.suffix.lower()
    if kind not in (".obj", ".stl"):
        raise FormatError(path, "suffix", f"{kind!r} cannot be read; use .obj or .stl")
    triangles = _read_obj(path) if kind == ".obj" else _read_stl(path)
    if len(triangles) == 0:
        raise FormatError(path, "triangles", "none found")
    return triangles


def _read_stl(path: Path) -> np.ndarray:
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little")
    if len(data) == 84 + 50 * count:  # binary: header, count, then 50 bytes a triangle
        rows = np.frombuffer(data, np.uint8, offset=84).reshape(count, 50)
        return np.ascontiguousarray(rows[:, 12:48]).view("<f4").astype(float).reshape(count, 3, 3)
    numbers = [line.split()[1:4] for line in data.decode(errors="replace").splitlines() if "vertex" in line]
    return np.array(numbers, float).reshape(-1, 3, 3)


def _read_obj(path: Path) -> np.ndarray:
    vertices, faces = [], []
    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            vertices.append([float(word) for word in words[1:4]])
        elif words[:1] == ["f"]:
            corner = [int(word.split("/")[0]) for word in words[1:]]
            corner = [index - 1 if index > 0 else len(vertices) + index for index in corner]
            faces += [(corner[0], corner[k], corner[k + 1]) for k in range(1, len(corner) - 1)]
    return np.array(vertices, float).reshape(-1, 3)[np.array(faces, int).reshape(-1, 3)]


def box(size: np.ndarray) -> np.ndarray:
    """Triangles [12, 3, 3] of a box with these edge lengths [3], m, about the origin."""
    return _hull_triangles(np.array(np.meshgrid(*([-0.5, 0.5],) * 3)).reshape(3, 8).T * size)


def cylinder(radius: float, length: float) -> np.ndarray:
    """Triangles [N, 3, 3] of a 24-sided prism around a cylinder along z, m, about the origin."""
    angle = np.arange(24) * (2 * np.pi / 24)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(24)], 1) * radius / np.cos(np.pi / 24)
    half = np.array([0.0, 0.0, length / 2])
    return _hull_triangles(np.concatenate([ring + half, ring - half]))


def sphere(radius: float) -> np.ndarray:
    """Triangles [N, 3, 3] of a polyhedron inscribed in a sphere, m, about the origin."""
    return _hull_triangles(_directions(128) * radius)


def surface_points(triangles: np.ndarray, spacing: float) -> np.ndarray:
    """Corners of the triangles [N, 3, 3], and points on them about `spacing` m apart; returns [M, 3]."""
    points = [triangles.reshape(-1, 3)]
    edges = np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2).max(axis=1)
    steps = np.minimum(np.ceil(edges / spacing).astype(int), 40)
    for count in np.unique(steps[steps > 1]):
        i, j = (grid.ravel() for grid in np.meshgrid(np.arange(count + 1), np.arange(count + 1)))
        i, j = i[i + j <= count] / count, j[i + j <= count] / count
        weights = np.stack([i, j, 1 - i - j], 1)
        points.append(np.einsum("kc,ncx->nkx", weights, triangles[steps == count]).reshape(-1, 3))
    return np.concatenate(points)


def simple_hull(points: np.ndarray, directions: int = 80) -> np.ndarray:
    """A hull inside the true one with few corners, so that collision checks stay fast.

    Args:
        points: [M, 3] m.
        directions: How many evenly spread directions to take the furthest point in.

    Returns:
        Triangles [N, 3, 3] of the hull of the points taken, m.
    """
    return _hull_triangles(extreme_points(points, directions))


def extreme_points(points: np.ndarray, directions: int) -> np.ndarray:
    """The points [K, 3] among points [M, 3] that lie furthest out in evenly spread directions."""
    furthest = np.argmax(points @ _directions(directions).T, axis=0)
    return points[np.unique(furthest)]


def obj_text(triangles: np.ndarray) -> bytes:
    """An OBJ file with these triangles [N, 3, 3]."""
    vertices, faces = np.unique(triangles.reshape(-1, 3).round(7), axis=0, return_inverse=True)
    lines = [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in vertices]
    lines += [f"f {a} {b} {c}" for a, b, c in faces.reshape(-1, 3) + 1]
    return "\n".join([*lines, ""]).encode()


def _directions(count: int) -> np.ndarray:
    """Directions [count, 3] spread evenly over the sphere on a golden spiral."""
    k = np.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    return np.stack([np.cos(angle) * np.sqrt(1 - z * z), np.sin(angle) * np.sqrt(1 - z * z), z], 1)


def _hull_triangles(points: np.ndarray) -> np.ndarray:
    hull = ConvexHull(points)
    triangles = points[hull.simplices]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    inward = np.einsum("nx,nx->n", normals, hull.equations[:, :3]) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return triangles
