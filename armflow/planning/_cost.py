"""What a trajectory costs, with gradient and Gauss-Newton blocks: tracking, clearance, self-collision, workspace.

Tracking needs no loop over points. For points p_i of the tool and targets y_i, with weights w_i and centroids removed,

    sum_i w_i |T p_i - y_i|^2 = W |c - c*|^2 + tr P + k - 2 tr(R C),
    C = sum_i w_i p'_i y'_i^T,    P = sum_i w_i p'_i p'_i^T,

where c is the moved centroid: the same sums as in Umeyama (1991), doi:10.1109/34.88573. A weighted tool pose is the
special case of points at the tips of the tool's axes, so both use these kernels.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from armflow.planning.body import Body
from armflow.planning.distance import DistanceField, field_distance
from armflow.robot.kinematics import chain_frames

__all__ = ["Gains", "Track", "clearances", "track_errors", "trajectory_terms", "waypoint_terms"]


class Track(NamedTuple):
    """Sums that describe what the tool shall follow, one row per waypoint.

    Attributes:
        center: [H, 3] centroid of the points in the tool frame, m.
        target: [H, 3] where it shall be, m.
        stiffness: [H, 3, 3] weight of its distance along world axes, 1/m^2.
        cross: [H, 3, 3] C.
        moment: [H, 3, 3] P.
        constant: [H] tr P + sum_i w_i |y'_i|^2.
    """

    center: np.ndarray
    target: np.ndarray
    stiffness: np.ndarray
    cross: np.ndarray
    moment: np.ndarray
    constant: np.ndarray


class Gains(NamedTuple):
    """Weights of the costs.

    Attributes:
        collision: Per squared penetration of what must be kept, 1/m^2; at 0 nothing below but smoothness counts.
        keep: [H, S] distance to the scene that each sphere must keep at each row, m.
        soft: Per squared penetration of the margin, 1/m^2; far below tracking.
        margin: Distance to the scene that is better kept, m.
        self_margin: Distance between links that must be kept, m.
        velocity: Per squared first difference, 1/rad^2.
        acceleration: Per squared second difference, 1/rad^2.
    """

    collision: float
    keep: np.ndarray
    soft: float
    margin: float
    self_margin: float
    velocity: float
    acceleration: float


@njit(cache=True, error_model="numpy")
def _place(T: np.ndarray, p: np.ndarray, out: np.ndarray) -> None:
    """Write T p into out."""
    for i in range(3):
        out[i] = T[i, 0] * p[0] + T[i, 1] * p[1] + T[i, 2] * p[2] + T[i, 3]


@njit(cache=True, error_model="numpy")
def _point_jacobian(frames, turns, last, p, out):
    """Velocity [3, D] of a point p carried by joint `last` and those before it."""
    for j in range(turns.shape[0]):
        if j > last:
            out[0, j] = out[1, j] = out[2, j] = 0.0
            continue
        x, y, z = p[0] - frames[j, 0, 3], p[1] - frames[j, 1, 3], p[2] - frames[j, 2, 3]
        out[0, j] = turns[j, 1] * z - turns[j, 2] * y
        out[1, j] = turns[j, 2] * x - turns[j, 0] * z
        out[2, j] = turns[j, 0] * y - turns[j, 1] * x


@njit(cache=True, error_model="numpy")
def _turns(axes: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Joint axes [D, 3] in the world."""
    turns = np.empty_like(axes)
    for j in range(len(axes)):
        for i in range(3):
            turns[j, i] = frames[j, i, 0] * axes[j, 0] + frames[j, i, 1] * axes[j, 1] + frames[j, i, 2] * axes[j, 2]
    return turns


@njit(cache=True, error_model="numpy")
def _add_tracking(track: Track, h: int, frames, turns, gradient, block, derive: bool) -> float:  # noqa: C901 - sums
    """Cost of one waypoint's tracking; adds to its gradient [D] and block [D, D]."""
    dof = turns.shape[0]
    tool = frames[dof]
    place = np.empty(3)
    _place(tool, track.center[h], place)
    error = place - track.target[h]
    A = np.zeros((3, 3))  # R C
    pull = np.zeros(3)
    for i in range(3):
        for j in range(3):
            pull[i] += track.stiffness[h, i, j] * error[j]
            for k in range(3):
                A[i, j] += tool[i, k] * track.cross[h, k, j]
    cost = 0.5 * (pull[0] * error[0] + pull[1] * error[1] + pull[2] * error[2])
    cost += 0.5 * track.constant[h] - (A[0, 0] + A[1, 1] + A[2, 2])
    if not derive:
        return cost
    twist = np.array([A[2, 1] - A[1, 2], A[0, 2] - A[2, 0], A[1, 0] - A[0, 1]])
    M = np.zeros((3, 3))  # tr(P) I - R P R^T
    for i in range(3):
        for j in range(3):
            for k in range(3):
                for m in range(3):
                    M[i, j] -= tool[i, k] * track.moment[h, k, m] * tool[j, m]
    trace = track.moment[h, 0, 0] + track.moment[h, 1, 1] + track.moment[h, 2, 2]
    for i in range(3):
        M[i, i] += trace
    jacobian = np.empty((3, dof))
    _point_jacobian(frames, turns, dof, place, jacobian)
    for a in range(dof):
        left, right = np.zeros(3), np.zeros(3)
        for i in range(3):
            gradient[a] += jacobian[i, a] * pull[i] + turns[a, i] * twist[i]
            for j in range(3):
                left[j] += jacobian[i, a] * track.stiffness[h, i, j]
                right[j] += turns[a, i] * M[i, j]
        for b in range(a + 1):
            for j in range(3):
                block[a, b] += left[j] * jacobian[j, b] + right[j] * turns[b, j]
    return cost


