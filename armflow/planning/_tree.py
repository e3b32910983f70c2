"""RRT-Connect (Kuffner and LaValle 2000, doi:10.1109/ROBOT.2000.844730) and shortcuts, compiled."""

import numpy as np
from numba import njit

from armflow.planning._cost import _closest, _place, capsule_places
from armflow.planning.distance import field_distance
from armflow.robot.kinematics import chain_frames

__all__ = ["connect", "shorten"]

STEP = 0.25  # longest extension of a tree, rad
RESOLUTION = 0.05  # between checks along an edge, largest joint change, rad


@njit(cache=True, error_model="numpy")
def _end_state(body, field, q):
    """Spheres' centres [S, 3] and distances to the scene [S] at an end of the motion."""
    frames = chain_frames(body.placements, body.axes, q)
    count = len(body.sphere_radius)
    places, scene, slope = np.empty((count, 3)), np.empty(count), np.empty(3)
    for s in range(count):
        _place(frames[body.sphere_frame[s]], body.sphere_center[s], places[s])
        scene[s] = field_distance(field, places[s], slope) - body.sphere_radius[s]
    return places, scene


@njit(cache=True, error_model="numpy")
def _free(body, field, q, margins, ends, states):  # noqa: C901 - one early way out per check
    """Whether the arm at q [D] is clear; near an end of the motion it may be as close as there."""
    for d in range(len(q)):
        if not body.q_min[d] <= q[d] <= body.q_max[d]:
            return False
    frames = chain_frames(body.placements, body.axes, q)
    tool = frames[len(q), :3, 3]
    for i in range(3):
        if not body.workspace[0, i] <= tool[i] <= body.workspace[1, i]:
            return False
    place, slope, second = np.empty(3), np.empty(3), np.empty(3)
    for s in range(len(body.sphere_radius)):
        _place(frames[body.sphere_frame[s]], body.sphere_center[s], place)
        wanted = margins[0] if body.sphere_radius[s] > 0.0 else margins[1]
        gap = field_distance(field, place, slope) - body.sphere_radius[s]
        if gap >= wanted:
            continue
        excused = False
        for e in range(2):
            far = 0.0
            for i in range(3):
                far += (place[i] - states[e][0][s, i]) ** 2
            if far < ends[0] * ends[0] and gap >= max(states[e][1][s], -ends[1]):
                excused = True
        if not excused:
            return False
    starts, stops = capsule_places(body, frames)
    for p in range(len(body.pairs)):
        m, n = body.pairs[p, 0], body.pairs[p, 1]
        gap = _closest(starts[m], stops[m], starts[n], stops[n], place, second)
        if gap - body.capsule_radius[m] - body.capsule_radius[n] < margins[2]:
            return False
    return True


@njit(cache=True, error_model="numpy")
def _edge_free(body, field, a, b, margins, ends, states):
    """Whether the straight joint line from a to b is clear, its end included, its start not."""
    steps = max(1, int(np.ceil(np.abs(b - a).max() / RESOLUTION)))
    for k in range(steps, 0, -1):  # noqa: SIM110 - compiled
        if not _free(body, field, a + (b - a) * (k / steps), margins, ends, states):
            return False
    return True


@njit(cache=True, error_model="numpy")
def _grow(body, field, tree, parents, count, target, margins, ends, states):  # noqa: PLR0913
    """Extend a tree by one step towards a target: the new count, and 0 trapped, 1 advanced, 2 reached."""
    nearest, least = 0, np.inf
    for n in range(count):
        far = 0.0
        for d in range(len(target)):
            far += (tree[n, d] - target[d]) ** 2
        if far < least:
            nearest, least = n, far
    distance = np.sqrt(least)
    reached = distance <= STEP
    q = target.copy() if reached else tree[nearest] + (target - tree[nearest]) * (STEP / distance)
    if not _edge_free(body, field, tree[nearest], q, margins, ends, states):
        return count, 0
    tree[count], parents[count] = q, nearest
    return count + 1, 2 if reached else 1


@njit(cache=True, error_model="numpy")
def _trace(tree, parents, node):
    """Rows from the root of a tree to a node."""
    length, n = 1, node
    while parents[n] >= 0:
        n = parents[n]
        length += 1
    out, n = np.empty((length, tree.shape[1])), node
    for k in range(length - 1, -1, -1):
        out[k] = tree[n]
        n = parents[n]
    return out


@njit(cache=True, error_model="numpy")
def connect(body, field, q_start, q_goal, margins, ends, most, seed):  # noqa: PLR0913
    """Find a path by growing a tree from each end.

    Args:
        body: The arm.
        field: The scene.
        q_start: [D] rad.
        q_goal: [D] rad.
        margins: Least distance to the scene, of the carried object to it, and between links, m.
        ends: Radius and depth of contact excused near the ends, m.
        most: Nodes per tree.
        seed: Of the random numbers.

    Returns:
        [K, D] knots, or [0, D] where none was found.
    """
    np.random.seed(seed)  # numba's own generator, not numpy's  # noqa: NPY002
    dof = len(q_start)
    states = (_end_state(body, field, q_start), _end_state(body, field, q_goal))
    trees, parents = np.empty((2, most + 2, dof)), np.full((2, most + 2), -1)
    trees[0, 0], trees[1, 0] = q_start, q_goal
    counts = np.array([1, 1])
    side = 0
    for trial in range(2 * most):
        if counts[0] >= most or counts[1] >= most:
            break
        other = 1 - side
        target = np.empty(dof)
        for d in range(dof):
            target[d] = np.random.uniform(body.q_min[d], body.q_max[d])  # noqa: NPY002
        if trial == 0:
            target[:] = trees[other, 0]
        counts[side], grown = _grow(
            body, field, trees[side], parents[side], counts[side], target, margins, ends, states
        )
        if grown > 0:
            reached = trees[side, counts[side] - 1].copy()
            met = 1
            while met == 1 and counts[other] < most:
                counts[other], met = _grow(
                    body, field, trees[other], parents[other], counts[other], reached, margins, ends, states
                )
            if met == 2:
                near = _trace(trees[side], parents[side], counts[side] - 1)
                far = _trace(trees[other], parents[other], counts[other] - 1)
                path = np.concatenate((near, far[::-1][1:]))
                return path if side == 0 else path[::-1].copy()
        side = other
    return np.empty((0, dof))


@njit(cache=True, error_model="numpy")
def shorten(body, field, path, margins, ends, trials, seed):
    """Replace stretches of a path [K, D] by straight lines where these are clear."""
    np.random.seed(seed)  # noqa: NPY002
    states = (_end_state(body, field, path[0]), _end_state(body, field, path[-1]))
    for _ in range(trials):
        if len(path) <= 2:
            break
        i = np.random.randint(0, len(path) - 2)  # noqa: NPY002
        j = np.random.randint(i + 2, len(path))  # noqa: NPY002
        if _edge_free(body, field, path[i], path[j], margins, ends, states):
            path = np.concatenate((path[: i + 1], path[j:]))
    return path
