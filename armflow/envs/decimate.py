"""Simplify meshes by collapsing edges, cheapest quadric error first, many independent edges a pass."""

import numba
import numpy as np

from armflow.envs.mesh import Mesh
from armflow.robot.errors import ValueRangeError

__all__ = ["decimate"]

_PULL = 1e-3
"""Weight that pulls a new vertex to its edge's middle where planes leave it free, relative to the quadric's trace."""

_BORDER = 30.0
"""Weight of planes that hold open borders and borders between colours in place."""

_SHARE = 0.25
"""Share of all edges, the cheapest ones, that one pass may touch."""

_TURN = 0.3
"""Cosine of the largest angle by which a collapse may turn a face."""

_MAX_PASSES = 100


def decimate(mesh: Mesh, max_faces: int) -> Mesh:
    """Collapse edges until at most `max_faces` triangles are left, or none can go without folding the surface.

    Quadrics are those of the mesh as it stands before each pass, without memory of the original.

    Raises:
        ValueRangeError: `max_faces` is below 4.

    Reference:
        Garland and Heckbert (1997), doi:10.1145/258734.258849; memoryless: Lindstrom and Turk (1998),
        doi:10.1109/VISUAL.1998.745314.
    """
    if max_faces < 4:
        raise ValueRangeError("max_faces", max_faces, "at least 4")
    for _ in range(_MAX_PASSES):
        surplus = len(mesh.faces) - max_faces
        smaller = _collapse(mesh, surplus) if surplus > 0 else mesh
        if len(smaller.faces) == len(mesh.faces):
            return mesh
        mesh = smaller
    return mesh