@njit(cache=True, error_model="numpy")
def _add_row(row, depth, weight, gradient, block):
    """Add the hinge weight/2 max(0, depth - row . dq)^2."""
    for a in range(len(row)):
        if row[a] == 0.0:
            continue
        gradient[a] -= weight * depth * row[a]
        for b in range(a + 1):
            block[a, b] += weight * row[a] * row[b]


@njit(cache=True, error_model="numpy")
def _add_scene(body, field, gains, h, frames, turns, gradient, block, derive):  # noqa: PLR0913
    """Cost of spheres too close to the scene at row h."""
    dof = turns.shape[0]
    place, slope = np.empty(3), np.empty(3)
    jacobian, row = np.empty((3, dof)), np.empty(dof)
    cost = 0.0
    for s in range(len(body.sphere_radius)):
        frame = body.sphere_frame[s]
        _place(frames[frame], body.sphere_center[s], place)
        gap = field_distance(field, place, slope) - body.sphere_radius[s]
        hard, soft = max(gains.keep[h, s] - gap, 0.0), max(gains.margin - gap, 0.0)
        pull = gains.collision * hard + gains.soft * soft
        if pull <= 0.0:
            continue
        cost += 0.5 * gains.collision * hard * hard + 0.5 * gains.soft * soft * soft
        if derive:
            _point_jacobian(frames, turns, frame, place, jacobian)
            for a in range(dof):
                row[a] = slope[0] * jacobian[0, a] + slope[1] * jacobian[1, a] + slope[2] * jacobian[2, a]
            weight = (gains.collision if hard > 0.0 else 0.0) + (gains.soft if soft > 0.0 else 0.0)
            _add_row(row, pull / weight, weight, gradient, block)
    return cost


@njit(cache=True, error_model="numpy")
def _closest(a, b, c, d, on_first, on_second) -> float:
    """Distance of the segments a-b and c-d; writes their closest points (Ericson 2004, section 5.1.9)."""
    uu = vv = uv = uw = vw = 0.0
    for i in range(3):
        u, v, w = b[i] - a[i], d[i] - c[i], a[i] - c[i]
        uu, vv, uv, uw, vw = uu + u * u, vv + v * v, uv + u * v, uw + u * w, vw + v * w
    denominator = uu * vv - uv * uv
    s = min(max((uv * vw - uw * vv) / denominator, 0.0), 1.0) if denominator > 1e-14 else 0.0
    t = min(max((uv * s + vw) / vv, 0.0), 1.0) if vv > 1e-14 else 0.0
    s = min(max((uv * t - uw) / uu, 0.0), 1.0) if uu > 1e-14 else 0.0
    total = 0.0
    for i in range(3):
        on_first[i], on_second[i] = a[i] + s * (b[i] - a[i]), c[i] + t * (d[i] - c[i])
        total += (on_first[i] - on_second[i]) ** 2
    return np.sqrt(total)


