"""Numba kernels that fill triangles into a depth buffer, seen from a camera or along a light.

Pixel (row v, column u) is the ray through image point (u, v) exactly, as OpenCV has it. Buffers hold 1/z (larger is
nearer, 0 is empty) because 1/z is affine over the image of a plane: for a triangle with normal n through the point a,
1/z = (n . r) / (n . a) on the ray r = K^-1 (u, v, 1). That needs no clipped corners (Olano and Greer 1997,
doi:10.1145/258694.258723), so triangles that cross the near plane keep exact depth.
"""

from math import ceil
from typing import NamedTuple

import numba
import numpy as np

__all__ = ["OPTIONS", "Buffers", "Pinhole", "Soup", "draw", "draw_shadow", "finish", "transform"]

OPTIONS = {"cache": True, "error_model": "numpy", "nogil": True}
"""How every kernel of the renderer is compiled; one thread each."""


class Pinhole(NamedTuple):
    """Focal lengths and principal point, px."""

    fx: float
    fy: float
    cx: float
    cy: float


class Soup(NamedTuple):
    """Triangles as the kernels take them."""

    points: np.ndarray
    """[V, 3] in the camera frame, m."""
    faces: np.ndarray
    """[F, 3] int32 rows of points, counter-clockwise from outside."""


class Buffers(NamedTuple):
    """What is drawn into."""

    nearness: np.ndarray
    """[H, W] float32 1/z of the nearest face (for a light: height towards it); starts at 0."""
    face: np.ndarray
    """[H, W] int32 row of that face; starts at -1."""


@numba.njit(**OPTIONS)
def transform(vertices, first, Ts, out):
    """Move mesh i's vertices first[i]:first[i+1] by Ts[i]: vertices [V, 3], Ts [n, 4, 4] into out [V, 3]."""
    for i in range(len(first) - 1):
        T = Ts[i]
        for k in range(first[i], first[i + 1]):
            x, y, z = vertices[k, 0], vertices[k, 1], vertices[k, 2]
            for r in range(3):
                out[k, r] = T[r, 0] * x + T[r, 1] * y + T[r, 2] * z + T[r, 3]


@numba.njit(inline="always", **OPTIONS)
def _fill_span(row, left, right, plane, value, buffers):
    """Offer p u + q v + s to the pixels left <= u < right of one row."""
    p, q, s = plane
    base = q * row + s
    start, end = ceil(max(min(left, right), 0.0)), ceil(min(max(left, right), float(buffers.face.shape[1])))
    for column in range(start, end):
        w = np.float32(base + p * column)
        if w > buffers.nearness[row, column]:
            buffers.nearness[row, column] = w
            buffers.face[row, column] = value


@numba.njit(inline="always", **OPTIONS)
def _fill(a, b, c, plane, value, buffers):
    """Scan-convert one triangle with image corners a, b, c.

    Every edge is walked from its upper end with the same arithmetic in both triangles that share it, and spans are
    half open, so neighbours neither overlap nor leave gaps.
    """
    if a[1] > b[1]:
        a, b = b, a
    if b[1] > c[1]:
        b, c = c, b
    if a[1] > b[1]:
        a, b = b, a
    row_first, row_middle, row_end = max(ceil(a[1]), 0), ceil(b[1]), min(ceil(c[1]), buffers.face.shape[0])
    slope = (c[0] - a[0]) / (c[1] - a[1])
    upper, lower = (b[0] - a[0]) / (b[1] - a[1]), (c[0] - b[0]) / (c[1] - b[1])
    for row in range(row_first, min(row_middle, row_end)):
        step = row - a[1]
        _fill_span(row, a[0] + step * slope, a[0] + step * upper, plane, value, buffers)
    for row in range(max(row_middle, row_first), row_end):
        _fill_span(row, a[0] + (row - a[1]) * slope, b[0] + (row - b[1]) * lower, plane, value, buffers)


@numba.njit(**OPTIONS)
def _fill_clipped(corners, near, camera, plane, value, buffers):
    """Cut a triangle that crosses z = near and fill the one or two triangles that stay in front."""
    cut = np.empty((4, 2))
    count = 0
    for k in range(3):
        a, b = corners[k], corners[(k + 1) % 3]
        if a[2] >= near:
            cut[count] = camera.fx * a[0] / a[2] + camera.cx, camera.fy * a[1] / a[2] + camera.cy
            count += 1
        if (a[2] >= near) != (b[2] >= near):
            p = a + (near - a[2]) / (b[2] - a[2]) * (b - a)
            cut[count] = camera.fx * p[0] / near + camera.cx, camera.fy * p[1] / near + camera.cy
            count += 1
    o = (cut[0, 0], cut[0, 1])
    for k in range(2, count):
        _fill(o, (cut[k - 1, 0], cut[k - 1, 1]), (cut[k, 0], cut[k, 1]), plane, value, buffers)


