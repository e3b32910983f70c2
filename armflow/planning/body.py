"""`Body`: an arm as compiled planning kernels see it: chain, limits, and spheres along its capsules."""

from typing import NamedTuple

import numpy as np

from armflow.robot.model import RobotModel

__all__ = ["Body", "make_body"]

LIMIT_MARGIN = 1e-6  # how far inside the position limits plans stay, rad


class Body(NamedTuple):
    """Arrays of one arm, and of what it carries.

    Attributes:
        placements: [D + 1, 4, 4] fixed transforms of the chain, m.
        axes: [D, 3] joint axes.
        q_min: [D] lower limits, rad.
        q_max: [D] upper limits, rad.
        workspace: [2, 3] box that the tool's origin must keep to, m.
        sphere_frame: [S] chain frame that carries each sphere.
        sphere_center: [S, 3] centre in that frame, m.
        sphere_radius: [S] m; zero for points of a carried object.
        capsule_frame: [C] chain frame of each capsule, for self-collision; D + 1 is the base, which stands still.
        capsule_a: [C, 3] one end in that frame, m.
        capsule_b: [C, 3] the other end, m.
        capsule_radius: [C] m.
        pairs: [P, 2] capsules that may hit each other.
    """

    placements: np.ndarray
    axes: np.ndarray
    q_min: np.ndarray
    q_max: np.ndarray
    workspace: np.ndarray
    sphere_frame: np.ndarray
    sphere_center: np.ndarray
    sphere_radius: np.ndarray
    capsule_frame: np.ndarray
    capsule_a: np.ndarray
    capsule_b: np.ndarray
    capsule_radius: np.ndarray
    pairs: np.ndarray


def make_body(arm: RobotModel, carried_points: np.ndarray | None = None, *, opening: float = 1.0) -> Body:
    """Gather an arm's arrays.

    Capsules of the base and of the first link are left out of the spheres: they only turn about the base's axis.

    Args:
        arm: The arm.
        carried_points: [M, 3] points of a held object in the tool frame, m, or None.
        opening: Gripper opening, 0 closed to 1 open.
    """
    capsules = arm.capsules_at(opening)
    frame, center, radius = _spheres(arm.dof, capsules.frame, capsules.a, capsules.b, capsules.radius)
    if carried_points is not None and len(carried_points):
        carried = _thin_carried(np.asarray(carried_points, dtype=float))
        frame = np.concatenate([frame, np.full(len(carried), arm.dof)])
        center = np.concatenate([center, carried])
        radius = np.concatenate([radius, np.zeros(len(carried))])
    return Body(
        placements=np.ascontiguousarray(arm.placements, dtype=float),
        axes=np.ascontiguousarray(arm.axes, dtype=float),
        q_min=arm.q_min + LIMIT_MARGIN,
        q_max=arm.q_max - LIMIT_MARGIN,
        workspace=np.ascontiguousarray(arm.workspace, dtype=float),
        sphere_frame=frame.astype(np.int64),
        sphere_center=np.ascontiguousarray(center),
        sphere_radius=np.ascontiguousarray(radius),
        capsule_frame=np.asarray(capsules.frame, dtype=np.int64),
        capsule_a=np.ascontiguousarray(capsules.a, dtype=float),
        capsule_b=np.ascontiguousarray(capsules.b, dtype=float),
        capsule_radius=np.ascontiguousarray(capsules.radius, dtype=float),
        pairs=np.ascontiguousarray(arm.self_pairs, dtype=np.int64).reshape(-1, 2),
    )


def _spheres(
    dof: int, frame: np.ndarray, a: np.ndarray, b: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spheres along the moving capsules, neighbours one radius apart: frame [S], centre [S, 3], radius [S]."""
    moving = (frame > 0) & (frame <= dof)
    frame, a, b, radius = frame[moving], a[moving], b[moving], radius[moving]
    length = np.sqrt(((b - a) ** 2).sum(1))
    count = np.maximum(2, np.ceil(length / np.maximum(radius, 0.005)).astype(int) + 1)
    owner = np.repeat(np.arange(len(frame)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    share = (place / (count[owner] - 1))[:, None]
    return frame[owner], a[owner] + share * (b - a)[owner], radius[owner]


def _thin_carried(points: np.ndarray, most: int = 48) -> np.ndarray:
    """At most `most` of the points, chosen far from one another (farthest-point sampling)."""
    points = points[np.isfinite(points).all(1)]
    if len(points) <= most:
        return points
    chosen = np.empty(most, dtype=np.int64)
    chosen[0] = int(np.argmax(((points - points.mean(0)) ** 2).sum(1)))
    nearest = np.full(len(points), np.inf)
    for k in range(1, most):
        nearest = np.minimum(nearest, ((points - points[chosen[k - 1]]) ** 2).sum(1))
        chosen[k] = int(np.argmax(nearest))
    return points[chosen]