def _collapse(mesh: Mesh, surplus: int) -> Mesh:
    """Do one pass that removes about `surplus` faces or fewer."""
    vertices, faces = mesh.vertices - mesh.vertices.mean(axis=0), mesh.faces
    edges, borders = _edges(mesh)
    A, b, c = _quadrics(vertices, faces, borders)
    A, b, c = (m[edges[:, 0]] + m[edges[:, 1]] for m in (A, b, c))
    middle = vertices[edges].mean(axis=1)
    pull = _PULL * np.trace(A, axis1=1, axis2=2) + 1e-30
    target = np.linalg.solve(A + pull[:, None, None] * np.eye(3), (b + pull[:, None] * middle)[..., None])[..., 0]
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    far = np.linalg.norm(target - middle, axis=1) > length
    target = np.where(far[:, None], middle, target)
    cost = np.einsum("ei,eij,ej->e", target, A, target) - 2 * np.einsum("ei,ei->e", b, target) + c
    cost += _PULL * pull * length**2  # among equals, shorter edges first
    order = np.argsort(cost, kind="stable")[: max(int(_SHARE * len(edges)), 1)]
    corners = np.argsort(faces.reshape(-1), kind="stable")
    first = np.searchsorted(faces.reshape(-1)[corners], np.arange(len(vertices) + 1))
    parent = _choose(vertices, faces, edges[order], target[order], corners // 3, first, surplus)
    faces = parent[faces]
    alive = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    used, compact = np.unique(faces[alive], return_inverse=True)
    moved = vertices[used] + mesh.vertices.mean(axis=0)
    return Mesh(moved, compact.reshape(-1, 3).astype(np.int32), mesh.colors[alive])


def _edges(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """List all edges [E, 2], and the borders [K, 3] (two ends and a face) of the surface and between colours."""
    faces = mesh.faces
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    owner = np.tile(np.arange(len(faces)), 3)
    keys, group, count = np.unique(
        sides.min(axis=1).astype(np.int64) << 32 | sides.max(axis=1), return_inverse=True, return_counts=True
    )
    paint = (mesh.colors * 255).round().astype(np.int64)[owner] @ [1, 256, 65536]
    one = np.empty(len(keys), np.int64)
    one[group] = paint
    mixed = np.bincount(group, paint != one[group], minlength=len(keys)) > 0
    at_border = ((count != 2) | mixed)[group]
    return np.column_stack([keys >> 32, keys & 0xFFFFFFFF]), np.column_stack([sides, owner])[at_border]


def _quadrics(
    vertices: np.ndarray, faces: np.ndarray, borders: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum the squared distances to the planes at each vertex as x A x - 2 b x + c: [V, 3, 3], [V, 3], [V]."""
    corner = vertices[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])  # length = twice the area
    area = np.linalg.norm(normal, axis=1)
    unit = normal / np.maximum(area, 1e-30)[:, None]
    along = vertices[borders[:, 1]] - vertices[borders[:, 0]]
    fence = np.cross(along, unit[borders[:, 2]])  # as long as the edge, in the face's plane
    size = np.linalg.norm(fence, axis=1)
    planes = np.concatenate([unit, fence / np.maximum(size, 1e-30)[:, None]])
    weight = np.concatenate([area, _BORDER * size**2])
    through = np.concatenate([corner[:, 0], vertices[borders[:, 0]]])
    offset = np.einsum("fi,fi->f", planes, through)
    rows = np.arange(len(faces))
    plane = np.concatenate([np.tile(rows, 3), np.tile(len(faces) + np.arange(len(borders)), 2)])
    vertex = np.concatenate([faces.T.reshape(-1), borders[:, :2].T.reshape(-1)])

    def gather(values: np.ndarray) -> np.ndarray:
        return np.bincount(vertex, (weight * values)[plane], minlength=len(vertices))

    A = np.stack([gather(planes[:, i] * planes[:, j]) for i in range(3) for j in range(3)], axis=1).reshape(-1, 3, 3)
    return A, np.stack([gather(planes[:, i] * offset) for i in range(3)], axis=1), gather(offset**2)


@numba.njit(cache=True)
def _normal(corners):
    """Cross product of two sides of a triangle [3, 3]."""
    e, g = corners[1] - corners[0], corners[2] - corners[0]
    return e[1] * g[2] - e[2] * g[1], e[2] * g[0] - e[0] * g[2], e[0] * g[1] - e[1] * g[0]


@numba.njit(cache=True)
def _folds(vertices, faces, around, u, v, target):
    """Say whether moving u to the target turns one of its faces, other than those that vanish with v, too far."""
    corners = np.empty((3, 3))
    for f in around:
        if faces[f, 0] == v or faces[f, 1] == v or faces[f, 2] == v:
            continue
        for k in range(3):
            corners[k] = vertices[faces[f, k]]
        a = _normal(corners)
        for k in range(3):
            if faces[f, k] == u:
                corners[k] = target
        b = _normal(corners)
        lengths = (a[0] ** 2 + a[1] ** 2 + a[2] ** 2) * (b[0] ** 2 + b[1] ** 2 + b[2] ** 2)
        if a[0] * b[0] + a[1] * b[1] + a[2] * b[2] <= _TURN * np.sqrt(lengths):
            return True
    return False


@numba.njit(cache=True)
def _shared(faces, around_u, around_v, stamps, stamp):
    """Count the faces that u and v share, and their common neighbours; stamps [V] is scratch, stamp a new number."""
    for f in around_u:
        for k in range(3):
            stamps[faces[f, k]] = stamp
    both = common = 0
    for f in around_v:
        marks = 0
        for k in range(3):
            mark = stamps[faces[f, k]]
            marks += mark >= stamp
            if mark == stamp:
                common += 1
                stamps[faces[f, k]] = stamp + 1
        both += marks == 3
    return both, common - 2


@numba.njit(cache=True)
def _choose(vertices, faces, edges, targets, owner, first, surplus):
    """Collapse edges in the given order that share no neighbour, moving vertices in place.

    Args:
        vertices: [V, 3] m, updated.
        faces: [F, 3].
        edges: [E, 2], cheapest first.
        targets: [E, 3] where the joined vertex goes.
        owner: [3 F] faces around each vertex, behind one another.
        first: [V + 1] where each vertex's faces start in owner.
        surplus: Stop when so many faces are gone.

    Returns:
        [V] the vertex that each vertex has become.
    """
    parent = np.arange(len(vertices))
    locked, stamps = np.zeros(len(vertices), np.bool_), np.zeros(len(vertices), np.int64)
    removed = 0
    for e in range(len(edges)):
        u, v = edges[e]
        if locked[u] or locked[v]:
            continue
        around_u, around_v = owner[first[u] : first[u + 1]], owner[first[v] : first[v + 1]]
        both, common = _shared(faces, around_u, around_v, stamps, 2 * e + 1)
        if common != both:  # the link condition: anything else pinches the surface
            continue
        if _folds(vertices, faces, around_u, u, v, targets[e]) or _folds(vertices, faces, around_v, v, u, targets[e]):
            continue
        for f in around_u:
            locked[faces[f, 0]] = locked[faces[f, 1]] = locked[faces[f, 2]] = True
        for f in around_v:
            locked[faces[f, 0]] = locked[faces[f, 1]] = locked[faces[f, 2]] = True
        vertices[u] = targets[e]
        parent[v] = u
        removed += both
        if removed >= surplus:
            break
    return parent