@numba.njit(inline="always", **OPTIONS)
def _normal(a, b, c):
    """Cross product of two sides, outward, twice the area long."""
    ex, ey, ez = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    gx, gy, gz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    return ey * gz - ez * gy, ez * gx - ex * gz, ex * gy - ey * gx


@numba.njit(inline="always", **OPTIONS)
def _misses(a, b, c, shape):
    """Say whether an image triangle covers no pixel for certain: outside the image or between two rows."""
    top, bottom = min(a[1], b[1], c[1]), max(a[1], b[1], c[1])
    if ceil(top) == ceil(bottom) or bottom < 0 or top > shape[0] - 1:
        return True
    left, right = min(a[0], b[0], c[0]), max(a[0], b[0], c[0])
    return ceil(left) == ceil(right) or right < 0 or left > shape[1] - 1


@numba.njit(**OPTIONS)
def draw(soup, two_sided, camera, near, buffers):
    """Draw every face that looks at the camera.

    Args:
        soup: Corners in the camera frame.
        two_sided: [F] bool; True draws the face from behind too.
        camera: Pinhole.
        near: Distance of the near plane, m.
        buffers: Updated.
    """
    points, faces = soup
    image = np.empty((len(points), 2))
    for k in range(len(points)):
        z = points[k, 2]
        if z >= near:
            image[k, 0], image[k, 1] = (
                camera.fx * points[k, 0] / z + camera.cx,
                camera.fy * points[k, 1] / z + camera.cy,
            )
    corners = np.empty((3, 3))
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        inside = (points[i, 2] >= near) + (points[j, 2] >= near) + (points[k, 2] >= near)
        a, b, c = (image[i, 0], image[i, 1]), (image[j, 0], image[j, 1]), (image[k, 0], image[k, 1])
        if inside == 0 or (inside == 3 and _misses(a, b, c, buffers.face.shape)):
            continue
        nx, ny, nz = _normal(points[i], points[j], points[k])
        distance = nx * points[i, 0] + ny * points[i, 1] + nz * points[i, 2]
        if distance == 0.0 or (distance > 0.0 and not two_sided[f]):
            continue
        p, q = nx / (distance * camera.fx), ny / (distance * camera.fy)
        plane = (p, q, nz / distance - p * camera.cx - q * camera.cy)
        if inside == 3:
            _fill(a, b, c, plane, f, buffers)
        else:
            corners[0], corners[1], corners[2] = points[i], points[j], points[k]
            _fill_clipped(corners, near, camera, plane, f, buffers)


@numba.njit(**OPTIONS)
def draw_shadow(soup, casts, T_map_camera, buffers):
    """Draw faces turned away from a directional light, seen along it.

    Using the far side of closed bodies keeps lit surfaces from shading themselves.

    Args:
        soup: Corners in the camera frame.
        casts: [F] bool.
        T_map_camera: [3, 4] camera frame to map column, map row and height towards the light (above 0).
        buffers: Updated.
    """
    points, faces = soup
    moved = np.empty_like(points)
    M = T_map_camera
    for k in range(len(points)):
        for r in range(3):
            moved[k, r] = M[r, 0] * points[k, 0] + M[r, 1] * points[k, 1] + M[r, 2] * points[k, 2] + M[r, 3]
    for f in range(len(faces)):
        if not casts[f]:
            continue
        i, j, k = moved[faces[f, 0]], moved[faces[f, 1]], moved[faces[f, 2]]
        a, b, c = (i[0], i[1]), (j[0], j[1]), (k[0], k[1])
        nx, ny, nz = _normal(i, j, k)
        if nz >= 0.0 or _misses(a, b, c, buffers.face.shape):
            continue
        p, q = -nx / nz, -ny / nz
        _fill(a, b, c, (p, q, i[2] - p * i[0] - q * i[1]), f, buffers)


@numba.njit(**OPTIONS)
def finish(buffers, labels, depth, segmentation):
    """Turn 1/z and face rows into z-depth (m, NaN = nothing) and labels (-1 = nothing); labels is [F]."""
    height, width = buffers.face.shape
    for row in range(height):
        for column in range(width):
            f = buffers.face[row, column]
            depth[row, column] = np.float32(1.0) / buffers.nearness[row, column] if f >= 0 else np.float32(np.nan)
            segmentation[row, column] = labels[f] if f >= 0 else -1
