"""Compiled inputs and outputs of the fast model's two networks, for when nothing is learned from them.

Each equals the torch expressions in `fast` and `fast_network`, which are differentiable, read better and cost several
times as much for one object, where most of the time goes into starting small operations.
"""

import numpy as np
from numba import njit

__all__ = ["anchor_inputs", "edge_inputs", "node_inputs", "node_velocity", "tool_features"]

_jit = njit(cache=True, fastmath=True, error_model="numpy")


@_jit
def _see(x, y, z, t, radius, features, moved):
    """Write 16 features of an arm (x, y, z) from tool t [25] and the tool's velocity there; returns nearness."""
    one = radius / radius
    squared = x * x + y * y + z * z
    distance = np.sqrt(squared + one * 1e-8)
    far = 10 * one / (1 + 10 * distance)
    reach = np.exp(-squared / (4 * radius * radius))
    window = max(1 - squared / (4 * radius * radius), 0 * one)
    near = window * window * t[6]
    features[0], features[1], features[2] = x * far, y * far, z * far
    for i in range(3):
        speed = t[3 + i] + x * t[7 + i] + y * t[10 + i] + z * t[13 + i]
        moved[i] = speed
        features[3 + i] = (x * t[16 + i] + y * t[19 + i] + z * t[22 + i]) * far
        features[9 + i], features[12 + i] = 5 * speed, 5 * speed * reach
    features[6], features[7], features[8], features[15] = distance * far, reach, near, t[6]
    return near


@_jit
def tool_features(points, rows, tool, radius, features, moved, near):
    """As `fast_network.tool_features`, into its three results; tool holds [B, 25] numbers a row."""
    for m in range(points.shape[0]):
        t = tool[rows[m]]
        x, y, z = points[m, 0] - t[0], points[m, 1] - t[1], points[m, 2] - t[2]
        near[m] = _see(x, y, z, t, radius, features[m], moved[m])


@_jit
def anchor_inputs(middle, speed, code, tool, radius, tokens):
    """Tokens [B, K, 27 + C] of anchors at middle [A, K, 3], with mean speeds [A, K, 6]; A is 1 or B."""
    A, K, _ = middle.shape
    moved = np.empty(3, middle.dtype)
    for b in range(tokens.shape[0]):
        a = min(b, A - 1)
        mean = np.zeros(3, middle.dtype)
        for k in range(K):
            for i in range(3):
                mean[i] += middle[a, k, i] / K
        for k in range(K):
            x, token = middle[a, k], tokens[b, k]
            for i in range(3):
                token[i] = 5 * (x[i] - mean[i])
            token[3], token[4] = 10 * x[2], np.exp(-50 * x[2])
            for i in range(6):
                token[5 + i] = 5 * speed[a, k, i]
            for i in range(code.shape[1]):
                token[11 + i] = code[min(b, code.shape[0] - 1), i]
            t = tool[b]
            _see(x[0] - t[0], x[1] - t[1], x[2] - t[2], t, radius, token[11 + code.shape[1] :], moved)


@_jit
def edge_inputs(middle, speed, neighbours, lengths, edges):
    """Features [A, K, E, 8] of what lies between anchors and their neighbours, as `FastDynamics._edges`."""
    A, K, E = neighbours.shape
    for a in range(A):
        for k in range(K):
            for e in range(E):
                j, edge, squared = neighbours[a, k, e], edges[a, k, e], 0 * middle[0, 0, 0] + 1e-10
                for i in range(3):
                    away = middle[a, j, i] - middle[a, k, i]
                    edge[i], edge[3 + i] = 30 * away, 5 * (speed[a, j, 3 + i] - speed[a, k, 3 + i])
                    squared += away * away
                edge[6], edge[7] = 30 * lengths[a, k, e], 100 * (np.sqrt(squared) - lengths[a, k, e])


@_jit
def node_inputs(sums, places, owners, tool, sizes, results):
    """Inputs [M, C + 30] of the field from sums [M, C + 13] of context, velocities, strain, places and ones.

    sizes are the tool's radius and the spacing; results are the inputs, the tool's velocity [M, 3] and nearness [M].
    """
    (radius, spacing), (inputs, moved, near) = sizes, results
    C = sums.shape[1] - 13
    for m in range(sums.shape[0]):
        row, x, t = inputs[m], places[m], tool[owners[m]]
        share = 1 / (sums[m, C + 12] + radius / radius * 1e-7)
        for c in range(C + 9):
            row[c] = sums[m, c] * share
        for i in range(3):
            row[C + 9 + i] = (sums[m, C + 9 + i] * share - x[i]) / spacing
        row[C + 12], row[C + 13] = 10 * x[2], np.exp(-20 * max(x[2], 0 * radius))
        near[m] = _see(x[0] - t[0], x[1] - t[1], x[2] - t[2], t, radius, row[C + 14 :], moved[m])


@_jit
def node_velocity(out, seen, places, dt, velocity):
    """Velocity [M, 3] at nodes from the field's out [M, 7], after the tool's and the table's edits.

    seen are the results of `node_inputs`.
    """
    inputs, moved, near = seen
    C = inputs.shape[1] - 30
    for m in range(out.shape[0]):
        amount = near[m] / (1 + np.exp(-out[m, 6]))
        for i in range(3):
            last, strain = inputs[m, C + 3 + i] / 5, inputs[m, C + 6 + i] / 100
            v = out[m, i] / 5 + out[m, 3] * last + out[m, 4] * moved[m, i] + out[m, 5] * strain / dt
            velocity[m, i] = v + amount * (moved[m, i] - v)
        velocity[m, 2] = max(velocity[m, 2], -max(places[m, 2], 0 * dt) / dt)
