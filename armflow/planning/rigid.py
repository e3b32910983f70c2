"""Weighted rigid fits: the motion that best carries one set of points onto another."""

from dataclasses import dataclass

import numpy as np

from armflow.perception.flow import Flow3D
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import StackError

__all__ = ["DegenerateFitError", "RigidPath", "fit_residual", "fit_rigid", "point_weights", "rigid_path"]

HIDDEN_WEIGHT = 0.1  # a point that was not seen still says roughly where the object is


class DegenerateFitError(StackError):
    """The points leave the rotation open: too few of them, on one line, or without weight."""

    def __init__(self, problem: str, count: int, spread: float) -> None:
        self.problem, self.count, self.spread = problem, count, spread
        super().__init__(f"no rigid fit: {problem} ({count} points with weight, second spread {spread:.2e} m)")


@dataclass(frozen=True, slots=True)
class RigidPath:
    """Motion of an object relative to row 0 of its flow.

    Attributes:
        Ts_world: [T, 4, 4]; row t carries the points of row 0 onto those of row t, both in world coordinates.
        residual: [T] weighted root mean square distance that the rigid fit leaves, m.
    """

    Ts_world: np.ndarray
    residual: np.ndarray


def fit_rigid(source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Find the rigid motion that best carries `source` onto `target`.

    Minimises sum_i w_i |R source_i + t - target_i|^2 over R in SO(3) and t.

    Args:
        source: [N, 3] points, m.
        target: [N, 3] the same points after the motion, m, same frame.
        weights: [N] non-negative, all ones if left out.

    Returns:
        T [4, 4] with det R = +1.

    Raises:
        ShapeError: Shapes disagree or an entry is not finite.
        DegenerateFitError: Fewer than three points carry weight, or they lie on one line.

    Reference:
        Umeyama (1991), doi:10.1109/34.88573, equations 39 to 41 without the scale.
    """
    w = np.ones(len(source)) if weights is None else np.asarray(weights, dtype=float)
    sizes = check_shape("source", source, "N 3")
    check_shape("target", target, "N 3", sizes)
    check_shape("weights", w, "N", sizes)
    for name, array in (("source", source), ("target", target), ("weights", w)):
        check_finite(name, array)
    w = np.maximum(w, 0.0)
    count, total = int((w > 0).sum()), w.sum()
    if count < 3:
        raise DegenerateFitError("fewer than three points", count, 0.0)
    w = w / total
    source_mean, target_mean = w @ source, w @ target
    centred = source - source_mean
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(centred.T @ (w[:, None] * centred)), 0.0))
    if spread[1] <= max(1e-6 * spread[2], 1e-9):
        raise DegenerateFitError("all points on one line", count, float(spread[1]))
    U, _, Vt = np.linalg.svd((target - target_mean).T @ (w[:, None] * centred))
    sign = 1.0 if np.linalg.det(U) * np.linalg.det(Vt) > 0 else -1.0
    T = np.eye(4)
    T[:3, :3] = U @ np.diag([1.0, 1.0, sign]) @ Vt
    T[:3, 3] = target_mean - T[:3, :3] @ source_mean
    return T


def fit_residual(T: np.ndarray, source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
    """Weighted root mean square of |T source_i - target_i|, m."""
    error = source @ T[:3, :3].T + T[:3, 3] - target
    return float(np.sqrt((weights @ (error**2).sum(1)) / max(weights.sum(), 1e-12)))


def point_weights(flow: Flow3D, weights: np.ndarray | None = None) -> np.ndarray:
    """Weight of each point at each step, [T, N]: one where it is seen, little where it is guessed, times `weights`.

    Args:
        flow: The flow.
        weights: [N] or [T, N] extra weights, at least 0; None for ones.
    """
    seen = np.where(flow.visible, 1.0, HIDDEN_WEIGHT)
    return seen if weights is None else seen * np.broadcast_to(weights, seen.shape)


def rigid_path(flow: Flow3D, weights: np.ndarray | None = None) -> RigidPath:
    """Fit one rigid motion per step of a flow, each relative to row 0.

    Args:
        flow: Paths of the object's points.
        weights: [N] or [T, N] extra weights, see `point_weights`.

    Raises:
        DegenerateFitError: A step whose points leave the rotation open.

    Reference:
        Flow to action by rigid fits: 3DFlowAction, arXiv:2506.06199, section 3.3.
    """
    w = point_weights(flow, weights)
    source = flow.points_world[0]
    Ts_world = np.stack([fit_rigid(source, flow.points_world[t], w[t]) for t in range(len(w))])
    residual = np.array([fit_residual(T, source, flow.points_world[t], w[t]) for t, T in enumerate(Ts_world)])
    return RigidPath(Ts_world=Ts_world, residual=residual)
