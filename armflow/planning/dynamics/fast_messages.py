"""Messages between anchors in one compiled pass, forward and backward.

    m_i = 1/E sum_e relu(a_i + b_j(i,e) + W f_ie)

over the E neighbours j of anchor i, with features f of the edge: the first layer of a network over (i, j, f) comes
apart into a term of each, so the only work per edge is that of its eight features.
"""

import torch
from numba import njit

from armflow.planning.dynamics.spline import apply, as_numpy

__all__ = ["messages", "messages_plain"]


def messages(ends: torch.Tensor, edges: torch.Tensor, weight: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
    """Mean message to each anchor; differentiable.

    Args:
        ends: [R, 2 W] a and b of each anchor.
        edges: [R, E, F] f.
        weight: [W, F].
        neighbours: [R, E] rows of the neighbours.

    Returns:
        [R, W].
    """
    if ends.device.type != "cpu":
        return messages_plain(ends, edges, weight, neighbours)
    return apply(_Messages, ends, edges, weight.mT, neighbours)


def messages_plain(
    ends: torch.Tensor, edges: torch.Tensor, weight: torch.Tensor, neighbours: torch.Tensor
) -> torch.Tensor:
    """As `messages`, as the formula is written."""
    own, other = ends.chunk(2, dim=-1)
    return torch.relu(own[:, None] + other[neighbours] + edges @ weight.mT).mean(dim=1)


class _Messages(torch.autograd.Function):
    @staticmethod
    def forward(ctx, ends, edges, weight, neighbours):
        ctx.save_for_backward(ends, edges, weight, neighbours)
        out = ends.new_zeros(len(ends), weight.shape[1])
        _forward(*as_numpy(ends, edges, weight, neighbours, out))
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        ends, edges, weight, neighbours = ctx.saved_tensors
        grads = ends.new_zeros(ends.shape), edges.new_zeros(edges.shape), weight.new_zeros(weight.shape)
        _backward(tuple(as_numpy(ends, edges, weight, neighbours)), *as_numpy(grad / edges.shape[1], *grads))
        return *grads, None


@njit(cache=True, fastmath=True, error_model="numpy")
def _active(i, j, ends, edge, weight, out):
    """Sum [W] of one edge before its relu."""
    W = weight.shape[1]
    for w in range(W):
        out[w] = ends[i, w] + ends[j, W + w]
    for f in range(weight.shape[0]):
        for w in range(W):
            out[w] += edge[f] * weight[f, w]


@njit(cache=True, fastmath=True, error_model="numpy")
def _forward(ends, edges, weight, neighbours, out):
    zero, share = ends.dtype.type(0), ends.dtype.type(1) / ends.dtype.type(edges.shape[1])
    message = out[0].copy()
    for i in range(edges.shape[0]):
        for e in range(edges.shape[1]):
            _active(i, neighbours[i, e], ends, edges[i, e], weight, message)
            for w in range(weight.shape[1]):
                out[i, w] += share * max(message[w], zero)


@njit(cache=True, fastmath=True, error_model="numpy")
def _backward(given, grad, grad_ends, grad_edges, grad_weight):
    ends, edges, weight, neighbours = given
    zero, W = ends.dtype.type(0), weight.shape[1]
    message = grad[0].copy()
    for i in range(edges.shape[0]):
        for e in range(edges.shape[1]):
            j = neighbours[i, e]
            _active(i, j, ends, edges[i, e], weight, message)
            for w in range(W):
                message[w] = grad[i, w] if message[w] > zero else zero
                grad_ends[i, w] += message[w]
            for w in range(W):
                grad_ends[j, W + w] += message[w]
            for f in range(weight.shape[0]):
                dot, feature = zero, edges[i, e, f]
                for w in range(W):
                    grad_weight[f, w] += feature * message[w]
                    dot += weight[f, w] * message[w]
                grad_edges[i, e, f] = dot
