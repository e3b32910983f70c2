"""The network of the fast model: messages between anchors, and the field at the grid's nodes."""

from itertools import pairwise

import torch
from torch import nn

from armflow.planning.dynamics import fast_inputs as kernels
from armflow.planning.dynamics.edits import window
from armflow.planning.dynamics.fast_messages import messages
from armflow.planning.dynamics.spline import as_numpy
from armflow.planning.dynamics.types import ToolStep

__all__ = ["FIELD", "TOOL_FEATURES", "AnchorBlock", "mlp", "tool_features", "tool_features_plain", "tool_state"]

TOOL_FEATURES = 16
FIELD = 7  # a velocity, three gains, and how much of the tool's velocity is taken over
SPEED, LENGTH = 5.0, 10.0  # features are of order one: velocities in units of 0.2 m/s, lengths of 0.1 m
EDGE = 8


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def tool_features(
    points: torch.Tensor, rows: torch.Tensor, tool: ToolStep, point: torch.Tensor, radius: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """How points stand to the tool.

    Args:
        points: [M, 3] m, grid frame.
        rows: [M] which tool.
        tool: B tools.
        point: [B, 3] their places in the grid frame, m.
        radius: Of the tool, m.

    Returns:
        Features [M, 16], the tool's rigid velocity [M, 3] there, m/s, and nearness [M] while closed.
    """
    state = tool_state(tool, point).to(points.dtype)
    learning = torch.is_grad_enabled() and (points.requires_grad or state.requires_grad)
    if learning or points.device.type != "cpu":
        return tool_features_plain(points, state[rows.long()], radius)
    results = points.new_empty(len(points), TOOL_FEATURES), torch.empty_like(points), points.new_empty(len(points))
    at, index, seen = as_numpy(points, rows, state)
    features, moved, near = as_numpy(*results)
    kernels.tool_features(at, index, seen, at.dtype.type(radius), features, moved, near)
    return results


def tool_state(tool: ToolStep, point: torch.Tensor) -> torch.Tensor:
    """What is known of tools at points [B, 3] of the grid's frame, in one row [B, 25] each."""
    parts = (point, tool.velocity, tool.closed[:, None], tool.chord.flatten(1), tool.rotation.flatten(1))
    return torch.cat(parts, dim=-1)


def tool_features_plain(
    points: torch.Tensor, state: torch.Tensor, radius: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `tool_features`, differentiable, with what is known of the tool beside each point: [M, 25]."""
    point, velocity, closed, chord, rotation = state.split((3, 3, 1, 9, 9), dim=-1)
    arms = points - point
    moved = velocity + (arms[:, :, None] * chord.view(-1, 3, 3)).sum(dim=1)
    seen = (arms[:, :, None] * rotation.view(-1, 3, 3)).sum(dim=1)  # in the tool's own frame
    near = window(arms, radius) * closed[:, 0]
    squared = arms.square().sum(dim=-1, keepdim=True)
    distance = (squared + 1e-8).sqrt()
    far = LENGTH / (1 + LENGTH * distance)
    reach = torch.exp(-squared / (4 * radius**2))
    parts = (arms * far, seen * far, distance * far, reach, near[:, None])
    return torch.cat((*parts, moved * SPEED, moved * SPEED * reach, closed), dim=-1), moved, near


class AnchorBlock(nn.Module):
    """Messages between neighbours at rest, then attention over all anchors, then each anchor by itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.normal = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.ends = nn.Linear(width, 2 * width)
        self.edge = nn.Linear(EDGE, width, bias=False)
        self.heard = nn.Linear(width, width)
        self.look = nn.Linear(width, 3 * width)
        self.seen = nn.Linear(width, width)
        self.inner = mlp(width, 2 * width, width)

    def forward(self, h: torch.Tensor, edges: torch.Tensor, neighbours: torch.Tensor, K: int) -> torch.Tensor:
        """Mix the tokens of all objects, K each.

        Args:
            h: [B K, W].
            edges: [B K, E, 8] features of the neighbours' offsets.
            neighbours: [B K, E] row of each neighbour.
            K: Tokens of an object.
        """
        if edges.shape[1]:
            h = h + self.heard(messages(self.ends(self.normal[0](h)), edges, self.edge.weight, neighbours))
        q, k, v = (
            self.look(self.normal[1](h)).view(-1, K, 3, self.heads, h.shape[1] // self.heads).permute(2, 0, 3, 1, 4)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        h = h + self.seen(mixed.transpose(1, 2).reshape(h.shape))
        return h + self.inner(self.normal[2](h))
