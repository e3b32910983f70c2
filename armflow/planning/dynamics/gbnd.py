"""A graph network: particles and tool are nodes, those near each other are joined, messages pass, particles move.

The kind of model that particle-grid dynamics are compared with: Zhang et al. (2024), "Dynamic 3D Gaussian tracking for
graph-based neural dynamics modeling", arXiv:2410.18912, and AdaptiGraph, arXiv:2407.07889; after Li et al. (2019),
arXiv:1810.01566. It moves at most `nodes` particles by messages; the others follow the three nearest at rest.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from armflow.planning.dynamics.fast_kernels import farthest_points
from armflow.planning.dynamics.fast_network import SPEED, mlp
from armflow.planning.dynamics.types import DynamicsModel, Particles, ToolStep
from armflow.robot.errors import ValueRangeError

__all__ = ["GraphConfig", "GraphDynamics"]


@dataclass(frozen=True, slots=True)
class GraphConfig:
    """Sizes of the graph network; parameters and time of training are about those of the fast model.

    Attributes:
        code_size: Length of the category and material code.
        nodes: Particles that take part.
        neighbours: Most edges that end at a particle.
        radius: Of an edge, m.
        tool_radius: Of edges from the tool, m.
        width: Features of a node.
        rounds: Of messages.
    """

    code_size: int = 8
    nodes: int = 100
    neighbours: int = 8
    radius: float = 0.06
    tool_radius: float = 0.06
    width: int = 64
    rounds: int = 4

    def __post_init__(self) -> None:
        for name in ("nodes", "neighbours", "width", "rounds"):
            if getattr(self, name) < 1:
                raise ValueRangeError(name, getattr(self, name), "at least 1")


class _Kept(NamedTuple):
    chosen: torch.Tensor  # [B, K] particles that are nodes
    follow: torch.Tensor  # [B, N, K] shares of the nodes in each particle
    rest: torch.Tensor  # [B, K, 3] m
    code: torch.Tensor
    ground: float


class GraphDynamics(DynamicsModel):
    """Messages between particles that are near, and from the tool to those near it."""

    def __init__(self, config: GraphConfig | None = None) -> None:
        """Build it untrained."""
        super().__init__()
        self.config = config = config or GraphConfig()
        self.code_size, W = config.code_size, config.width
        self.node = mlp(7 + config.code_size, W, W)
        self.edge = mlp(8, W, W)
        self.tool = mlp(11, W, W)
        self.send = nn.ModuleList(nn.Linear(W, 2 * W) for _ in range(config.rounds))
        self.along = nn.ModuleList(nn.Linear(W, W, bias=False) for _ in range(config.rounds))
        self.update = nn.ModuleList(mlp(3 * W, W, W) for _ in range(config.rounds))
        self.out = mlp(W, W, 3)

    def settings(self) -> dict[str, Any]:
        """The fields of the configuration."""
        return asdict(self.config)

    def prepare(self, particles: Particles) -> _Kept:
        """Choose the nodes and who follows them."""
        rest = particles.rest.detach()
        middle = (rest - rest.mean(dim=1, keepdim=True)).cpu().double().numpy()
        chosen = torch.from_numpy(farthest_points(middle, min(self.config.nodes, rest.shape[1]))).to(rest.device)
        seeds = _rows(rest, chosen)
        apart = torch.cdist(rest, seeds)
        near, index = apart.topk(min(3, seeds.shape[1]), dim=-1, largest=False)
        share = 1 / (near + 1e-6)
        follow = torch.zeros_like(apart).scatter(2, index, share / share.sum(dim=-1, keepdim=True))
        return _Kept(chosen, follow, seeds, particles.code.to(rest), particles.ground)

    def widen(self, kept: _Kept, B: int) -> _Kept:
        """Views for each copy."""
        chosen, follow, rest, code = (part.expand(B, *part.shape[1:]) for part in kept[:4])
        return _Kept(chosen, follow, rest, code, kept.ground)

    def settle(self, kept: _Kept, points: torch.Tensor) -> torch.Tensor:
        """Above the table."""
        return torch.cat((points[..., :2], points[..., 2:].clamp(min=kept.ground)), dim=-1)

    def velocity(self, kept: _Kept, points: torch.Tensor, history: torch.Tensor, tool: ToolStep) -> torch.Tensor:
        """Velocities of the nodes after all rounds, and of those that follow."""
        B = len(tool.point)
        kept = self.widen(kept, B)
        x = _rows(points.expand(B, -1, -1), kept.chosen)
        past = _rows(history.transpose(1, 2).flatten(2).expand(B, -1, -1), kept.chosen)
        height = 10 * (x[..., 2:] - kept.ground)
        h = self.node(torch.cat((height, SPEED * past, kept.code[:, None].expand(-1, x.shape[1], -1)), dim=-1))
        near, joined, edges = self._edges(x, past, kept.rest)
        touched = self._touched(x, tool)
        for send, along, update in zip(self.send, self.along, self.update, strict=True):
            own, other = send(h).chunk(2, dim=-1)
            there = _rows(other, near.flatten(1)).view(*near.shape, -1)
            heard = (torch.relu(own[:, :, None] + there + along(edges)) * joined).sum(dim=2) / near.shape[2]
            h = h + update(torch.cat((h, heard, touched), dim=-1))
        return kept.follow @ (past[..., 3:] + self.out(h) / SPEED)

    def _edges(
        self, x: torch.Tensor, past: torch.Tensor, rest: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Neighbours [B, K, E] within the radius, whether they are [B, K, E, 1], and features of the edges."""
        apart = torch.cdist(x.detach(), x.detach())
        distance, near = apart.topk(min(self.config.neighbours + 1, x.shape[1]), dim=-1, largest=False)
        near, joined = near[..., 1:], (distance[..., 1:, None] < self.config.radius).to(x.dtype)
        state = torch.cat((x, past[..., 3:], rest), dim=-1)
        away = _rows(state, near.flatten(1)).view(*near.shape, 9) - state[:, :, None]
        length, before = ((away[..., d : d + 3].square().sum(-1, keepdim=True) + 1e-10).sqrt() for d in (0, 6))
        features = torch.cat((30 * away[..., :3], SPEED * away[..., 3:6], 30 * before, 30 * (length - before)), dim=-1)
        return near, joined, self.edge(features) * joined

    def _touched(self, x: torch.Tensor, tool: ToolStep) -> torch.Tensor:
        """Message [B, K, W] of the tool to each node within its radius."""
        B, K, _ = x.shape
        arms = x - tool.point[:, None]
        distance = (arms.square().sum(dim=-1, keepdim=True) + 1e-10).sqrt()
        closed = tool.closed[:, None, None].expand(B, K, 1)
        features = torch.cat(
            (30 * arms, 30 * arms @ tool.rotation, SPEED * tool.velocity_at(x), 30 * distance, closed), -1
        )
        return self.tool(features) * (distance < self.config.tool_radius).to(x.dtype)


def _rows(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows [B, K, C] of values [B, N, C] at index [B, K]."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))
