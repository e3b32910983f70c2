"""Numba kernels that colour visible pixels: smooth normals, sky and directional light, shadow, highlight, grain."""

from math import floor, sqrt
from typing import NamedTuple

import numba
import numpy as np

from armflow.envs.raster import OPTIONS

__all__ = ["Lighting", "Skin", "corner_normals", "shade"]

_DARK, _SKY, _SUN, _GLOSS = 0.16, 0.26, 0.62, 42.0
"""Light from everywhere, from above, and from the light, as shares of white; the highlight's height in grey levels."""

_LIFT = 0.002
"""A surface looks up its shadow this far off itself, m."""

_SOFT = 1.2
"""Distance of the nine points of the shadow map that are averaged, map pixels."""


class Skin(NamedTuple):
    """How faces look."""

    normals: np.ndarray
    """[F, 3, 3] float32 unit normals at the corners, mesh frame."""
    color: np.ndarray
    """[F, 4] float32 red, green, blue in 0 … 255 and how strongly the grain shows."""
    owner: np.ndarray
    """[F] int32 mesh that the face belongs to, a row of Ts_camera_mesh."""


class Lighting(NamedTuple):
    """Where light comes from, camera frame."""

    towards: tuple[float, ...]
    """[3] unit vector to the light."""
    up: tuple[float, ...]
    """[3] world up."""
    heights: np.ndarray
    """[S, S] shadow map of `raster.draw_shadow`; [1, 1] of 0 for none."""
    T_map_camera: tuple[tuple[float, ...], ...]
    """[3, 4] to that map; tuples, since these stay in registers."""
    tile: np.ndarray
    """[S, S] grain around 0, repeated; S is a power of two."""
    T_tile_camera: tuple[tuple[float, ...], ...]
    """[2, 4] to tile pixels."""
    background: np.ndarray
    """[H, 3] uint8 colour of each empty row of the image."""


@numba.njit(inline="always", **OPTIONS)
def _dot(a, x, y, z):
    return a[0] * x + a[1] * y + a[2] * z


@numba.njit(inline="always", **OPTIONS)
def _map(row, x, y, z):
    return row[0] * x + row[1] * y + row[2] * z + row[3]


@numba.njit(inline="always", **OPTIONS)
def _lit(lighting, x, y, z):
    """Share of nine map points around a point from which the light is seen."""
    M, heights = lighting.T_map_camera, lighting.heights
    column, row, height = _map(M[0], x, y, z), _map(M[1], x, y, z), _map(M[2], x, y, z)
    if not (_SOFT + 1 < column < heights.shape[1] - _SOFT - 2 and _SOFT + 1 < row < heights.shape[0] - _SOFT - 2):
        return 1.0
    seen = 0
    for dv in range(-1, 2):
        line = heights[np.uint32(row + _SOFT * dv + 0.5)]
        for du in range(-1, 2):
            seen += line[np.uint32(column + _SOFT * du + 0.5)] <= height
    return seen * (1.0 / 9.0)


@numba.njit(inline="always", **OPTIONS)
def _highlight(lighting, n, x, y, z):
    """Blinn's highlight, 0 … 1: how far the normal is from half way between eye and light."""
    eye = 1.0 / sqrt(x * x + y * y + z * z)
    hx, hy, hz = lighting.towards[0] - x * eye, lighting.towards[1] - y * eye, lighting.towards[2] - z * eye
    return (_dot(n, hx, hy, hz) ** 2 / (hx * hx + hy * hy + hz * hz)) ** 16


@numba.njit(inline="always", **OPTIONS)
def _light(lighting, n, dull, x, y, z):
    """Brightness factor (square-root gamma) and highlight at a point with unit normal n; dull means no highlight."""
    facing = _dot(n, lighting.towards[0], lighting.towards[1], lighting.towards[2])
    brightness = _DARK + _SKY * (0.5 + 0.5 * _dot(n, lighting.up[0], lighting.up[1], lighting.up[2]))
    gloss = 0.0
    if facing > 0.0:
        lit = _lit(lighting, x + _LIFT * n[0], y + _LIFT * n[1], z + _LIFT * n[2])
        brightness += _SUN * facing * lit
        if not dull:
            gloss = _GLOSS * lit * _highlight(lighting, n, x, y, z)
    return sqrt(brightness), gloss


@numba.njit(inline="always", **OPTIONS)
def _grain(lighting, x, y, z):
    mask = len(lighting.tile) - 1
    column = floor(_map(lighting.T_tile_camera[0], x, y, z)) & mask
    row = floor(_map(lighting.T_tile_camera[1], x, y, z)) & mask
    return lighting.tile[np.uint32(row), np.uint32(column)]


