"""Which pairs of an arm's capsules can hit each other, found once by sampling; and whether they do."""

import numpy as np
from numba import njit

from armflow.robot.capsules import Capsules, capsule_ends, segment_distance
from armflow.robot.kinematics import chain_frames

__all__ = ["find_self_pairs", "self_distance"]

_SAMPLES = 1500
_NEAR = 0.05  # a pair that never comes this close is not worth checking, m
_ALWAYS = 0.8  # a pair touching in this share of all samples is so by construction


def find_self_pairs(
    placements: np.ndarray,
    axes: np.ndarray,
    capsules: Capsules,
    limits: tuple[np.ndarray, np.ndarray],
    home: np.ndarray,
) -> np.ndarray:
    """Pairs worth checking: on bodies that are no neighbours, apart at home, sometimes close, not nearly always so.

    Args:
        placements: [D + 1, 4, 4] as in `chain_frames`.
        axes: [D, 3] as in `chain_frames`.
        capsules: All capsules of the arm.
        limits: Lowest and highest joint positions [D], rad.
        home: [D] a position that is free of collision, rad.

    Returns:
        [P, 2] indices of capsules, first below second.
    """
    dof = len(home)
    body = np.where(capsules.frame == dof, dof - 1, np.where(capsules.frame > dof, -1, capsules.frame))
    first, second = np.triu_indices(len(capsules), 1)
    apart = np.abs(body[first] - body[second]) > 1
    pairs = np.stack([first[apart], second[apart]], 1)
    rng = np.random.default_rng(0)  # the choice of pairs belongs to the model, so it is always the same
    qs = np.vstack([home, rng.uniform(*limits, size=(_SAMPLES, dof))])
    gaps = np.stack([_pair_gaps(placements, axes, capsules, pairs, q) for q in qs])
    useful = (gaps[0] > 0) & ((gaps < 0).mean(axis=0) < _ALWAYS) & (gaps.min(axis=0) < _NEAR)
    return pairs[useful]


def _pair_gaps(
    placements: np.ndarray, axes: np.ndarray, capsules: Capsules, pairs: np.ndarray, q: np.ndarray
) -> np.ndarray:
    frames = chain_frames(placements, axes, q)
    return self_distance(frames, capsules.frame, capsules.a, capsules.b, capsules.radius, pairs)


@njit(cache=True)
def self_distance(
    frames: np.ndarray, frame: np.ndarray, a: np.ndarray, b: np.ndarray, radius: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """Gap of each pair [P], m, negative where the capsules overlap; arguments as in `Capsules` and `chain_frames`."""
    a_base, b_base = capsule_ends(frames, frame, a, b)
    gaps = np.empty(len(pairs))
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        gaps[p] = segment_distance(a_base[i], b_base[i], a_base[j], b_base[j]) - radius[i] - radius[j]
    return gaps
