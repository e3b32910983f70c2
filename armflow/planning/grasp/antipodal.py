"""Antipodal grasps: pairs of surface points that two fingers can squeeze without slipping."""

import numpy as np
from scipy.spatial import cKDTree

from armflow.perception.detection import Detection
from armflow.planning.grasp.hand import (
    WIDTH_MARGIN,
    Grasp,
    GraspArm,
    clear_grasps,
    make_grasp,
    opening_for,
    tool_pose,
)
from armflow.planning.scene import Scene
from armflow.planning.solid import solid_of, thin

__all__ = ["antipodal_grasps", "estimate_normals", "surface_of"]

_FRICTION = 0.5
_STARTS = 60  # contacts tried
_SPACING = 0.006  # m between surface samples
_TILTS = np.deg2rad([0.0, 20.0, -20.0, 45.0, -45.0, 70.0, -70.0, 90.0, -90.0])


def antipodal_grasps(
    detection: Detection, scene: Scene, arm: GraspArm, *, rng: np.random.Generator, count: int = 100
) -> list[Grasp]:
    """Sample grasps from an object's surface, best first.

    A line between two contacts may be squeezed when it lies inside both friction cones: its angle to each inward
    normal is at most atan(mu) (Nguyen 1988, doi:10.1177/027836498800700301). Each line is approached from straight
    above, as far as it allows, and tilted about itself up to horizontal.

    Args:
        detection: The object.
        scene: What the hand must not hit.
        arm: The arm, for its gripper.
        rng: Draws the contacts and the lines through them.
        count: Upper bound on the answer.

    Returns:
        At most `count` grasps that hit nothing at full opening; none for an object that is too wide.
    """
    points, normals = surface_of(detection, scene)
    firsts, seconds = _sample_pairs(points, normals, arm.gripper.max_width - WIDTH_MARGIN, rng)
    center, T_world_object = _center_of_mass(detection), detection.T_world_object.as_matrix()
    grasps = []
    for i, j in zip(firsts, seconds, strict=True):
        line = points[j] - points[i]
        width = float(np.linalg.norm(line))
        closing, middle = line / width, (points[i] + points[j]) / 2
        alignment = float(min(-normals[i] @ closing, normals[j] @ closing))
        centredness = float(np.exp(-np.linalg.norm(middle - center) / 0.03))
        for approach in _approaches(closing, scene.table.normal):
            score = 0.5 * alignment + 0.3 * centredness - 0.2 * float(approach @ scene.table.normal)
            T = tool_pose(middle, approach, closing)
            grasps.append(make_grasp(T_world_object, T, width, opening_for(arm.gripper, width), "antipodal", score))
    grasps.sort(key=lambda grasp: -grasp.score)
    return clear_grasps(grasps[: 4 * count], detection, scene, arm.gripper)[:count]


def surface_of(detection: Detection, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Surface points [N, 3] and outward unit normals [N, 3] in the world: seen ones and, where known, the solid's."""
    observed = thin(detection.state.points_world, _SPACING)
    normals = estimate_normals(detection.state.points_world, observed, scene.frame.T_world_camera.translation)
    solid = solid_of(detection)
    if solid is None:
        return observed, normals
    # Where there is a solid, its faces are less noisy than the seen points that it was fitted to.
    points_object, normals_object = solid.surface(_SPACING)
    T_world_object = detection.T_world_object
    hidden_points, hidden_normals = T_world_object.apply(points_object), T_world_object.rotation.apply(normals_object)
    far = cKDTree(hidden_points).query(observed)[0] > _SPACING
    return np.concatenate([hidden_points, observed[far]]), np.concatenate([hidden_normals, normals[far]])


def estimate_normals(cloud: np.ndarray, at: np.ndarray, camera_position: np.ndarray) -> np.ndarray:
    """Normals [N, 3] at points [N, 3]: the direction of least spread of 16 neighbours, turned to the camera.

    Args:
        cloud: [M, 3] surface points, m.
        at: [N, 3] where normals are wanted, m.
        camera_position: [3] m.

    Reference:
        Hoppe et al. (1992), doi:10.1145/133994.134011, section 3.2.
    """
    near = cloud[cKDTree(cloud).query(at, k=min(16, len(cloud)))[1].reshape(len(at), -1)]
    centred = near - near.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred))
    normals = vectors[:, :, 0]
    towards = np.einsum("ni,ni->n", normals, camera_position - at)
    return np.where(towards[:, None] < 0, -normals, normals)


def _sample_pairs(
    points: np.ndarray, normals: np.ndarray, max_width: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Indices [P], [P] of contacts whose connecting line lies in both friction cones."""
    starts = rng.permutation(len(points))[:_STARTS]
    cone = 1 / np.sqrt(1 + _FRICTION**2)
    lines = points[None] - points[starts][:, None]  # [S, N, 3]
    widths = np.linalg.norm(lines, axis=2)
    with_start = -np.einsum("snk,sk->sn", lines, normals[starts])
    with_end = np.einsum("snk,nk->sn", lines, normals)
    fits = (widths > 0.006) & (widths < max_width) & (np.minimum(with_start, with_end) >= cone * widths)
    # Of the many partners of one contact, take the best aligned.
    quality = np.where(fits, np.minimum(with_start, with_end) / np.maximum(widths, 1e-9), -1.0)
    partners = quality.argmax(axis=1)
    found = quality.max(axis=1) > 0
    return starts[found], partners[found]


def _approaches(closing: np.ndarray, up: np.ndarray) -> list[np.ndarray]:
    """Approach directions at right angles to the closing direction, from downward to horizontal."""
    down = -up + (up @ closing) * closing
    length = np.linalg.norm(down)
    if length < 0.3:
        return []
    down = down / length
    side = np.cross(closing, down)
    return [np.cos(tilt) * down + np.sin(tilt) * side for tilt in _TILTS]


def _center_of_mass(detection: Detection) -> np.ndarray:
    """Centre [3] of the solid, else of the seen points, m, world."""
    solid = solid_of(detection)
    if solid is None:
        return detection.state.points_world.mean(axis=0)
    return detection.T_world_object.apply(solid.center)
