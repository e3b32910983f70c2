"""What a predicted motion costs: distance of the particles to the goal cloud, and what the hand may not do."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from armflow.perception.cloud import farthest_points
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ShapeError

__all__ = ["CostConfig", "Objective", "Reach", "assign", "chamfer"]

Reach = Callable[[np.ndarray], np.ndarray]
"""How far (m) tool positions [B, K, 3] along paths are from what the arm can do, [B]."""


@dataclass(frozen=True, slots=True)
class CostConfig:
    """Weights of the parts of the cost; all parts are lengths, m.

    Attributes:
        running: Weight of the mean Chamfer distance on the way.
        earth: Weight of the earth mover's distance at the end: it tells which end of an object belongs where, which
            the Chamfer distance, looking at nearest neighbours only, cannot.
        effort: Weight of the hand's path length.
        height: Weight of the hand's height above its contact at the end of the path, where it may let go.
        reach: Weight of the distance from what the arm can do.
        points: Particles and goal points compared by the Chamfer distance.
        matched: Particles and goal points matched by the earth mover's distance.
        stride: Steps between those that the Chamfer distance looks at; the last one always counts.
    """

    running: float = 0.3
    earth: float = 1.0
    effort: float = 0.01
    height: float = 0.1
    reach: float = 10.0
    points: int = 150
    matched: int = 48
    stride: int = 3


def chamfer(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Symmetric Chamfer distance [...], m, of clouds [..., N, 3] and [P, 3] or [..., P, 3].

    (mean_i min_j |a_i - b_j| + mean_j min_i |a_i - b_j|) / 2.
    """
    distance = torch.cdist(first, second.expand(*first.shape[:-2], *second.shape[-2:]))
    return 0.5 * (distance.amin(-1).mean(-1) + distance.amin(-2).mean(-1))


def assign(points: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Index of the goal point [P, 3] that each of points [N, 3] belongs to, N <= P, at the least total distance."""
    rows, columns = linear_sum_assignment(cdist(points, goal))
    matched = np.empty(len(points), int)
    matched[rows] = columns
    return matched


class Objective:
    """The cost of predicted motions towards one goal.

    Attributes:
        config: Weights.
        goal: [P, 3] the goal cloud, m.
        shown: Particles that the Chamfer distance looks at.
        matched: Particles that the earth mover's distance looks at.
    """

    def __init__(self, points: np.ndarray, goal: np.ndarray, config: CostConfig | None = None) -> None:
        """Choose what is compared.

        Args:
            points: [N, 3] the object's particles now, m.
            goal: [P, 3] where its surface shall be, m.
            config: Weights.

        Raises:
            ShapeError: An empty cloud, or numbers that are not finite.
        """
        for name, cloud in (("points", points), ("goal_points", goal)):
            check_shape(name, cloud, "N 3")
            check_finite(name, cloud)
            if len(cloud) < 2:
                raise ShapeError(name, "an array [N, 3] with N >= 2", cloud.shape)
        self.config = config or CostConfig()
        self.goal = goal[farthest_points(goal, self.config.points)]
        self.shown = farthest_points(points, self.config.points)
        count = min(self.config.matched, len(points), len(goal))
        self.matched = farthest_points(points, count)
        self.matched_goal = goal[farthest_points(goal, count)]
        self._goal = torch.as_tensor(self.goal, dtype=torch.float32)

    def distance(self, points: np.ndarray) -> float:
        """Chamfer distance of particles [N, 3] to the goal, m."""
        return float(chamfer(torch.as_tensor(points[self.shown], dtype=torch.float32), self._goal))

    def still(self, points: np.ndarray) -> float:
        """What it costs to leave the particles [N, 3] where they are, m."""
        still = torch.as_tensor(points, dtype=torch.float32)[None, None]
        return float(self.shape(still)[0])

    def shape(self, motion: torch.Tensor) -> np.ndarray:
        """Cost [B] of predicted particles [B, T, N, 3] alone, m."""
        config, last = self.config, motion.shape[1] - 1
        steps = sorted({*range(config.stride - 1, last, config.stride), last})
        near = chamfer(motion[:, steps][:, :, self.shown], self._goal.to(motion))
        costs = (near[:, -1] + config.running * near.mean(1)).double().cpu().numpy()
        if config.earth:
            ends = motion[:, -1, self.matched].double().cpu().numpy()
            costs = costs + config.earth * np.array([self._earth(end) for end in ends])
        return costs

    def _earth(self, end: np.ndarray) -> float:
        """Mean distance of particles [M, 3] to goal points matched one to one, m."""
        if not np.isfinite(end).all():
            return np.inf
        distance = cdist(end, self.matched_goal)
        return float(distance[linear_sum_assignment(distance)].mean())

    def hand(self, paths: np.ndarray, reach: Reach | None = None) -> np.ndarray:
        """Cost [B] of hand paths [B, T + 1, 3] m alone, m."""
        config = self.config
        length = np.linalg.norm(np.diff(paths, axis=1), axis=-1).sum(-1)
        height = np.maximum(paths[:, -1, 2] - paths[:, 0, 2], 0.0)
        cost = config.effort * length + config.height * height
        return cost if reach is None else cost + config.reach * reach(paths)
