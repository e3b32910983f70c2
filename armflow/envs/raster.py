"""Numba kernels of the renderer: project, fill triangles into a depth buffer, shadow map, shade.

Pixel (row v, column u) is the ray through image point (u, v) exactly, as OpenCV has it. Buffers hold 1/z (larger is nearer,
0 is empty) because 1/z is affine over the image of a plane: for a triangle with normal n through the point a,
1/z = (n . r) / (n . a) on the ray r = K^-1 (u, v, 1). That form needs no clipped corners (Olano and Greer 1997,
doi:10.1145/258694.258723), so triangles that cross the near plane keep exact depth.
"""

from math import ceil, floor, sqrt

import numba
import numpy as np

__all__ = ["corner_normals", "draw", "draw_shadow", "finish", "shade", "transform"]

_OPTIONS = {"cache": True, "error_model": "numpy", "nogil": True}


@numba.njit(**_OPTIONS)
def transform(vertices, first, Ts, out):
    """Move mesh i's vertices first[i]:first[i+1] by Ts[i]: vertices [V, 3], Ts [n, 4, 4] into out [V, 3]."""
    for i in range(len(first) - 1):
        T = Ts[i]
        for k in range(first[i], first[i + 1]):
            x, y, z = vertices[k, 0], vertices[k, 1], vertices[k, 2]
            for r in range(3):
                out[k, r] = T[r, 0] * x + T[r, 1] * y + T[r, 2] * z + T[r, 3]


@numba.njit(inline="always", **_OPTIONS)
def _fill(ax, ay, bx, by, cx, cy, plane, value, near_buffer, id_buffer):
    """Scan-convert one triangle; plane (p, q, s) gives the buffer's value p u + q v + s.

    Every edge is walked from its upper end with the same arithmetic in both triangles that share it, and spans are
    half open, so neighbours neither overlap nor leave gaps.
    """
    if ay > by:
        ax, ay, bx, by = bx, by, ax, ay
    if by > cy:
        bx, by, cx, cy = cx, cy, bx, by
    if ay > by:
        ax, ay, bx, by = bx, by, ax, ay
    height, width = near_buffer.shape
    row_first, row_end = max(ceil(ay), 0), min(ceil(cy), height)
    if row_first >= row_end:
        return
    long_slope = (cx - ax) / (cy - ay)
    upper_slope = (bx - ax) / (by - ay) if by > ay else 0.0
    lower_slope = (cx - bx) / (cy - by) if cy > by else 0.0
    p, q, s = plane
    for row in range(row_first, row_end):
        left = ax + (row - ay) * long_slope
        right = ax + (row - ay) * upper_slope if row < by else bx + (row - by) * lower_slope
        if left > right:
            left, right = right, left
        start, end = int(ceil(max(left, 0.0))), int(ceil(min(right, float(width))))
        base = q * row + s
        for column in range(start, end):
            w = np.float32(base + p * column)
            if w > near_buffer[row, column]:
                near_buffer[row, column] = w
                id_buffer[row, column] = value


@numba.njit(**_OPTIONS)
def _fill_clipped(corners, near, camera, plane, value, near_buffer, id_buffer):
    """Cut a triangle that crosses z = near and fill the one or two triangles that stay in front."""
    fx, fy, cx, cy = camera
    us, vs, count = np.empty(4), np.empty(4), 0
    for k in range(3):
        a, b = corners[k], corners[(k + 1) % 3]
        if a[2] >= near:
            us[count], vs[count] = fx * a[0] / a[2] + cx, fy * a[1] / a[2] + cy
            count += 1
        if (a[2] >= near) != (b[2] >= near):
            t = (near - a[2]) / (b[2] - a[2])
            us[count] = fx * (a[0] + t * (b[0] - a[0])) / near + cx
            vs[count] = fy * (a[1] + t * (b[1] - a[1])) / near + cy
            count += 1
    for k in range(2, count):
        _fill(us[0], vs[0], us[k - 1], vs[k - 1], us[k], vs[k], plane, value, near_buffer, id_buffer)


