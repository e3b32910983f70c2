"""Numba kernels that draw Gaussians and carry gradients back: tiles, front to back, one thread.

The picture is cut into tiles of 8 x 8 pixels whose values lie side by side, so that one row of a tile is one vector
register. Both passes walk a tile's Gaussians from front to back with the same arithmetic (Kerbl et al. 2023, eq. 3)

    alpha_i = min(o_i exp(-q_i / 2), 0.99), skipped below 1/255,    w_i = T_i alpha_i,    T_(i+1) = T_i - w_i

and leave a pixel alone once its T is below 1e-4. With v_i the upstream gradient times what Gaussian i adds per weight,
dL/dalpha_i = T_i v_i - (sum_(j>i) w_j v_j) / (1 - alpha_i); the sum is the pixel's total less what has been passed, so
that nothing needs to be stored between the passes.
"""

import numba
import numpy as np

__all__ = ["ALPHA_MAX", "ALPHA_MIN", "CHANNELS", "TILE", "TRANSMITTANCE_MIN", "bin_tiles", "draw", "draw_backward"]

TILE = 8
"""Side of a tile, px; eight floats fill a vector register."""
CHANNELS = 5
"""Red, green, blue, depth and alpha."""
ALPHA_MAX = 0.99
ALPHA_MIN = 1.0 / 255.0
TRANSMITTANCE_MIN = 1e-4

OPTIONS = {"cache": True, "error_model": "numpy", "nogil": True, "fastmath": {"contract", "reassoc", "nsz"}}
_PIXELS = TILE * TILE
_CHECK = 8  # Gaussians between two looks at whether a tile is opaque
# The loops over pixels are vectors of float32; a literal would turn them into float64.
_CELLS = tuple(np.uint64(c * _PIXELS) for c in range(9))  # where each quantity of a tile starts
_ZERO, _HALF, _ONE, _TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)
_HIGH, _LOW, _STOP = np.float32(ALPHA_MAX), np.float32(ALPHA_MIN), np.float32(TRANSMITTANCE_MIN)
_FAR = np.float32(12.0)  # q beyond which alpha is below 1/255 for every opacity, 2 ln 255 = 11.08
_C0 = np.float32(-1.0 / 32.0)
_C2, _C3, _C4 = np.float32(1.0 / 2.0), np.float32(1.0 / 6.0), np.float32(1.0 / 24.0)
_C5, _C6 = np.float32(1.0 / 120.0), np.float32(1.0 / 720.0)


@numba.njit(inline="always", **OPTIONS)
def _falloff(q):
    """Value of exp(-q / 2) for 0 <= q <= 12 to 4e-6 of itself: a polynomial in -q / 32, then its 16th power."""
    y = min(q, _FAR) * _C0
    e = _ONE + y * (_ONE + y * (_C2 + y * (_C3 + y * (_C4 + y * (_C5 + y * _C6)))))
    e = e * e
    e = e * e
    e = e * e
    return e * e


