"""How far predicted particles are from the true ones, step by step."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from armflow.planning.dynamics.data import Windows
from armflow.planning.dynamics.types import DynamicsModel, Particles, ToolPath

__all__ = ["METRICS", "chamfer", "earth_movers", "point_error", "score_windows"]

MOST_MATCHED = 128  # particles of the earth mover's distance; matching costs their cube


def point_error(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of each particle [N, 3] from where it really is, m."""
    return float(np.linalg.norm(found - truth, axis=-1).mean())


def chamfer(found: np.ndarray, truth: np.ndarray) -> float:
    """Half the sum of the mean distances to the nearest point of the other cloud [N, 3] and [M, 3], both ways, m."""
    there, back = cKDTree(truth).query(found)[0], cKDTree(found).query(truth)[0]
    return 0.5 * float(there.mean() + back.mean())


def earth_movers(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance [N, 3] of the best one-to-one matching, m, exact; of the first 128 particles.

    Reference:
        Fan et al. (2017), arXiv:1612.00603, section 3.2; matching by Crouse (2016), doi:10.1109/TAES.2016.140952.
    """
    costs = cdist(found[:MOST_MATCHED], truth[:MOST_MATCHED])
    rows, columns = linear_sum_assignment(costs)
    return float(costs[rows, columns].mean())


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "point": point_error,
    "chamfer": chamfer,
    "emd": earth_movers,
}
"""Name -> distance in m of two clouds; "point" and "emd" need clouds of one size."""


@torch.no_grad()
def score_windows(
    model: DynamicsModel, windows: Windows, *, batch: int = 16, start: Particles | None = None
) -> dict[str, np.ndarray]:
    """Predict every window and measure.

    Args:
        model: In evaluation mode.
        windows: B windows of T steps.
        batch: Windows that are predicted together.
        start: Other particles, or codes, to begin from; by default the windows' own.

    Returns:
        Metric -> [B, T] m.
    """
    particles = start or windows.particles
    found = np.concatenate(
        [
            model.rollout(_rows(particles, rows), _tools(windows, rows)).numpy()
            for rows in (slice(first, first + batch) for first in range(0, len(windows.truth), batch))
        ]
    ).astype(np.float64)
    truth = windows.truth.numpy().astype(np.float64)
    B, T = truth.shape[:2]
    return {
        name: np.array([[metric(found[b, t], truth[b, t]) for t in range(T)] for b in range(B)])
        for name, metric in METRICS.items()
    }


def _rows(particles: Particles, rows: slice) -> Particles:
    p = particles
    return Particles(p.points[rows], p.velocities[rows], p.rest[rows], p.code[rows], p.ground)


def _tools(windows: Windows, rows: slice) -> ToolPath:
    tools = windows.tools
    return ToolPath(tools.points[rows], tools.rotations[rows], tools.closed[rows])
