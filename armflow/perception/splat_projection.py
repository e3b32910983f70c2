"""Numba kernels that project Gaussians onto a picture, and carry gradients back through the projection.

Elliptical weighted averaging (Zwicker et al. 2002, eq. 31; Kerbl et al. 2023, eq. 5): with W the rotation from world to
camera, J the derivative of the pixel with respect to the point in the camera, and M = R(q) diag(scales),

    covariance = P M (P M)^T + 0.3 I,    P = J W.

The direction at which J is taken is kept within 1.3 times the field of view, as linearising fails beyond it.
"""

from math import isfinite, log, sqrt
from typing import NamedTuple

import numba
import numpy as np

from armflow.perception.splat_kernel import ALPHA_MIN

__all__ = ["BLUR", "MARGIN", "Lens", "project", "project_backward"]

BLUR = 0.3
"""Variance added to every projected Gaussian, px^2, so that none falls between the pixels."""
MARGIN = 0.3
"""How far beyond the picture's edge, in half fields of view, J is followed."""
OPTIONS = {"cache": True, "error_model": "numpy", "nogil": True, "fastmath": {"contract"}}


class Lens(NamedTuple):
    """A camera as the kernels take it."""

    R: np.ndarray
    """[3, 3] world to camera."""
    t: np.ndarray
    """[3] m, world to camera."""
    focal: tuple[float, float]
    """px."""
    center: tuple[float, float]
    """px; pixel (row v, column u) is the image point (u, v)."""
    low: tuple[float, float]
    """Least x / z and y / z at which J is taken."""
    high: tuple[float, float]
    """Largest x / z and y / z at which J is taken."""
    near: float
    """Nothing nearer is drawn, m."""