@numba.njit(**OPTIONS)
def _normal_map(soup, skin, Ts_camera_mesh, f, W):
    """Write into W [3, 3] the matrix that turns a point of face f into its normal, camera frame, not yet unit.

    The rows of [a b c]^-1 give barycentric weights; the normal is the corner normals in those weights.
    """
    a, b, c = soup.points[soup.faces[f, 0]], soup.points[soup.faces[f, 1]], soup.points[soup.faces[f, 2]]
    R = Ts_camera_mesh[skin.owner[f]]
    sides = ((b, c), (c, a), (a, b))
    volume = 0.0
    W[:] = 0.0
    for k in range(3):
        p, q = sides[k]
        n = skin.normals[f, k]
        for s in range(3):
            t, u = (s + 1) % 3, (s + 2) % 3
            weight = p[t] * q[u] - p[u] * q[t]
            volume += a[s] * weight if k == 0 else 0.0
            for r in range(3):
                W[r, s] += _dot(R[r], n[0], n[1], n[2]) * weight
    W /= volume


@numba.njit(**OPTIONS)
def shade(soup, skin, Ts_camera_mesh, camera, lighting, buffers, rgb):
    """Colour every pixel.

    Args:
        soup: Corners in the camera frame.
        skin: How the faces look.
        Ts_camera_mesh: [n, 4, 4] pose of each mesh.
        camera: Pinhole.
        lighting: Light, shadow map, grain.
        buffers: From `raster.draw`.
        rgb: [H, W, 3] uint8, written.
    """
    W = np.zeros((3, 3))
    wx, wy, wz = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    red, green, blue, grain = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    previous = -1
    height, width = buffers.face.shape
    for row in range(height):
        for column in range(width):
            f = buffers.face[row, column]
            if f < 0:
                for k in range(3):
                    rgb[row, column, k] = lighting.background[row, k]
                continue
            if f != previous:
                _normal_map(soup, skin, Ts_camera_mesh, f, W)
                wx, wy, wz = (W[0, 0], W[0, 1], W[0, 2]), (W[1, 0], W[1, 1], W[1, 2]), (W[2, 0], W[2, 1], W[2, 2])
                red, green, blue, grain = skin.color[f, 0], skin.color[f, 1], skin.color[f, 2], skin.color[f, 3]
                previous = f
            z = 1.0 / buffers.nearness[row, column]
            x, y = z * (column - camera.cx) / camera.fx, z * (row - camera.cy) / camera.fy
            nx, ny, nz = _dot(wx, x, y, z), _dot(wy, x, y, z), _dot(wz, x, y, z)
            scale = 1.0 / sqrt(nx * nx + ny * ny + nz * nz + 1e-30)
            scale = -scale if nx * x + ny * y + nz * z > 0.0 else scale  # seen from behind
            brightness, gloss = _light(lighting, (scale * nx, scale * ny, scale * nz), grain > 0.0, x, y, z)
            if grain > 0.0:
                brightness *= 1.0 + grain * _grain(lighting, x, y, z)
            rgb[row, column, 0] = np.uint8(min(red * brightness + gloss, 255.0))
            rgb[row, column, 1] = np.uint8(min(green * brightness + gloss, 255.0))
            rgb[row, column, 2] = np.uint8(min(blue * brightness + gloss, 255.0))


@numba.njit(**OPTIONS)
def corner_normals(vertices, faces, order, first, crease):
    """Average the normals around each corner over the neighbours that turn less than the crease.

    Args:
        vertices: [V, 3] m.
        faces: [F, 3].
        order: [3 F] corners (3 f + c) sorted by their vertex.
        first: [V + 1] where each vertex's corners start in order.
        crease: Cosine of the largest angle that is smoothed over.

    Returns:
        [F, 3, 3] float32 unit normals; 0 at a face without area.
    """
    area = np.zeros((len(faces), 3))
    unit = np.zeros((len(faces), 3))
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        area[f] = np.cross(b - a, c - a)
        unit[f] = area[f] / max(sqrt((area[f] ** 2).sum()), 1e-30)
    out = np.zeros((len(faces), 3, 3), np.float32)
    for corner in range(3 * len(faces)):
        f, c = corner // 3, corner % 3
        total = np.zeros(3)
        for k in range(first[faces[f, c]], first[faces[f, c] + 1]):
            g = order[k] // 3
            if (unit[f] * unit[g]).sum() > crease:
                total += area[g]
        out[f, c] = (total / max(sqrt((total**2).sum()), 1e-30)).astype(np.float32)
    return out
