"""From particles to grid nodes and back with the quadratic B-spline over 27 nodes.

A particle at u (in cells) with f = u - floor(u - 1/2) weighs the three nodes of an axis with

    (3/2 - f)^2 / 2,    3/4 - (f - 1)^2,    (f - 1/2)^2 / 2,

Jiang et al. (2016), "The material point method for simulating continuum materials", eq. 123. The weights sum to 1 and
reproduce linear functions. Compiled on the processor; plain torch, which is also the reference, elsewhere.
"""

from dataclasses import dataclass

import numpy as np
import torch

from armflow.planning.dynamics import spline_kernels as kernels

__all__ = [
    "ActiveNodes",
    "active_nodes",
    "apply",
    "as_numpy",
    "gather",
    "gather_plain",
    "scatter",
    "scatter_plain",
    "spline_weights",
]


@dataclass(frozen=True, slots=True)
class ActiveNodes:
    """The nodes that the particles of B samples touch, numbered through all samples.

    Attributes:
        slots: [B, N, 27] number of each node of each particle.
        nodes: [M, 3] place of each node, cells.
        owners: [M] its sample.
    """

    slots: torch.Tensor
    nodes: torch.Tensor
    owners: torch.Tensor


def active_nodes(u: torch.Tensor, cells: int) -> ActiveNodes:
    """Find the nodes within reach of points u [B, N, 3] (cells), all in 0.5 to cells - 1.5."""
    points = u.detach().cpu().double().numpy() if u.dtype != torch.float32 else u.detach().cpu().numpy()
    B, N, _ = points.shape
    slots = np.empty((B, N, 27), np.int32)
    most = min(B * N * 27, B * cells**3)
    nodes, owners = np.empty((most, 3), np.int32), np.empty(most, np.int32)
    count = kernels.activate(points, cells, slots, nodes, owners)
    parts = (slots, nodes[:count].copy(), owners[:count].copy())
    return ActiveNodes(*(torch.from_numpy(part).to(u.device) for part in parts))


def spline_weights(u: torch.Tensor) -> torch.Tensor:
    """Weights [P, 27] of points u [P, 3] in cells."""
    f = u - torch.floor(u.detach() - 0.5)
    w = torch.stack((0.5 * (1.5 - f).square(), 0.75 - (f - 1).square(), 0.5 * (f - 0.5).square()), dim=-1)
    return torch.einsum("pi,pj,pk->pijk", w[:, 0], w[:, 1], w[:, 2]).flatten(1)


def scatter_plain(u: torch.Tensor, slots: torch.Tensor, values: torch.Tensor, M: int) -> torch.Tensor:
    """As `scatter`, as the formula is written."""
    parts = spline_weights(u)[..., None] * values[:, None]
    return values.new_zeros(M, values.shape[1]).index_add(0, slots.reshape(-1).long(), parts.flatten(0, 1))


def gather_plain(u: torch.Tensor, slots: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """As `gather`, as the formula is written."""
    return (spline_weights(u)[..., None] * values[slots.long()]).sum(dim=1)


def scatter(u: torch.Tensor, slots: torch.Tensor, values: torch.Tensor, M: int) -> torch.Tensor:
    """Spread particles over their nodes.

    Args:
        u: [P, 3] in cells.
        slots: [P, 27] node numbers, as in `ActiveNodes`.
        values: [P, C] to spread.
        M: Number of nodes.

    Returns:
        [M, C] sum over particles of weight times value; differentiable in u and values.
    """
    if u.device.type != "cpu":
        return scatter_plain(u, slots, values, M)
    return apply(_Scatter, u, slots, values, M)


def gather(u: torch.Tensor, slots: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Read nodes at particles.

    Args:
        u: [P, 3] in cells.
        slots: [P, 27] node numbers.
        values: [M, C] at the nodes.

    Returns:
        [P, C] sum over nodes of weight times value; differentiable in u and values.
    """
    if u.device.type != "cpu":
        return gather_plain(u, slots, values)
    return apply(_Gather, u, slots, values)


class _Forgetful:
    """Stands in for the memory of a step that nothing will be learned from."""

    needs_input_grad = (False,)

    def save_for_backward(self, *_: torch.Tensor) -> None:
        """Keep nothing."""


def apply(function: type[torch.autograd.Function], *given: object) -> torch.Tensor:
    """Call `function`, without the price of recording it where gradients are off."""
    if torch.is_grad_enabled():
        return function.apply(*given)  # type: ignore[return-value]
    return function.forward(_Forgetful(), *given)


def as_numpy(*tensors: torch.Tensor) -> list[np.ndarray]:
    """Arrays of tensors on the processor, on the same memory where they are contiguous."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, slots, values, M):
        ctx.save_for_backward(u, slots, values)
        out = values.new_zeros(M, values.shape[1])
        kernels.scatter(*as_numpy(u, slots, values, out))
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        u, slots, values = ctx.saved_tensors
        grad_u, grad_values = u.new_zeros(u.shape), values.new_zeros(values.shape)
        if not ctx.needs_input_grad[0]:
            kernels.gather(*as_numpy(u, slots, grad, grad_values))
            return None, None, grad_values, None
        kernels.scatter_backward(*as_numpy(u, slots, values, grad, grad_u, grad_values))
        return grad_u, None, grad_values, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, slots, values):
        ctx.save_for_backward(u, slots, values)
        out = values.new_zeros(len(u), values.shape[1])
        kernels.gather(*as_numpy(u, slots, values, out))
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        u, slots, values = ctx.saved_tensors
        grad_u, grad_values = u.new_zeros(u.shape), values.new_zeros(values.shape)
        if not ctx.needs_input_grad[0]:
            kernels.scatter(*as_numpy(u, slots, grad, grad_values))
            return None, None, grad_values
        kernels.gather_backward(*as_numpy(u, slots, values, grad, grad_u, grad_values))
        return grad_u, None, grad_values