@numba.njit(inline="always", **OPTIONS)
def _rotate(q, R):
    """Write the rotation of a quaternion wxyz, of any length, to R [3, 3], and return that length."""
    length = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    w, x, y, z = q[0] / length, q[1] / length, q[2] / length, q[3] / length
    R[0, 0], R[0, 1], R[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    R[1, 0], R[1, 1], R[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    R[2, 0], R[2, 1], R[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return length


@numba.njit(inline="always", **OPTIONS)
def _to_camera(mean, lens):
    """Point in the camera's frame, m."""
    R, t = lens.R, lens.t
    x = R[0, 0] * mean[0] + R[0, 1] * mean[1] + R[0, 2] * mean[2] + t[0]
    y = R[1, 0] * mean[0] + R[1, 1] * mean[1] + R[1, 2] * mean[2] + t[1]
    z = R[2, 0] * mean[0] + R[2, 1] * mean[1] + R[2, 2] * mean[2] + t[2]
    return x, y, z


@numba.njit(inline="always", **OPTIONS)
def _spread(x, y, z, lens, P):
    """Write P = J W [2, 3]; return the direction at which J is taken."""
    p = min(max(x / z, lens.low[0]), lens.high[0])
    q = min(max(y / z, lens.low[1]), lens.high[1])
    for k in range(3):
        P[0, k] = lens.focal[0] / z * (lens.R[0, k] - p * lens.R[2, k])
        P[1, k] = lens.focal[1] / z * (lens.R[1, k] - q * lens.R[2, k])
    return p, q


@numba.njit(inline="always", **OPTIONS)
def _covariance(P, R, scale, A):
    """Write A = P R diag(scale) [2, 3] and return the entries xx, xy, yy of A A^T + 0.3 I, px^2."""
    xx, xy, yy = BLUR, 0.0, BLUR
    for k in range(3):
        for r in range(2):
            A[r, k] = (P[r, 0] * R[0, k] + P[r, 1] * R[1, k] + P[r, 2] * R[2, k]) * scale[k]
        xx += A[0, k] * A[0, k]
        xy += A[0, k] * A[1, k]
        yy += A[1, k] * A[1, k]
    return xx, xy, yy


@numba.njit(**OPTIONS)
def project(means, quats, scales, opacities, colors, lens, size):
    """Project Gaussians onto a picture.

    Args:
        means: [N, 3] m, world.
        quats: [N, 4] wxyz, of any length but zero.
        scales: [N, 3] standard deviations, m.
        opacities: [N] in 0 … 1.
        colors: [N, 3].
        lens: The camera.
        size: Width and height, px.

    Returns:
        flat [N, 10] float32: column and row of the middle, px; the inverse covariance's xx, xy, yy, 1/px^2; opacity;
        red, green, blue; depth, m. boxes [N, 4] int32: first and end column, first and end row where alpha can reach
        1/255; empty where nothing is drawn.
    """
    count = len(means)
    flat, boxes = np.zeros((count, 10), np.float32), np.zeros((count, 4), np.int32)
    R, P, A = np.empty((3, 3)), np.empty((2, 3)), np.empty((2, 3))
    for n in range(count):
        x, y, z = _to_camera(means[n], lens)
        if not (z > lens.near and opacities[n] > ALPHA_MIN):
            continue
        _rotate(quats[n], R)
        _spread(x, y, z, lens, P)
        xx, xy, yy = _covariance(P, R, scales[n], A)
        u, v = lens.focal[0] * x / z + lens.center[0], lens.focal[1] * y / z + lens.center[1]
        reach = 2.0 * log(opacities[n] / ALPHA_MIN)
        if not _box(u, v, sqrt(reach * xx), sqrt(reach * yy), size, boxes[n]):
            continue
        det = xx * yy - xy * xy
        flat[n, 0], flat[n, 1] = u, v
        flat[n, 2], flat[n, 3], flat[n, 4] = yy / det, -xy / det, xx / det
        flat[n, 5] = opacities[n]
        flat[n, 6], flat[n, 7], flat[n, 8] = colors[n, 0], colors[n, 1], colors[n, 2]
        flat[n, 9] = z
    return flat, boxes


@numba.njit(inline="always", **OPTIONS)
def _box(u, v, half_width, half_height, size, box):
    """Write the pixels within reach of (u, v) to box [4]; whether there are any."""
    left, right = max(u - half_width, 0.0), min(u + half_width, size[0] - 1.0)
    top, bottom = max(v - half_height, 0.0), min(v + half_height, size[1] - 1.0)
    if not (isfinite(left + right + top + bottom) and left <= right and top <= bottom):
        return False
    box[0], box[1] = int(np.ceil(left)), int(np.floor(right)) + 1
    box[2], box[3] = int(np.ceil(top)), int(np.floor(bottom)) + 1
    return box[0] < box[1] and box[2] < box[3]


@numba.njit(**OPTIONS)
def project_backward(means, quats, scales, lens, boxes, flat_gradient):
    """Carry the gradient of `flat` back to means, quaternions and scales.

    Args:
        means: As for `project`.
        quats: As for `project`.
        scales: As for `project`.
        lens: As for `project`.
        boxes: What `project` gave.
        flat_gradient: [N, 10] derivative of a scalar with respect to `flat`.

    Returns:
        Its derivatives with respect to means [N, 3], quats [N, 4] and scales [N, 3].
    """
    count = len(means)
    to_means, to_quats, to_scales = np.zeros((count, 3)), np.zeros((count, 4)), np.zeros((count, 3))
    R, P, A = np.empty((3, 3)), np.empty((2, 3)), np.empty((2, 3))
    to_R, to_P, to_A = np.empty((3, 3)), np.empty((2, 3)), np.empty((2, 3))
    for n in range(count):
        if boxes[n, 0] >= boxes[n, 1] or boxes[n, 2] >= boxes[n, 3]:
            continue
        x, y, z = _to_camera(means[n], lens)
        length = _rotate(quats[n], R)
        p, q = _spread(x, y, z, lens, P)
        xx, xy, yy = _covariance(P, R, scales[n], A)
        dxx, dxy, dyy = _inverse_backward(xx, xy, yy, flat_gradient[n])
        for k in range(3):
            to_A[0, k] = 2.0 * (dxx * A[0, k] + dxy * A[1, k])
            to_A[1, k] = 2.0 * (dxy * A[0, k] + dyy * A[1, k])
        _axes_backward(P, R, scales[n], to_A, to_P, to_R, to_scales[n])
        _rotate_backward(quats[n], length, to_R, to_quats[n])
        _point_backward((x, y, z), (p, q), lens, P, to_P, flat_gradient[n], to_means[n])
    return to_means, to_quats, to_scales


@numba.njit(inline="always", **OPTIONS)
def _inverse_backward(xx, xy, yy, g):
    """Derivative with respect to the covariance, -C G C with C its inverse and G symmetric: entries xx, xy, yy."""
    det = xx * yy - xy * xy
    a, b, c = yy / det, -xy / det, xx / det
    e, f, h = g[2], 0.5 * g[3], g[4]
    left, right = a * e + b * f, a * f + b * h
    lower, upper = b * e + c * f, b * f + c * h
    return -(left * a + right * b), -(left * b + right * c), -(lower * b + upper * c)


@numba.njit(inline="always", **OPTIONS)
def _axes_backward(P, R, scale, to_A, to_P, to_R, to_scale):
    """From A = P R diag(scale) to its three factors; all but to_A are written."""
    for r in range(2):
        for i in range(3):
            to_P[r, i] = 0.0
    for k in range(3):
        to_scale[k] = 0.0
        for i in range(3):
            g = P[0, i] * to_A[0, k] + P[1, i] * to_A[1, k]
            to_scale[k] += g * R[i, k]
            to_R[i, k] = g * scale[k]
            to_P[0, i] += to_A[0, k] * R[i, k] * scale[k]
            to_P[1, i] += to_A[1, k] * R[i, k] * scale[k]


@numba.njit(inline="always", **OPTIONS)
def _rotate_backward(quat, length, g, out):
    """From a rotation's derivative g [3, 3] to that of the quaternion it was made from."""
    w, x, y, z = quat[0] / length, quat[1] / length, quat[2] / length, quat[3] / length
    dw = 2 * (x * (g[2, 1] - g[1, 2]) + y * (g[0, 2] - g[2, 0]) + z * (g[1, 0] - g[0, 1]))
    dx = 2 * (w * (g[2, 1] - g[1, 2]) + y * (g[0, 1] + g[1, 0]) + z * (g[0, 2] + g[2, 0]))
    dx -= 4 * x * (g[1, 1] + g[2, 2])
    dy = 2 * (w * (g[0, 2] - g[2, 0]) + x * (g[0, 1] + g[1, 0]) + z * (g[1, 2] + g[2, 1]))
    dy -= 4 * y * (g[0, 0] + g[2, 2])
    dz = 2 * (w * (g[1, 0] - g[0, 1]) + x * (g[0, 2] + g[2, 0]) + y * (g[1, 2] + g[2, 1]))
    dz -= 4 * z * (g[0, 0] + g[1, 1])
    along = dw * w + dx * x + dy * y + dz * z
    out[0], out[1] = (dw - along * w) / length, (dx - along * x) / length
    out[2], out[3] = (dy - along * y) / length, (dz - along * z) / length


@numba.njit(inline="always", **OPTIONS)
def _point_backward(point, direction, lens, P, to_P, g, out):
    """From the middle's pixel, its depth and P = J W to the mean's derivative, out [3]."""
    x, y, z = point
    gx, gy = g[0] * lens.focal[0] / z, g[1] * lens.focal[1] / z
    gz = g[9] - (gx * x + gy * y) / z
    to_p, to_q = 0.0, 0.0
    for k in range(3):
        gz -= (P[0, k] * to_P[0, k] + P[1, k] * to_P[1, k]) / z
        to_p -= lens.focal[0] / z * lens.R[2, k] * to_P[0, k]
        to_q -= lens.focal[1] / z * lens.R[2, k] * to_P[1, k]
    if lens.low[0] < direction[0] < lens.high[0]:
        gx += to_p / z
        gz -= to_p * x / (z * z)
    if lens.low[1] < direction[1] < lens.high[1]:
        gy += to_q / z
        gz -= to_q * y / (z * z)
    for k in range(3):
        out[k] = lens.R[0, k] * gx + lens.R[1, k] * gy + lens.R[2, k] * gz
