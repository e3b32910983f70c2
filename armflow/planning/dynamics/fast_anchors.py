"""Anchors: a few places of an object's rest shape that stand for all of its particles during a rollout.

Which anchors a particle belongs to is fixed by the rest shape, so pooling and reading are two constant sparse matrices,
and the affine motion of the rest shape that fits the particles best about each anchor,

    x ~ x_k + F_k (r - r_k),    F_k = (sum_i w_i x_i (r_i - r_k)^T) (sum_i w_i (r_i - r_k)(r_i - r_k)^T + eps I)^-1,

is linear in the particles. How far a particle is from it says how its neighbourhood differs from rest: the goal
positions of Mueller et al. (2005), "Meshless deformations based on shape matching", doi:10.1145/1073204.1073216.
"""

from dataclasses import dataclass

import torch

from armflow.planning.dynamics import fast_kernels as kernels
from armflow.planning.dynamics.spline import apply, as_numpy

__all__ = ["Anchors", "make_anchors", "pool", "read"]


@dataclass(frozen=True, slots=True)
class Anchors:
    """K anchors of B objects of N particles, numbered through all objects: P = B N, R = B K.

    Attributes:
        members: [P, 4] anchors of each particle.
        weights: [P, 4] of the particle in the mean of each of its anchors.
        shares: [P, 4] of each anchor in the particle; they sum to 1.
        parts: [P, 16] rows 4 k + (0, 1, 2, 3) of x_k and the columns of F_k.
        lift: [P, 16] from particles to these rows.
        drop: [P, 16] back, to where rest wants the particle.
        neighbours: [B, K, E] the nearest anchors at rest, numbered within the object.
        lengths: [B, K, E] how far they are at rest, m.
    """

    members: torch.Tensor
    weights: torch.Tensor
    shares: torch.Tensor
    parts: torch.Tensor
    lift: torch.Tensor
    drop: torch.Tensor
    neighbours: torch.Tensor
    lengths: torch.Tensor

    def repeat(self, B: int) -> "Anchors":
        """The anchors of one object for B copies of it."""
        P, (_, K, E) = len(self.members), self.neighbours.shape
        samples = torch.arange(B, device=self.members.device)[:, None, None]
        return Anchors(
            (self.members + K * samples).view(B * P, -1),
            self.weights.repeat(B, 1),
            self.shares.repeat(B, 1),
            (self.parts + 4 * K * samples).view(B * P, -1),
            self.lift.repeat(B, 1),
            self.drop.repeat(B, 1),
            self.neighbours.expand(B, K, E),
            self.lengths.expand(B, K, E),
        )

    def strain(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Anchors [B, K, 3] of points [B, N, 3], and how far each point [B, N, 3] is from where rest wants it, m."""
        B, K = self.neighbours.shape[:2]
        pooled = pool(self.parts, self.lift, points.flatten(0, 1), 4 * B * K)
        return pooled.view(B, K, 4, 3)[:, :, 0], read(self.parts, self.drop, pooled).view(points.shape) - points

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean [B, K, C] of values [B, N, C] about each anchor."""
        B, K = self.neighbours.shape[:2]
        return pool(self.members, self.weights, values.flatten(0, 1), B * K).view(B, K, -1)

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values [P, C] at particles of values [R, C] at anchors."""
        return read(self.members, self.shares, values)


def make_anchors(rest: torch.Tensor, count: int, neighbours: int) -> Anchors:
    """Choose at most `count` anchors of rest shapes [B, N, 3] (m) and compute what stays."""
    points = rest.detach().cpu().double()
    points = (points - points.mean(dim=1, keepdim=True)).numpy()
    K = min(count, points.shape[1])
    tables, places = kernels.build(points, kernels.farthest_points(points, K), min(4, K))
    members, weights, shares, parts, lift, drop, middle = (torch.from_numpy(part) for part in (*tables, places))
    apart = torch.cdist(middle, middle)
    lengths, near = apart.topk(min(neighbours + 1, K), dim=-1, largest=False)
    reals = [part.to(rest) for part in (weights, shares, lift, drop, lengths[..., 1:])]
    whole = [part.to(rest.device) for part in (members, parts, near[..., 1:])]
    return Anchors(whole[0], reals[0], reals[1], whole[1], reals[2], reals[3], whole[2], reals[4])


def pool(index: torch.Tensor, weights: torch.Tensor, values: torch.Tensor, R: int) -> torch.Tensor:
    """Rows [R, C] that sum weight times values [P, C] over the entries [P, E] that name them; differentiable."""
    if values.device.type != "cpu":
        parts = weights[..., None] * values[:, None]
        return values.new_zeros(R, values.shape[1]).index_add(0, index.reshape(-1), parts.flatten(0, 1))
    return apply(_Pool, index, weights, values, R)


def read(index: torch.Tensor, weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Sums [P, C] of weight [P, E] times the rows of values [R, C] that the index [P, E] names; differentiable."""
    if values.device.type != "cpu":
        return (weights[..., None] * values[index.long()]).sum(dim=1)
    return apply(_Read, index, weights, values)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, index, weights, values, R):
        ctx.save_for_backward(index, weights)
        out = values.new_zeros(R, values.shape[1])
        kernels.pool(*as_numpy(index, weights, values, out))
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        index, weights = ctx.saved_tensors
        out = grad.new_zeros(len(index), grad.shape[1])
        kernels.read(*as_numpy(index, weights, grad, out))
        return None, None, out, None


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx, index, weights, values):
        ctx.save_for_backward(index, weights)
        ctx.rows = len(values)
        out = values.new_zeros(len(index), values.shape[1])
        kernels.read(*as_numpy(index, weights, values, out))
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        index, weights = ctx.saved_tensors
        out = grad.new_zeros(ctx.rows, grad.shape[1])
        kernels.pool(*as_numpy(index, weights, grad, out))
        return None, None, out