@numba.njit(**_OPTIONS)
def draw(points, faces, two_sided, camera, near, near_buffer, id_buffer):
    """Draw every face that looks at the camera.

    Args:
        points: [V, 3] corners in the camera frame, m.
        faces: [F, 3] rows of points.
        two_sided: [F] bool; True draws the face from behind too.
        camera: fx, fy, cx, cy in px.
        near: Distance of the near plane, m.
        near_buffer: [H, W] float32, 1/z of the nearest face, updated; starts at 0.
        id_buffer: [H, W] int32, row of that face, updated.
    """
    fx, fy, cx, cy = camera
    height, width = near_buffer.shape
    us, vs = np.empty(len(points)), np.empty(len(points))
    for k in range(len(points)):
        z = points[k, 2]
        if z >= near:
            us[k], vs[k] = fx * points[k, 0] / z + cx, fy * points[k, 1] / z + cy
    corners = np.empty((3, 3))
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        az, bz, cz = points[i, 2], points[j, 2], points[k, 2]
        inside = (az >= near) + (bz >= near) + (cz >= near)
        if inside == 0:
            continue
        if inside == 3:
            if min(vs[i], vs[j], vs[k]) > height - 1 or max(vs[i], vs[j], vs[k]) < 0:
                continue
            if min(us[i], us[j], us[k]) > width - 1 or max(us[i], us[j], us[k]) < 0:
                continue
            if (us[j] - us[i]) * (vs[k] - vs[i]) >= (us[k] - us[i]) * (vs[j] - vs[i]) and not two_sided[f]:
                continue  # clockwise in an image whose v points down is turned away
            if ceil(min(vs[i], vs[j], vs[k])) == ceil(max(vs[i], vs[j], vs[k])):
                continue  # between two rows
        ax, ay = points[i, 0], points[i, 1]
        ex, ey, ez = points[j, 0] - ax, points[j, 1] - ay, bz - az
        gx, gy, gz = points[k, 0] - ax, points[k, 1] - ay, cz - az
        nx, ny, nz = ey * gz - ez * gy, ez * gx - ex * gz, ex * gy - ey * gx
        distance = nx * ax + ny * ay + nz * az
        if distance == 0.0 or (distance > 0.0 and not two_sided[f]):
            continue
        p, q = nx / (distance * fx), ny / (distance * fy)
        plane = (p, q, nz / distance - p * cx - q * cy)
        if inside == 3:
            _fill(us[i], vs[i], us[j], vs[j], us[k], vs[k], plane, f, near_buffer, id_buffer)
        else:
            corners[0], corners[1], corners[2] = points[i], points[j], points[k]
            _fill_clipped(corners, near, camera, plane, f, near_buffer, id_buffer)


@numba.njit(**_OPTIONS)
def draw_shadow(points, faces, casts, T_map_camera, near_buffer, id_buffer):
    """Draw faces turned away from a directional light, seen along it: [H, W] height towards the light + 1, 0 = empty.

    Using the far side of closed bodies keeps lit surfaces from shading themselves.

    Args:
        points: [V, 3] in the camera frame, m.
        faces: [F, 3] rows of points.
        casts: [F] bool.
        T_map_camera: [3, 4] camera frame to map column, map row and height towards the light.
        near_buffer: [H, W] float32, updated.
        id_buffer: [H, W] int32, scratch.
    """
    M = T_map_camera
    moved = np.empty_like(points)
    for k in range(len(points)):
        for r in range(3):
            moved[k, r] = M[r, 0] * points[k, 0] + M[r, 1] * points[k, 1] + M[r, 2] * points[k, 2] + M[r, 3]
    for f in range(len(faces)):
        if not casts[f]:
            continue
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = moved[i, 0], moved[i, 1], moved[i, 2]
        ex, ey, ez = moved[j, 0] - ax, moved[j, 1] - ay, moved[j, 2] - az
        gx, gy, gz = moved[k, 0] - ax, moved[k, 1] - ay, moved[k, 2] - az
        area = ex * gy - ey * gx
        if area >= 0.0:
            continue
        p, q = (ez * gy - gz * ey) / area, (gz * ex - ez * gx) / area
        plane = (p, q, az - p * ax - q * ay)
        _fill(ax, ay, moved[j, 0], moved[j, 1], moved[k, 0], moved[k, 1], plane, f, near_buffer, id_buffer)


