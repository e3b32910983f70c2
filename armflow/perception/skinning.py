"""Gaussians carried along by particles: linear blend skinning with a rotation at every particle.

A Gaussian hangs on its 16 nearest particles. Each particle turns as the rigid motion that best carries its own
neighbourhood (Umeyama 1991, doi:10.1109/34.88573), and with rest places p_k, moved places p'_k and rotations R_k

    mean' = sum_k w_k (R_k (mean - p_k) + p'_k),    quat' ~ sum_k w_k q_k * quat.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from armflow.perception.gaussians import GaussianError, GaussianObject
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ValueRangeError

__all__ = ["NEIGHBOURS", "Skin", "bind_gaussians", "local_rotations", "move_gaussians"]

NEIGHBOURS = 16
_PRIOR = 1e-6  # share of a neighbourhood's spread with which it holds on to the rotation before
_TOUCH = 1e-9  # distance below which a Gaussian sits on its particle, m


@dataclass(frozen=True, slots=True)
class Skin:
    """Gaussians at rest and the particles that they hang on.

    Attributes:
        gaussians: At rest.
        particles_world: [P, 3] m, at rest.
        rows: [N, K] particles of each Gaussian.
        weights: [N, K] above 0, each row sums to 1.
        around: [P, K] particles of each particle's neighbourhood, itself first.
    """

    gaussians: GaussianObject
    particles_world: np.ndarray
    rows: np.ndarray
    weights: np.ndarray
    around: np.ndarray


def bind_gaussians(gaussians: GaussianObject, particles_world: np.ndarray, neighbours: int = NEIGHBOURS) -> Skin:
    """Hang Gaussians on particles; weights fall with the distance's square.

    Args:
        gaussians: At rest.
        particles_world: [P, 3] m, at rest, same frame; fewer than `neighbours` are all used.
        neighbours: Particles a Gaussian hangs on.

    Raises:
        GaussianError: No particles.
        ShapeError: particles_world is not [P, 3] or not finite.
        ValueRangeError: Fewer than one neighbour.
    """
    check_shape("particles_world", particles_world, "P 3")
    check_finite("particles_world", particles_world)
    if len(particles_world) == 0:
        raise GaussianError("no particles to hang Gaussians on")
    if neighbours < 1:
        raise ValueRangeError("neighbours", neighbours, "at least 1")
    tree, count = cKDTree(particles_world), min(neighbours, len(particles_world))
    nearest = list(range(1, count + 1))  # as a list, so that one neighbour keeps its axis
    distances, rows = tree.query(gaussians.means_world, k=nearest)
    weights = 1.0 / np.maximum(distances, _TOUCH) ** 2
    around = tree.query(particles_world, k=nearest)[1]
    return Skin(gaussians, particles_world, rows, weights / weights.sum(axis=1, keepdims=True), around)


def move_gaussians(skin: Skin, particles_world: np.ndarray, rotations: np.ndarray | None = None) -> GaussianObject:
    """The Gaussians when their particles have moved.

    Args:
        skin: From `bind_gaussians`.
        particles_world: [P, 3] where the particles are now, m.
        rotations: [P, 3, 3] each particle's rotation since rest, from `local_rotations`; computed if left out.

    Raises:
        ShapeError: Other particles than at rest, or an entry that is not finite.
    """
    R = local_rotations(skin, particles_world) if rotations is None else rotations
    check_shape("rotations", R, "P 3 3", {"P": len(particles_world)})
    check_finite("rotations", R)
    rest = skin.gaussians
    offsets = rest.means_world[:, None] - skin.particles_world[skin.rows]  # [N, K, 3]
    carried = np.einsum("nkij,nkj->nki", R[skin.rows], offsets) + particles_world[skin.rows]
    means = np.einsum("nk,nki->ni", skin.weights, carried)
    turn = _blend(Rotation.from_matrix(R).as_quat(scalar_first=True)[skin.rows], skin.weights)
    quats = (turn * Rotation.from_quat(rest.quats, scalar_first=True)).as_quat(scalar_first=True)
    return replace(rest, means_world=means, quats=quats)


def local_rotations(skin: Skin, particles_world: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
    """Rotation of each particle's neighbourhood since rest.

    Where the neighbourhood leaves a turn open, as on a rope of single particles, the turn from `before` is the least.

    Args:
        skin: From `bind_gaussians`.
        particles_world: [P, 3] where the particles are now, m.
        before: [P, 3, 3] the rotations a moment ago; none if left out. Give them along a path that turns far.

    Returns:
        [P, 3, 3] with determinant +1.

    Raises:
        ShapeError: Other particles than at rest, or an entry that is not finite.
    """
    check_shape("particles_world", particles_world, "P 3", {"P": len(skin.particles_world)})
    check_finite("particles_world", particles_world)
    hold = np.broadcast_to(np.eye(3), (len(particles_world), 3, 3)) if before is None else before
    here, there = (p[skin.around] - p[skin.around].mean(axis=1, keepdims=True)
                   for p in (skin.particles_world, particles_world))  # fmt: skip
    H = np.einsum("pki,pkj->pij", there, here)
    spread = np.sqrt((here**2).sum(axis=(1, 2)) * (there**2).sum(axis=(1, 2)))
    U, _, Vt = np.linalg.svd(H + (_PRIOR * spread + 1e-300)[:, None, None] * hold)
    U[:, :, 2] *= np.sign(np.linalg.det(U) * np.linalg.det(Vt))[:, None]
    return U @ Vt


def _blend(quats: np.ndarray, weights: np.ndarray) -> Rotation:
    """Weighted mean [N] of quaternions [N, K, 4], the signs of each row brought to that of its nearest particle."""
    signs = np.where(np.einsum("nki,ni->nk", quats, quats[:, 0]) < 0.0, -1.0, 1.0)
    return Rotation.from_quat(np.einsum("nk,nki->ni", weights * signs, quats), scalar_first=True)