@numba.njit(**OPTIONS)
def bin_tiles(boxes, order, width, height):
    """List, for each tile, the Gaussians whose boxes touch it, nearest first.

    Args:
        boxes: [N, 4] int32 first and end column, first and end row, px, within the picture.
        order: [V] int64 the visible Gaussians, nearest first.
        width: px.
        height: px.

    Returns:
        first [tiles + 1] int64 and members [...] int32: tile k holds members[first[k] : first[k + 1]].
    """
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    first = np.zeros(across * down + 1, np.int64)
    for n in order:
        for row in range(boxes[n, 2] // TILE, (boxes[n, 3] - 1) // TILE + 1):
            for column in range(boxes[n, 0] // TILE, (boxes[n, 1] - 1) // TILE + 1):
                first[row * across + column + 1] += 1
    for k in range(across * down):
        first[k + 1] += first[k]
    members, place = np.empty(first[-1], np.int32), first[:-1].copy()
    for n in order:
        for row in range(boxes[n, 2] // TILE, (boxes[n, 3] - 1) // TILE + 1):
            for column in range(boxes[n, 0] // TILE, (boxes[n, 1] - 1) // TILE + 1):
                k = row * across + column
                members[place[k]] = n
                place[k] += 1
    return first, members


@numba.njit(inline="always", **OPTIONS)
def _opaque(cells):
    """Whether no pixel of a tile takes anything any more."""
    most = cells[0]
    for i in range(_PIXELS):
        most = max(most, cells[i])
    return most < _STOP


@numba.njit(inline="always", **OPTIONS)
def _start_tile(cells, channels):
    """Fill a tile's scratch: transmittance one, `channels` of zeros, then column and row of each pixel."""
    for i in range(_PIXELS):
        cells[i] = _ONE
        for c in range(1, channels + 1):
            cells[c * _PIXELS + i] = _ZERO
        cells[(channels + 1) * _PIXELS + i] = np.float32(i % TILE)
        cells[(channels + 2) * _PIXELS + i] = np.float32(i // TILE)


@numba.njit(**OPTIONS)
def draw(flat, boxes, first, members, image):
    """Draw projected Gaussians.

    Args:
        flat: [N, 10] float32, see `splat_projection.project`.
        boxes: [N, 4] int32, see `bin_tiles`.
        first: [tiles + 1], see `bin_tiles`.
        members: [...], see `bin_tiles`.
        image: [H, W, 5] float32, filled with red, green, blue, depth times alpha, and alpha.
    """
    height, width = image.shape[:2]
    across = (width + TILE - 1) // TILE
    cells = np.empty(7 * _PIXELS, np.float32)  # T, red, green, blue, depth, column, row
    for k in range(len(first) - 1):
        top, left = k // across * TILE, k % across * TILE
        _start_tile(cells, 4)
        for m in range(first[k], first[k + 1]):
            if (m - first[k]) % _CHECK == 0 and _opaque(cells):
                break
            n = members[m]
            start = max(boxes[n, 2] - top, 0) * TILE
            end = min(boxes[n, 3] - top, TILE) * TILE
            _blend(cells, flat[n], np.float32(left), np.float32(top), start, end)
        for i in range(min(TILE, height - top)):
            for j in range(min(TILE, width - left)):
                for c in range(4):
                    image[top + i, left + j, c] = cells[(c + 1) * _PIXELS + i * TILE + j]
                image[top + i, left + j, 4] = _ONE - cells[i * TILE + j]


@numba.njit(inline="always", **OPTIONS)
def _blend(cells, g, left, top, start, end):
    """Put one Gaussian behind what pixels start … end of a tile already hold."""
    u, v, a, b2, c, opacity = g[0] - left, g[1] - top, g[2], _TWO * g[3], g[4], g[5]
    red, green, blue, depth = g[6], g[7], g[8], g[9]
    for i in range(np.uint64(start), np.uint64(end)):  # unsigned: no test for a negative index, so it vectorises
        dx, dy = cells[_CELLS[5] + i] - u, cells[_CELLS[6] + i] - v
        alpha = min(opacity * _falloff(dx * (a * dx + b2 * dy) + c * dy * dy), _HIGH)
        alpha = alpha if alpha >= _LOW else _ZERO
        alpha = alpha if cells[i] >= _STOP else _ZERO
        w = alpha * cells[i]
        cells[i] -= w
        cells[_CELLS[1] + i] += w * red
        cells[_CELLS[2] + i] += w * green
        cells[_CELLS[3] + i] += w * blue
        cells[_CELLS[4] + i] += w * depth


@numba.njit(**OPTIONS)
def draw_backward(flat, boxes, first, members, image, upstream):
    """Carry a gradient of the picture back to the projected Gaussians.

    Args:
        flat: As for `draw`.
        boxes: As for `draw`.
        first: As for `draw`.
        members: As for `draw`.
        image: [H, W, 5] what `draw` gave.
        upstream: [H, W, 5] float32 derivative of a scalar with respect to `image`.

    Returns:
        [N, 10] float64 derivative of that scalar with respect to `flat`.
    """
    height, width = image.shape[:2]
    across = (width + TILE - 1) // TILE
    gradient = np.zeros((len(flat), 10))
    cells = np.empty(9 * _PIXELS, np.float32)  # T, five upstream channels, what is still to come, column, row
    for k in range(len(first) - 1):
        top, left = k // across * TILE, k % across * TILE
        _start_tile(cells, 6)
        for i in range(min(TILE, height - top)):
            for j in range(min(TILE, width - left)):
                rest = _ZERO
                for c in range(5):
                    g = upstream[top + i, left + j, c]
                    cells[(c + 1) * _PIXELS + i * TILE + j] = g
                    rest += g * image[top + i, left + j, c]
                cells[6 * _PIXELS + i * TILE + j] = rest
        for m in range(first[k], first[k + 1]):
            if (m - first[k]) % _CHECK == 0 and _opaque(cells):
                break
            n = members[m]
            start = max(boxes[n, 2] - top, 0) * TILE
            end = min(boxes[n, 3] - top, TILE) * TILE
            _blend_backward(cells, flat[n], np.float32(left), np.float32(top), start, end, gradient[n])
    return gradient


@numba.njit(inline="always", **OPTIONS)
def _blend_backward(cells, g, left, top, start, end, out):
    """Pass one Gaussian in pixels start … end of a tile and add its derivatives to out [10]."""
    u, v, a, b, c, opacity = g[0] - left, g[1] - top, g[2], g[3], g[4], g[5]
    red, green, blue, depth = g[6], g[7], g[8], g[9]
    s0, sx, sy, sxx, sxy, syy = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    sr, sg, sb, sd = _ZERO, _ZERO, _ZERO, _ZERO
    for i in range(np.uint64(start), np.uint64(end)):  # unsigned: no test for a negative index, so it vectorises
        dx, dy = cells[_CELLS[7] + i] - u, cells[_CELLS[8] + i] - v
        free = opacity * _falloff(dx * (a * dx + _TWO * b * dy) + c * dy * dy)
        alpha = min(free, _HIGH)
        alpha = alpha if alpha >= _LOW else _ZERO
        alpha = alpha if cells[i] >= _STOP else _ZERO
        T = cells[i]
        w = alpha * T
        value = (
            red * cells[_CELLS[1] + i]
            + green * cells[_CELLS[2] + i]
            + blue * cells[_CELLS[3] + i]
            + depth * cells[_CELLS[4] + i]
            + cells[_CELLS[5] + i]
        )
        rest = cells[_CELLS[6] + i] - w * value
        cells[i] = T - w
        cells[_CELLS[6] + i] = rest
        s = alpha * (T * value - rest / (_ONE - alpha))  # dL/d(log alpha)
        s = s if free < _HIGH else _ZERO
        s0 += s
        sx += s * dx
        sy += s * dy
        sxx += s * dx * dx
        sxy += s * dx * dy
        syy += s * dy * dy
        sr += w * cells[_CELLS[1] + i]
        sg += w * cells[_CELLS[2] + i]
        sb += w * cells[_CELLS[3] + i]
        sd += w * cells[_CELLS[4] + i]
    out[0] += a * sx + b * sy
    out[1] += b * sx + c * sy
    out[2] -= _HALF * sxx
    out[3] -= sxy
    out[4] -= _HALF * syy
    out[5] += s0 / opacity
    out[6] += sr
    out[7] += sg
    out[8] += sb
    out[9] += sd