@numba.njit(**_OPTIONS)
def finish(near_buffer, id_buffer, labels, depth, segmentation):
    """Turn 1/z and face rows into z-depth (m, NaN = nothing) and labels (-1 = nothing); labels is [F]."""
    for row in range(near_buffer.shape[0]):
        for column in range(near_buffer.shape[1]):
            f = id_buffer[row, column]
            if f < 0:
                depth[row, column] = np.nan
                segmentation[row, column] = -1
            else:
                depth[row, column] = np.float32(1.0) / near_buffer[row, column]
                segmentation[row, column] = labels[f]


@numba.njit(inline="always", **_OPTIONS)
def _lit(map_buffer, u, v, height):
    """Share of nine map points around (u, v) from which the light is seen."""
    rows, columns = map_buffer.shape
    seen = 0
    for dv in range(-1, 2):
        for du in range(-1, 2):
            column, row = int(floor(u + 1.2 * du + 0.5)), int(floor(v + 1.2 * dv + 0.5))
            if column < 0 or row < 0 or column >= columns or row >= rows or map_buffer[row, column] <= height:
                seen += 1
    return seen / 9.0


@numba.njit(**_OPTIONS)
def shade(near_buffer, id_buffer, points, faces, normals, surface, camera, light, shadow, grain, rgb):
    """Colour every pixel: sky light, one directional light with shadow, a soft highlight, and square-root gamma.

    Args:
        near_buffer: [H, W] from `draw`.
        id_buffer: [H, W] from `draw`.
        points: [V, 3] in the camera frame, m.
        faces: [F, 3] rows of points.
        normals: [F, 3, 3] unit normals at the corners, camera frame.
        surface: [F, 4] red, green, blue in 0 … 255 and how strongly the grain shows.
        camera: fx, fy, cx, cy in px.
        light: [2, 3] unit vectors in the camera frame: towards the light, and world up.
        shadow: map [H', W'] and T_map_camera [3, 4]; a map [1, 1] of 0 for none.
        grain: tile [S, S] around 0 and T_tile_camera [2, 4] to tile pixels.
        rgb: [H, W, 3] uint8, written where a face is.
    """
    fx, fy, cx, cy = camera
    map_buffer, M = shadow
    tile, G = grain
    size = len(tile)
    b = np.empty((3, 3))
    previous = -1
    for row in range(near_buffer.shape[0]):
        for column in range(near_buffer.shape[1]):
            f = id_buffer[row, column]
            if f < 0:
                continue
            z = 1.0 / near_buffer[row, column]
            x, y = z * (column - cx) / fx, z * (row - cy) / fy
            if f != previous:
                _weights(points, faces, f, b)
                previous = f
            w0, w1 = b[0, 0] * x + b[0, 1] * y + b[0, 2] * z, b[1, 0] * x + b[1, 1] * y + b[1, 2] * z
            w2 = 1.0 - w0 - w1
            nx = w0 * normals[f, 0, 0] + w1 * normals[f, 1, 0] + w2 * normals[f, 2, 0]
            ny = w0 * normals[f, 0, 1] + w1 * normals[f, 1, 1] + w2 * normals[f, 2, 1]
            nz = w0 * normals[f, 0, 2] + w1 * normals[f, 1, 2] + w2 * normals[f, 2, 2]
            scale = 1.0 / sqrt(nx * nx + ny * ny + nz * nz + 1e-30)
            if nx * x + ny * y + nz * z > 0.0:
                scale = -scale  # seen from behind
            nx, ny, nz = scale * nx, scale * ny, scale * nz
            facing = nx * light[0, 0] + ny * light[0, 1] + nz * light[0, 2]
            sky = 0.5 + 0.5 * (nx * light[1, 0] + ny * light[1, 1] + nz * light[1, 2])
            brightness = 0.16 + 0.26 * sky
            gloss = 0.0
            if facing > 0.0:
                ox, oy, oz = x + 0.002 * nx, y + 0.002 * ny, z + 0.002 * nz
                u = M[0, 0] * ox + M[0, 1] * oy + M[0, 2] * oz + M[0, 3]
                v = M[1, 0] * ox + M[1, 1] * oy + M[1, 2] * oz + M[1, 3]
                lit = _lit(map_buffer, u, v, M[2, 0] * ox + M[2, 1] * oy + M[2, 2] * oz + M[2, 3])
                brightness += 0.62 * facing * lit
                eye = 1.0 / sqrt(x * x + y * y + z * z)
                hx, hy, hz = light[0, 0] - x * eye, light[0, 1] - y * eye, light[0, 2] - z * eye
                half = (nx * hx + ny * hy + nz * hz) ** 2 / (hx * hx + hy * hy + hz * hz)
                gloss = 42.0 * lit * half**16
            brightness = sqrt(brightness)
            if surface[f, 3] > 0.0:
                u = int(floor(G[0, 0] * x + G[0, 1] * y + G[0, 2] * z + G[0, 3])) % size
                v = int(floor(G[1, 0] * x + G[1, 1] * y + G[1, 2] * z + G[1, 3])) % size
                brightness *= 1.0 + surface[f, 3] * tile[v, u]
                gloss *= 0.2
            for c in range(3):
                rgb[row, column, c] = min(surface[f, c] * brightness + gloss, 255.0)


