"""Compiled loops of `fast_anchors`."""

import numpy as np
from numba import njit

__all__ = ["build", "farthest_points", "pool", "read"]

THIN = 1.5e-3  # m; what is thinner than this has no deformation across


@njit(cache=True, fastmath=True, error_model="numpy")
def pool(index, weights, values, out):
    """Add weights [P, E] times values [P, C] to the rows of out [R, C] that index [P, E] names."""
    for p in range(index.shape[0]):
        for e in range(index.shape[1]):
            row, weight = index[p, e], weights[p, e]
            for c in range(values.shape[1]):
                out[row, c] += weight * values[p, c]


@njit(cache=True, fastmath=True, error_model="numpy")
def read(index, weights, values, out):
    """Add weights [P, E] times the rows of values [R, C] that index [P, E] names to out [P, C]."""
    for p in range(index.shape[0]):
        for e in range(index.shape[1]):
            row, weight = index[p, e], weights[p, e]
            for c in range(values.shape[1]):
                out[p, c] += weight * values[row, c]


@njit(cache=True)
def farthest_points(points, count):
    """Indices [B, K] of points [B, N, 3]: the farthest from the centroid, then the farthest from those chosen."""
    B, N, _ = points.shape
    chosen = np.empty((B, count), np.int64)
    for b in range(B):
        near = np.empty(N)
        last, far = 0, -1.0
        for i in range(N):
            near[i] = np.inf
            d = points[b, i, 0] ** 2 + points[b, i, 1] ** 2 + points[b, i, 2] ** 2
            if d > far:
                last, far = i, d
        for k in range(count):
            chosen[b, k] = last
            x, y, z = points[b, last, 0], points[b, last, 1], points[b, last, 2]
            far = -1.0
            for i in range(N):
                d = (points[b, i, 0] - x) ** 2 + (points[b, i, 1] - y) ** 2 + (points[b, i, 2] - z) ** 2
                if d < near[i]:
                    near[i] = d
                if near[i] > far:
                    last, far = i, near[i]
    return chosen


@njit(cache=True)
def _nearest(point, seeds, found, squared):
    """Fill found [E] and squared [E] with the nearest seeds [K, 3] of a point, nearest first."""
    squared[:] = np.inf
    E = found.shape[0]
    for k in range(seeds.shape[0]):
        d = (point[0] - seeds[k, 0]) ** 2 + (point[1] - seeds[k, 1]) ** 2 + (point[2] - seeds[k, 2]) ** 2
        if d < squared[E - 1]:
            e = E - 1
            while e > 0 and squared[e - 1] > d:
                squared[e], found[e] = squared[e - 1], found[e - 1]
                e -= 1
            squared[e], found[e] = d, k


@njit(cache=True)
def _spacing(seeds):
    """Mean distance of seeds [K, 3] from their nearest."""
    K, total = seeds.shape[0], 0.0
    for i in range(K):
        least = np.inf
        for j in range(K):
            if i != j:
                x, y, z = seeds[i, 0] - seeds[j, 0], seeds[i, 1] - seeds[j, 1], seeds[i, 2] - seeds[j, 2]
                least = min(least, x * x + y * y + z * z)
        total += np.sqrt(least)
    return max(total / K, 1e-3)


@njit(cache=True)
def _middles(points, found, share, K):
    """Sums of shares [K] and the mean point [K, 3] of each anchor."""
    total, middle = np.zeros(K), np.zeros((K, 3))
    for p in range(points.shape[0]):
        for e in range(found.shape[1]):
            total[found[p, e]] += share[p, e]
            for i in range(3):
                middle[found[p, e], i] += share[p, e] * points[p, i]
    for k in range(K):
        total[k] = max(total[k], 1e-12)
        middle[k] /= total[k]
    return total, middle


@njit(cache=True)
def _inverse_moments(points, found, share, total, middle):
    """Inverse [K, 3, 3] of each anchor's second moment, with what is thin left out."""
    moments = np.zeros((middle.shape[0], 3, 3))
    for p in range(points.shape[0]):
        for e in range(found.shape[1]):
            k = found[p, e]
            weight = share[p, e] / total[k]
            for i in range(3):
                for j in range(3):
                    moments[k, i, j] += weight * (points[p, i] - middle[k, i]) * (points[p, j] - middle[k, j])
    for k in range(middle.shape[0]):
        for i in range(3):
            moments[k, i, i] += THIN**2
        moments[k] = np.linalg.inv(moments[k])
    return moments


@njit(cache=True)
def build(points, chosen, E):
    """Members, weights, shares, parts, lift and drop of `Anchors` in one tuple, and rest places [B, K, 3]."""
    B, N, _ = points.shape
    K = chosen.shape[1]
    shares, places = np.empty((B * N, E)), np.empty((B, K, 3))
    tables = (
        np.empty((B * N, E), np.int64),
        np.empty((B * N, E)),
        shares,
        np.empty((B * N, 4 * E), np.int64),
        np.empty((B * N, 4 * E)),
        np.empty((B * N, 4 * E)),
    )
    found, squared = np.empty((N, E), np.int64), np.empty((N, E))
    for b in range(B):
        seeds = points[b][chosen[b]]
        width = (0.7 * _spacing(seeds)) ** 2 if K > 1 else 1.0
        share = shares[b * N : (b + 1) * N]
        for p in range(N):
            _nearest(points[b, p], seeds, found[p], squared[p])
            total = 0.0
            for e in range(E):
                share[p, e] = np.exp((squared[p, 0] - squared[p, e]) / width)
                total += share[p, e]
            for e in range(E):
                share[p, e] /= total
        sums, middle = _middles(points[b], found, share, K)
        inverse = _inverse_moments(points[b], found, share, sums, middle)
        places[b] = middle
        for p in range(N):
            for e in range(E):
                k = found[p, e]
                arm = (points[b, p, 0] - middle[k, 0], points[b, p, 1] - middle[k, 1], points[b, p, 2] - middle[k, 2])
                _entry(arm, b * K + k, sums[k], inverse[k], (b * N + p, e), tables)
    return tables, places


@njit(cache=True)
def _entry(arm, anchor, total, inverse, place, tables):
    """Write what an anchor and a particle, an arm away from it at rest, are to each other."""
    members, weights, shares, parts, lift, drop = tables
    row, e = place
    share = shares[row, e]
    weight = share / total
    members[row, e], weights[row, e] = anchor, weight
    lift[row, 4 * e], drop[row, 4 * e], parts[row, 4 * e] = weight, share, 4 * anchor
    for i in range(3):
        parts[row, 4 * e + 1 + i] = 4 * anchor + 1 + i
        drop[row, 4 * e + 1 + i] = share * arm[i]
        lift[row, 4 * e + 1 + i] = weight * (inverse[i, 0] * arm[0] + inverse[i, 1] * arm[1] + inverse[i, 2] * arm[2])
