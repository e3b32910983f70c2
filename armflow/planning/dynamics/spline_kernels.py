"""Compiled loops of `spline`: over P particles, 27 nodes each, and C channels."""

import numpy as np
from numba import njit

__all__ = ["activate", "gather", "gather_backward", "sample", "scatter", "scatter_backward"]


@njit(cache=True, fastmath=True, error_model="numpy")
def _weights(u, w, dw):
    """Quadratic B-spline weights w [3, 3] (axis, node) of a point u [3] in cells, and their derivatives dw."""
    for axis in range(3):
        f = u[axis] - np.floor(u[axis] - u.dtype.type(0.5))
        a, b, c = u.dtype.type(1.5) - f, f - u.dtype.type(1.0), f - u.dtype.type(0.5)
        w[axis, 0], w[axis, 1], w[axis, 2] = (
            u.dtype.type(0.5) * a * a,
            u.dtype.type(0.75) - b * b,
            u.dtype.type(0.5) * c * c,
        )
        dw[axis, 0], dw[axis, 1], dw[axis, 2] = -a, -(b + b), c


@njit(cache=True)
def activate(u, cells, slots, nodes, owners):
    """Number the nodes that particles u [B, N, 3] touch; returns how many.

    Fills slots [B, N, 27] with numbers, nodes [B N 27, 3] and owners [B N 27] with the node and the sample of each.
    """
    table = np.full(cells * cells * cells, -1, np.int32)
    count = 0
    for b in range(u.shape[0]):
        first = count
        for p in range(u.shape[1]):
            x, y, z = int(np.floor(u[b, p, 0] - 0.5)), int(np.floor(u[b, p, 1] - 0.5)), int(np.floor(u[b, p, 2] - 0.5))
            n = 0
            for i in range(x, x + 3):
                for j in range(y, y + 3):
                    for k in range(z, z + 3):
                        key = (i * cells + j) * cells + k
                        slot = table[key]
                        if slot < 0:
                            slot = count
                            table[key] = slot
                            nodes[count, 0], nodes[count, 1], nodes[count, 2] = i, j, k
                            owners[count] = b
                            count += 1
                        slots[b, p, n] = slot
                        n += 1
        for s in range(first, count):
            table[(nodes[s, 0] * cells + nodes[s, 1]) * cells + nodes[s, 2]] = -1
    return count


@njit(cache=True, fastmath=True, error_model="numpy")
def scatter(u, slots, values, out):
    """Add weight times values [P, C] of each particle to its nodes, out [M, C]."""
    w, dw = np.empty((3, 3), u.dtype), np.empty((3, 3), u.dtype)
    for p in range(u.shape[0]):
        _weights(u[p], w, dw)
        n = 0
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    weight, slot = w[0, i] * w[1, j] * w[2, k], slots[p, n]
                    for c in range(values.shape[1]):
                        out[slot, c] += weight * values[p, c]
                    n += 1


@njit(cache=True, fastmath=True, error_model="numpy")
def gather(u, slots, values, out):
    """Sum weight times values [M, C] over the nodes of each particle into out [P, C]."""
    w, dw = np.empty((3, 3), u.dtype), np.empty((3, 3), u.dtype)
    for p in range(u.shape[0]):
        _weights(u[p], w, dw)
        n = 0
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    weight, slot = w[0, i] * w[1, j] * w[2, k], slots[p, n]
                    for c in range(values.shape[1]):
                        out[p, c] += weight * values[slot, c]
                    n += 1


@njit(cache=True, fastmath=True, error_model="numpy")
def scatter_backward(u, slots, values, grad, grad_u, grad_values):
    """Gradients of `scatter` given that of its output, grad [M, C]."""
    w, dw = np.empty((3, 3), u.dtype), np.empty((3, 3), u.dtype)
    for p in range(u.shape[0]):
        _weights(u[p], w, dw)
        n = 0
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    weight, slot = w[0, i] * w[1, j] * w[2, k], slots[p, n]
                    dot = u.dtype.type(0.0)
                    for c in range(values.shape[1]):
                        grad_values[p, c] += weight * grad[slot, c]
                        dot += values[p, c] * grad[slot, c]
                    grad_u[p, 0] += dw[0, i] * w[1, j] * w[2, k] * dot
                    grad_u[p, 1] += w[0, i] * dw[1, j] * w[2, k] * dot
                    grad_u[p, 2] += w[0, i] * w[1, j] * dw[2, k] * dot
                    n += 1


@njit(cache=True, fastmath=True, error_model="numpy")
def gather_backward(u, slots, values, grad, grad_u, grad_values):
    """Gradients of `gather` given that of its output, grad [P, C]."""
    w, dw = np.empty((3, 3), u.dtype), np.empty((3, 3), u.dtype)
    for p in range(u.shape[0]):
        _weights(u[p], w, dw)
        n = 0
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    weight, slot = w[0, i] * w[1, j] * w[2, k], slots[p, n]
                    dot = u.dtype.type(0.0)
                    for c in range(values.shape[1]):
                        grad_values[slot, c] += weight * grad[p, c]
                        dot += values[slot, c] * grad[p, c]
                    grad_u[p, 0] += dw[0, i] * w[1, j] * w[2, k] * dot
                    grad_u[p, 1] += w[0, i] * dw[1, j] * w[2, k] * dot
                    grad_u[p, 2] += w[0, i] * w[1, j] * dw[2, k] * dot
                    n += 1


@njit(cache=True, fastmath=True, error_model="numpy")
def sample(u, nodes, velocity, cells, out, covered):
    """Read velocities [M, 3] at nodes [M, 3] of one sample at any points u [Q, 3], weighing only nodes that exist.

    Fills out [Q, 3], and covered [Q], the share of a point's weights that fell on such nodes.
    """
    table = np.full(cells * cells * cells, -1, np.int32)
    for m in range(nodes.shape[0]):
        table[(nodes[m, 0] * cells + nodes[m, 1]) * cells + nodes[m, 2]] = m
    w, dw = np.empty((3, 3), u.dtype), np.empty((3, 3), u.dtype)
    for q in range(u.shape[0]):
        _weights(u[q], w, dw)
        first = (int(np.floor(u[q, 0] - 0.5)) * cells + int(np.floor(u[q, 1] - 0.5))) * cells
        first += int(np.floor(u[q, 2] - 0.5))
        x = y = z = total = u.dtype.type(0.0)
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    m = table[first + (i * cells + j) * cells + k]
                    if m >= 0:
                        weight = w[0, i] * w[1, j] * w[2, k]
                        total += weight
                        x += weight * velocity[m, 0]
                        y += weight * velocity[m, 1]
                        z += weight * velocity[m, 2]
        covered[q] = total
        scale = 1 / total if total > 0 else total
        out[q, 0], out[q, 1], out[q, 2] = x * scale, y * scale, z * scale