@numba.njit(inline="always", **_OPTIONS)
def _weights(points, faces, f, b):
    """Write the rows of [a b c]^-1, which turn a point of the triangle's plane into its barycentric weights."""
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    for r in range(3):
        s, t = (r + 1) % 3, (r + 2) % 3
        b[0, r] = points[j, s] * points[k, t] - points[j, t] * points[k, s]
        b[1, r] = points[k, s] * points[i, t] - points[k, t] * points[i, s]
        b[2, r] = points[i, s] * points[j, t] - points[i, t] * points[j, s]
    inverse = 1.0 / (b[0, 0] * points[i, 0] + b[0, 1] * points[i, 1] + b[0, 2] * points[i, 2])
    for r in range(3):
        for s in range(3):
            b[r, s] *= inverse


@numba.njit(**_OPTIONS)
def rotate_normals(normals, first, Ts, out):
    """Turn mesh i's corner normals, faces first[i]:first[i+1] of normals [F, 3, 3], by the rotation of Ts[i]."""
    for i in range(len(first) - 1):
        T = Ts[i]
        for f in range(first[i], first[i + 1]):
            for c in range(3):
                x, y, z = normals[f, c, 0], normals[f, c, 1], normals[f, c, 2]
                for r in range(3):
                    out[f, c, r] = T[r, 0] * x + T[r, 1] * y + T[r, 2] * z


@numba.njit(**_OPTIONS)
def corner_normals(vertices, faces, order, first, crease):
    """Average the normals around each corner over the neighbours that turn less than the crease.

    Args:
        vertices: [V, 3] m.
        faces: [F, 3].
        order: [3 F] corners (3 f + c) sorted by their vertex.
        first: [V + 1] where each vertex's corners start in order.
        crease: Cosine of the largest angle that is smoothed over.

    Returns:
        [F, 3, 3] float32 unit normals.
    """
    area = np.zeros((len(faces), 3))
    unit = np.zeros((len(faces), 3))
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        area[f] = np.cross(b - a, c - a)
        unit[f] = area[f] / max(sqrt((area[f] ** 2).sum()), 1e-30)
    out = np.zeros((len(faces), 3, 3), np.float32)
    for f in range(len(faces)):
        for c in range(3):
            total = np.zeros(3)
            vertex = faces[f, c]
            for k in range(first[vertex], first[vertex + 1]):
                g = order[k] // 3
                if (unit[f] * unit[g]).sum() > crease:
                    total += area[g]
            length = sqrt((total**2).sum())
            if length > 0.0:
                out[f, c] = (total / length).astype(np.float32)
    return out
