"""Anchors: a few places of an object's rest shape that stand for all of its particles during a rollout.

Which particles belong to which anchor is fixed by the rest shape, so pooling and reading are two constant matrices, and
the affine motion of the rest shape that fits the particles best about each anchor,

    x ~ x_k + F_k (r - r_k),    F_k = (sum_i w_i x_i (r_i - r_k)^T) (sum_i w_i (r_i - r_k)(r_i - r_k)^T + eps I)^-1,

is linear in the particles. How far a particle is from it says how its neighbourhood differs from rest: the goal
positions of Mueller et al. (2005), "Meshless deformations based on shape matching", doi:10.1145/1073204.1073216.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit

__all__ = ["Anchors", "farthest_points", "make_anchors"]

THIN = 1.5e-3  # m; what is thinner than this has no deformation across


@dataclass(frozen=True, slots=True)
class Anchors:
    """K anchors of B objects of N particles.

    Attributes:
        pool: [B, 4 K, N] rows k: mean position x_k; rows K + 3 k + d: column d of F_k.
        read: [B, N, 4 K] back to particles; its first K columns, `share`, sum to 1.
        neighbours: [B, K, E] the nearest anchors at rest.
        lengths: [B, K, E] how far they are at rest, m.
    """

    pool: torch.Tensor
    read: torch.Tensor
    neighbours: torch.Tensor
    lengths: torch.Tensor

    @property
    def count(self) -> int:
        """K."""
        return self.neighbours.shape[1]

    def strain(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Anchors [B, K, 3] of points [B, N, 3], and how far each point [B, N, 3] is from where rest wants it, m."""
        pooled = self.pool @ points
        return pooled[:, : self.count], self.read @ pooled - points

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean [B, K, C] of values [B, N, C] about each anchor."""
        return self.pool[:, : self.count] @ values

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values [B, N, C] at particles of values [B', K, C] at anchors, B' = B or any where B = 1."""
        return torch.matmul(self.read[:, :, : self.count], values)


def make_anchors(rest: torch.Tensor, count: int, neighbours: int) -> Anchors:
    """Choose anchors of rest shapes [B, N, 3] (m) and compute what stays."""
    rest = rest.detach() - rest.detach().mean(dim=1, keepdim=True)
    B, N, _ = rest.shape
    chosen = torch.from_numpy(farthest_points(rest.cpu().double().numpy(), min(count, N))).to(rest.device)
    seeds = rest.gather(1, chosen[..., None].expand(-1, -1, 3))
    share = _shares(rest, seeds)  # [B, N, K]
    weights = (share / share.sum(dim=1, keepdim=True).clamp(min=1e-12)).mT  # [B, K, N]
    middle = weights @ rest
    arms = rest[:, None] - middle[:, :, None]  # [B, K, N, 3]
    weighted = weights[..., None] * arms
    moment = weighted.mT @ arms + THIN**2 * torch.eye(3, dtype=rest.dtype, device=rest.device)
    shapes = torch.linalg.inv(moment) @ weighted.mT  # [B, K, 3, N]
    K = seeds.shape[1]
    bends = (share.mT[..., None] * arms).permute(0, 2, 1, 3).reshape(B, N, 3 * K)
    apart = torch.cdist(middle, middle)
    lengths, near = apart.topk(min(neighbours + 1, K), dim=-1, largest=False)
    pool = torch.cat((weights, shapes.reshape(B, 3 * K, N)), dim=1)
    return Anchors(pool, torch.cat((share, bends), dim=2), near[..., 1:], lengths[..., 1:])


def _shares(rest: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Share [B, N, K] of each anchor in each particle: a softmax of squared distance over the anchors' spacing."""
    squared = torch.cdist(rest, seeds).square()
    between = torch.cdist(seeds, seeds) + 1e9 * torch.eye(seeds.shape[1], dtype=rest.dtype, device=rest.device)
    spacing = between.amin(dim=-1).mean(dim=-1).clamp(min=1e-3, max=1e6)[:, None, None]
    return torch.softmax(-squared / (0.7 * spacing).square(), dim=-1)


@njit(cache=True)
def farthest_points(points: np.ndarray, count: int) -> np.ndarray:
    """Indices [B, K] of points [B, N, 3]: the farthest from the centroid, then always the farthest from those chosen."""
    B, N, _ = points.shape
    chosen = np.empty((B, count), np.int64)
    for b in range(B):
        x, y, z = points[b, :, 0].mean(), points[b, :, 1].mean(), points[b, :, 2].mean()
        near = np.full(N, np.inf)
        last, far = 0, -1.0
        for i in range(N):
            d = (points[b, i, 0] - x) ** 2 + (points[b, i, 1] - y) ** 2 + (points[b, i, 2] - z) ** 2
            if d > far:
                last, far = i, d
        for k in range(count):
            chosen[b, k] = last
            best, far = last, -1.0
            for i in range(N):
                d = (
                    (points[b, i, 0] - points[b, last, 0]) ** 2
                    + (points[b, i, 1] - points[b, last, 1]) ** 2
                    + (points[b, i, 2] - points[b, last, 2]) ** 2
                )
                near[i] = min(near[i], d)
                if near[i] > far:
                    best, far = i, near[i]
            last = best
    return chosen
