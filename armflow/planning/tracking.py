"""From flows and tool poses to the sums that the compiled costs follow."""

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.perception.flow import Flow3D
from armflow.planning._cost import Track
from armflow.planning.rigid import point_weights

__all__ = ["GAIN", "LEVER", "flow_track", "free_track", "line_poses", "loosen_first", "pose_track", "track_scales"]

GAIN = 1e4  # cost of one metre squared: one centimetre off costs a half
LEVER = 0.1  # a turn of one radian counts like this many metres


def flow_track(flow: Flow3D, T_tool_world: np.ndarray, weights: np.ndarray | None) -> tuple[Track, np.ndarray]:
    """Follow the rigid fits of a flow.

    Each row's weighted fit gives a tool pose (3DFlowAction, arXiv:2506.06199, section 3.3), and the cost of leaving it
    is the weighted squared distance of all points from where that pose puts them.

    Args:
        flow: Paths of the held object's points.
        T_tool_world: [4, 4] pose of the world in the tool frame at row 0, so that it maps row 0 into the hand.
        weights: [N] or [T, N] extra weights.

    Returns:
        The track, and [T] what the rigid fits leave, weighted root mean square, m.
    """
    w = point_weights(flow, weights)
    w = w / np.maximum(w.sum(1, keepdims=True), 1e-12)
    points = flow.points_world[0] @ T_tool_world[:3, :3].T + T_tool_world[:3, 3]
    center, target = w @ points, np.einsum("tn,tnk->tk", w, flow.points_world)
    here, there = points - center[:, None], flow.points_world - target[:, None]
    moment = np.einsum("tn,tni,tnj->tij", w, here, here)
    cross = np.einsum("tn,tni,tnj->tij", w, here, there)
    rotations = _fit_rotations(cross, T_tool_world[:3, :3].T)
    squares = np.einsum("tn,tni->t", w, there**2) + np.trace(moment, axis1=1, axis2=2)
    fit = np.sqrt(np.maximum(squares - 2.0 * np.einsum("tij,tji->t", rotations, cross), 0.0))
    moment = moment + 1e-4 * np.eye(3)  # a centimetre of extent, so that a line's own turn is held too
    return _rigid_track(center, target, GAIN * np.broadcast_to(np.eye(3), moment.shape), GAIN * moment, rotations), fit


def pose_track(Ts_world_tool: np.ndarray, weights6: np.ndarray | None) -> Track:
    """Follow tool poses [T, 4, 4].

    Args:
        Ts_world_tool: Poses, m.
        weights6: [6] or [T, 6] weights of position (along the target's axes) and rotation (about the target's axes);
            None for ones. A zero for rotation about z leaves the turn about the approach direction free. A rotation
            weight counts like points at the ends of the other two axes, so one cannot be more than the others' sum.
    """
    steps = len(Ts_world_tool)
    w = np.broadcast_to(np.ones(6) if weights6 is None else np.asarray(weights6, dtype=float), (steps, 6))
    R = Ts_world_tool[:, :3, :3]
    stiffness = GAIN * np.einsum("tik,tk,tjk->tij", R, w[:, :3], R)
    tips = np.maximum(0.5 * (w[:, 3:].sum(1, keepdims=True) - 2.0 * w[:, 3:]), 0.0) * LEVER**2
    moment = GAIN * np.einsum("tk,kij->tij", tips, np.einsum("ki,kj->kij", np.eye(3), np.eye(3)))
    return _rigid_track(np.zeros((steps, 3)), Ts_world_tool[:, :3, 3].copy(), stiffness, moment, R)


def free_track(horizon: int) -> Track:
    """Follow nothing."""
    zeros = np.zeros((horizon, 3, 3))
    return Track(np.zeros((horizon, 3)), np.zeros((horizon, 3)), zeros, zeros, zeros, np.zeros(horizon))


def loosen_first(track: Track) -> Track:
    """The same track without a cost on row 0, where the arm already stands."""
    stiffness, cross, moment, constant = (np.array(part) for part in track[2:])
    for part in (stiffness, cross, moment, constant):
        part[0] = 0.0
    return Track(track.center, track.target, stiffness, cross, moment, constant)


def track_scales(track: Track) -> np.ndarray:
    """[H] weight of the stiffest turn, so that a turning cost becomes rad^2; ones where turning is free."""
    scale = np.trace(track.moment, axis1=1, axis2=2) - np.linalg.eigvalsh(track.moment)[:, 0]
    return np.where(scale > 0.0, scale, 1.0)


def line_poses(T_start: np.ndarray, T_end: np.ndarray, *, spacing: float = 0.015, turn: float = 0.1) -> np.ndarray:
    """Poses on the straight line from T_start to T_end, [T, 4, 4], both ends included.

    Args:
        T_start: [4, 4] first pose, m.
        T_end: [4, 4] last pose, m.
        spacing: Most distance between neighbours, m.
        turn: Most angle between neighbours, rad.
    """
    rotvec = Rotation.from_matrix(T_start[:3, :3].T @ T_end[:3, :3]).as_rotvec()
    shift = T_end[:3, 3] - T_start[:3, 3]
    steps = max(1, int(np.ceil(max(np.linalg.norm(shift) / spacing, np.linalg.norm(rotvec) / turn))))
    share = np.linspace(0.0, 1.0, steps + 1)
    Ts = np.tile(np.eye(4), (steps + 1, 1, 1))
    Ts[:, :3, :3] = T_start[:3, :3] @ Rotation.from_rotvec(share[:, None] * rotvec).as_matrix()
    Ts[:, :3, 3] = T_start[:3, 3] + share[:, None] * shift
    return Ts


def _fit_rotations(cross: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Rotation [T, 3, 3] of each fit; what the points leave open stays as in `first` [3, 3].

    The rotation that maximises tr(R C), Umeyama (1991), doi:10.1109/34.88573, with a pull of (1 mm)^2 towards `first`,
    and once more with the pull towards what that gave, which takes its bias away.
    """
    nearest = np.broadcast_to(first, cross.shape)
    for _ in range(2):
        U, _, Vt = np.linalg.svd(cross.transpose(0, 2, 1) + 1e-6 * nearest)
        U[:, :, 2] *= np.sign(np.linalg.det(U @ Vt))[:, None]  # a reflection: turn the weakest direction round
        nearest = U @ Vt
    return nearest


def _rigid_track(center, target, stiffness, moment, rotations) -> Track:
    """Track of points with these moments about `center`, put by `rotations` around `target`."""
    cross = np.einsum("tij,tkj->tik", moment, rotations)
    constant = 2.0 * np.trace(moment, axis1=1, axis2=2)
    parts = (center, target, stiffness, cross, moment, constant)
    return Track(*(np.ascontiguousarray(part, dtype=float) for part in parts))
