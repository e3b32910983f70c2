"""Triangle meshes: the few solids that tasks are built from, and what one does to any mesh (move, merge, weld)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from armflow.robot.arrays import check_shape
from armflow.robot.errors import ValueRangeError

__all__ = [
    "Mesh",
    "box_mesh",
    "capsule_mesh",
    "cylinder_mesh",
    "merge_meshes",
    "revolve",
    "sphere_mesh",
    "transform_mesh",
    "weld",
]


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles with one colour a face; counter-clockwise seen from outside.

    Attributes:
        vertices: [V, 3] m, in the mesh's own frame.
        faces: [F, 3] int32 rows of `vertices`.
        colors: [F, 3] red, green, blue in 0 … 1; white where a colour given later shall decide alone.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray

    def __post_init__(self) -> None:
        """Check shapes and indices.

        Raises:
            ShapeError: An array has the wrong shape.
            ValueRangeError: A face names a vertex that does not exist.
        """
        check_shape("vertices", self.vertices, "V 3")
        check_shape("colors", self.colors, "F 3", check_shape("faces", self.faces, "F 3"))
        if len(self.faces) and not (self.faces.min() >= 0 and self.faces.max() < len(self.vertices)):
            raise ValueRangeError(
                "faces", (self.faces.min(), self.faces.max()), f"rows of {len(self.vertices)} vertices"
            )


def _white(vertices: Sequence | np.ndarray, faces: Sequence | np.ndarray) -> Mesh:
    indices = np.asarray(faces, dtype=np.int32).reshape(-1, 3)
    return Mesh(np.asarray(vertices, dtype=float).reshape(-1, 3), indices, np.ones((len(indices), 3), np.float32))


def box_mesh(half_extents: Sequence[float] | np.ndarray) -> Mesh:
    """Return a box around the origin from its three half lengths, m."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.asarray(half_extents)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    return _white(corners, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


def revolve(profile: Sequence | np.ndarray, sides: int = 32) -> Mesh:
    """Turn a closed outline about z: cylinders, spheres and, with an outline away from the axis, rings and cups.

    Args:
        profile: [P, 2] radius and height, m, running upwards on the outside; points with radius 0 lie on the axis.
            An outline whose ends are off the axis is closed from its last point back to its first.
        sides: How many flat sides stand for the circle.
    """
    outline = np.asarray(profile, dtype=float)
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    vertices = np.concatenate(
        [outline[:, None, :1] * ring, np.broadcast_to(outline[:, None, 1:], (len(outline), sides, 1))], 2
    )
    closed = outline[0, 0] > 0 and outline[-1, 0] > 0
    here, this = np.meshgrid(np.arange(len(outline) - (not closed)), np.arange(sides), indexing="ij")
    there, next_ = (here + 1) % len(outline), (this + 1) % sides
    a, b, c, d = (i * sides + j for i, j in ((here, this), (here, next_), (there, next_), (there, this)))
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return weld(_white(vertices, faces))


def cylinder_mesh(radius: float, length: float, sides: int = 32) -> Mesh:
    """Return a cylinder along z around the origin; `length` is the whole height, m."""
    half = length / 2
    return revolve([[0, -half], [radius, -half], [radius, half], [0, half]], sides)


def sphere_mesh(radius: float, sides: int = 24) -> Mesh:
    """Return a sphere around the origin."""
    return capsule_mesh(radius, 0.0, sides)


def capsule_mesh(radius: float, length: float, sides: int = 24) -> Mesh:
    """Return a capsule along z around the origin; `length` is that of its cylinder without the caps, m."""
    rise = np.linspace(-np.pi / 2, np.pi / 2, sides // 2 + 1)
    lift = np.where(rise < 0, -length / 2, length / 2)
    profile = np.stack([radius * np.cos(rise), radius * np.sin(rise) + lift], axis=1)
    if length > 0:
        profile = np.insert(profile, sides // 4, [radius, -length / 2], axis=0)
    profile[[0, -1], 0] = 0.0
    return revolve(profile, sides)


def transform_mesh(mesh: Mesh, T_new_mesh: np.ndarray) -> Mesh:
    """Carry a mesh into another frame by a [4, 4] matrix; mirroring matrices turn the faces so they stay outward."""
    vertices = mesh.vertices @ T_new_mesh[:3, :3].T + T_new_mesh[:3, 3]
    faces = mesh.faces if np.linalg.det(T_new_mesh[:3, :3]) > 0 else np.ascontiguousarray(mesh.faces[:, ::-1])
    return Mesh(vertices, faces, mesh.colors)


def merge_meshes(meshes: Sequence[Mesh]) -> Mesh:
    """Put several meshes of one frame into one."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    faces = [m.faces + start for m, start in zip(meshes, starts, strict=True)]
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate(faces).astype(np.int32),
        np.concatenate([m.colors for m in meshes]),
    )


def _regroup(mesh: Mesh, group: np.ndarray, vertices: np.ndarray) -> Mesh:
    """Send each vertex to its group's new vertex and drop the faces that collapse."""
    faces = group[mesh.faces]
    alive = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    used, compact = np.unique(faces[alive], return_inverse=True)
    return Mesh(vertices[used], compact.reshape(-1, 3).astype(np.int32), mesh.colors[alive])


def weld(mesh: Mesh, tolerance: float = 1e-7) -> Mesh:
    """Join vertices closer than about `tolerance` m, as files without shared vertices need it."""
    _, first, group = np.unique(np.round(mesh.vertices / tolerance), axis=0, return_index=True, return_inverse=True)
    return _regroup(mesh, group.reshape(-1), mesh.vertices[first])