@njit(cache=True, error_model="numpy")
def capsule_places(body: Body, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of all capsules in the world, [C, 3] each."""
    a, b = body.capsule_a.copy(), body.capsule_b.copy()
    for c in range(len(body.capsule_frame)):
        if body.capsule_frame[c] < len(frames):
            _place(frames[body.capsule_frame[c]], body.capsule_a[c], a[c])
            _place(frames[body.capsule_frame[c]], body.capsule_b[c], b[c])
    return a, b


@njit(cache=True, error_model="numpy")
def _add_self(body: Body, gains: Gains, frames, turns, gradient, block, derive):
    """Cost of pairs of links closer to one another than the margin."""
    dof = turns.shape[0]
    starts, ends = capsule_places(body, frames)
    first, second = np.empty(3), np.empty(3)
    toward, away, row = np.empty((3, dof)), np.empty((3, dof)), np.empty(dof)
    cost = 0.0
    for p in range(len(body.pairs)):
        m, n = body.pairs[p, 0], body.pairs[p, 1]
        distance = _closest(starts[m], ends[m], starts[n], ends[n], first, second)
        depth = gains.self_margin + body.capsule_radius[m] + body.capsule_radius[n] - distance
        if depth <= 0.0:
            continue
        cost += 0.5 * gains.collision * depth * depth
        if derive and distance > 1e-9:
            last_m = body.capsule_frame[m] if body.capsule_frame[m] <= dof else -1
            last_n = body.capsule_frame[n] if body.capsule_frame[n] <= dof else -1
            _point_jacobian(frames, turns, last_m, first, toward)
            _point_jacobian(frames, turns, last_n, second, away)
            for j in range(dof):
                row[j] = 0.0
                for i in range(3):
                    row[j] += (first[i] - second[i]) / distance * (toward[i, j] - away[i, j])
            _add_row(row, depth, gains.collision, gradient, block)
    return cost


@njit(cache=True, error_model="numpy")
def _add_workspace(body: Body, gains: Gains, frames, turns, gradient, block, derive):
    """Cost of the tool's origin outside its box."""
    dof = turns.shape[0]
    place = frames[dof, :3, 3]
    jacobian = np.empty((3, dof))
    cost = 0.0
    for i in range(3):
        over = place[i] - body.workspace[1, i] + 0.002
        under = body.workspace[0, i] + 0.002 - place[i]
        depth = max(over, under)
        if depth <= 0.0:
            continue
        cost += 0.5 * gains.collision * depth * depth
        if derive:
            _point_jacobian(frames, turns, dof, place, jacobian)
            _add_row(jacobian[i] if under >= over else -jacobian[i], depth, gains.collision, gradient, block)
    return cost


@njit(cache=True, error_model="numpy")
def waypoint_terms(body, field, track, gains, h, q, gradient, block, derive):  # noqa: PLR0913
    """Cost of waypoint h at q [D]; adds to gradient [D] and to the lower triangle of block [D, D] if `derive`."""
    frames = chain_frames(body.placements, body.axes, q)
    turns = _turns(body.axes, frames)
    cost = _add_tracking(track, h, frames, turns, gradient, block, derive)
    if gains.collision > 0.0:
        cost += _add_scene(body, field, gains, h, frames, turns, gradient, block, derive)
        cost += _add_self(body, gains, frames, turns, gradient, block, derive)
        cost += _add_workspace(body, gains, frames, turns, gradient, block, derive)
    return cost


@njit(cache=True, error_model="numpy")
def trajectory_terms(body, field, track, gains, q, derive):
    """Cost of q [H, D] without smoothness, its gradient [H, D] and Gauss-Newton blocks [H, D, D], lower triangles.

    Without `derive`, gradient and blocks are zero.
    """
    horizon, dof = q.shape
    gradient, blocks = np.zeros((horizon, dof)), np.zeros((horizon, dof, dof))
    cost = 0.0
    for h in range(horizon):
        cost += waypoint_terms(body, field, track, gains, h, q[h], gradient[h], blocks[h], derive)
    return cost, gradient, blocks


@njit(cache=True, error_model="numpy")
def track_errors(body: Body, track: Track, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each row of q [H, D] is from the track.

    Returns:
        [H] distance of the centroid, weighted over the axes, m; [H] cost of the turning about it, twice.
    """
    horizon, dof = q.shape
    shift, turn, place = np.zeros(horizon), np.zeros(horizon), np.empty(3)
    for h in range(horizon):
        tool = chain_frames(body.placements, body.axes, q[h])[dof]
        _place(tool, track.center[h], place)
        total, pull, along = 0.0, 0.0, 0.0
        for i in range(3):
            total += track.stiffness[h, i, i] / 3.0
            for j in range(3):
                pull += (place[i] - track.target[h, i]) * track.stiffness[h, i, j] * (place[j] - track.target[h, j])
                along += tool[i, j] * track.cross[h, j, i]
        shift[h] = np.sqrt(max(pull, 0.0) / total) if total > 0.0 else 0.0
        turn[h] = max(track.constant[h] - 2.0 * along, 0.0)
    return shift, turn


@njit(cache=True, error_model="numpy")
def clearances(body: Body, field: DistanceField, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances of the whole arm at each row of q [H, D].

    Returns:
        [H, S] from each sphere to the scene, m; [H, S, 3] the spheres' centres, m; [H] least between links, m.
    """
    horizon, count = len(q), len(body.sphere_radius)
    scene, places, own = np.empty((horizon, count)), np.empty((horizon, count, 3)), np.full(horizon, np.inf)
    slope, first, second = np.empty(3), np.empty(3), np.empty(3)
    for h in range(horizon):
        frames = chain_frames(body.placements, body.axes, q[h])
        for s in range(count):
            _place(frames[body.sphere_frame[s]], body.sphere_center[s], places[h, s])
            scene[h, s] = field_distance(field, places[h, s], slope) - body.sphere_radius[s]
        starts, ends = capsule_places(body, frames)
        for p in range(len(body.pairs)):
            m, n = body.pairs[p, 0], body.pairs[p, 1]
            gap = _closest(starts[m], ends[m], starts[n], ends[n], first, second)
            own[h] = min(own[h], gap - body.capsule_radius[m] - body.capsule_radius[n])
    return scene, places, own
