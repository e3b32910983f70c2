"""The published model, written plainly: particle-grid neural dynamics of Zhang et al. (2025), arXiv:2506.15680.

A PointNet encodes each particle with its history (section III-A), a ball query averages the codes about each grid node,
a small network of the node's place in sines and cosines and of that average is the velocity field (III-B), contact
edits it (III-C), and a quadratic spline over 27 nodes carries the particles. As published, the nodes are those that any
sample of the batch touches, and the tool is known from the edits alone. The code of category and material is ours.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from armflow.planning.dynamics.edits import carry, inside, keep_above
from armflow.planning.dynamics.grid import GridConfig, Placement, place_grid
from armflow.planning.dynamics.reference_network import PointEncoder, waves
from armflow.planning.dynamics.spline import active_nodes, gather_plain
from armflow.planning.dynamics.types import DT, DynamicsModel, Particles, ToolStep
from armflow.robot.errors import ValueRangeError

__all__ = ["ReferenceConfig", "ReferenceDynamics"]


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """Sizes, with the published values.

    Attributes:
        code_size: Length of the category and material code.
        features: Of a particle.
        hidden: Width of the field's network.
        waves: Octaves of the node's place, from 1 rad/m.
        ball: Radius of the average about a node, m.
        cells, spacing: The grid; spacing in m.
        tool_radius: Within which a closed tool carries everything, m.
        friction: At the table.
    """

    code_size: int = 8
    features: int = 64
    hidden: int = 64
    waves: int = 5
    ball: float = 0.2
    cells: int = 50
    spacing: float = 0.02
    tool_radius: float = 0.04
    friction: float = 0.0

    def __post_init__(self) -> None:
        for name in ("ball", "tool_radius"):
            if not getattr(self, name) > 0:
                raise ValueRangeError(name, getattr(self, name), "above 0 m")


class _Kept(NamedTuple):
    grid: Placement
    code: torch.Tensor


class ReferenceDynamics(DynamicsModel):
    """The published model."""

    def __init__(self, config: ReferenceConfig | None = None) -> None:
        """Build it untrained."""
        super().__init__()
        self.config = config = config or ReferenceConfig()
        self.code_size = config.code_size
        self.grid = GridConfig(config.cells, config.spacing)
        self.encoder = PointEncoder(12 + config.code_size, config.features)
        place, hidden = 3 + 6 * config.waves, config.hidden
        self.field = nn.Sequential(
            nn.Linear(place + config.features, hidden),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden // 2),
            nn.ReLU(),
            nn.Linear(hidden // 2, 3),
        )

    def settings(self) -> dict[str, Any]:
        """The fields of the configuration."""
        return asdict(self.config)

    def prepare(self, particles: Particles) -> _Kept:
        """Place the grid."""
        return _Kept(place_grid(particles, self.grid), particles.code)

    def settle(self, kept: _Kept, points: torch.Tensor) -> torch.Tensor:
        """Above the table and within the grid."""
        return kept.grid.clamp(points - kept.grid.origin) + kept.grid.origin

    def velocity(self, kept: _Kept, points: torch.Tensor, history: torch.Tensor, tool: ToolStep) -> torch.Tensor:
        """The field after contact, read at the particles; particles within a closed tool take its own velocity."""
        local = kept.grid.clamp(points - kept.grid.origin)
        u = kept.grid.cells(local)
        A, N, _ = u.shape
        union = active_nodes(u.reshape(1, A * N, 3), self.config.cells)
        places = kept.grid.place(union.nodes.to(u.dtype))
        field = self._field(local, history, kept.code, places)  # [A, M, 3]
        B, M = len(tool.point), len(places)
        edited = self._contact(field.expand(B, -1, -1), places.expand(B, -1, -1), kept, tool)
        slots = union.slots.view(A, N, 27) + M * torch.arange(B, device=u.device)[:, None, None]
        read = gather_plain(u.expand(B, -1, -1).flatten(0, 1), slots.flatten(0, 1), edited.flatten(0, 1)).view(B, N, 3)
        return self._carried(read, local.expand(B, -1, -1), kept, tool)

    def _field(
        self, local: torch.Tensor, history: torch.Tensor, code: torch.Tensor, places: torch.Tensor
    ) -> torch.Tensor:
        """Velocity [A, M, 3] at nodes, before contact."""
        A, N, _ = local.shape
        middle = local.mean(dim=1, keepdim=True)
        centred = local - middle
        past, last = (2.0 * history).unbind(1)
        own = torch.cat((centred, centred - DT * history[:, -1], last, past), dim=-1)
        own = torch.cat((own, code.to(own)[:, None].expand(A, N, -1)), dim=-1)
        features = self.encoder(own)  # [A, N, F]
        relative = places - middle.detach()  # [A, M, 3]
        near = (torch.cdist(relative, centred.detach()) < self.config.ball).to(local.dtype)
        context = near @ features / (near.sum(dim=-1, keepdim=True) + 1e-5)
        return self.field(torch.cat((waves(relative, self.config.waves), context), dim=-1))

    def _contact(self, velocity: torch.Tensor, places: torch.Tensor, kept: _Kept, tool: ToolStep) -> torch.Tensor:
        edited = keep_above(velocity.flatten(0, 1), places[..., 2].flatten(), DT, self.config.friction)
        return self._carried(edited.view(velocity.shape), places, kept, tool)

    def _carried(self, velocity: torch.Tensor, points: torch.Tensor, kept: _Kept, tool: ToolStep) -> torch.Tensor:
        B, M, _ = points.shape
        world = points + kept.grid.origin
        arms = (world - tool.point[:, None]).flatten(0, 1)
        held = inside(arms, tool.closed[:, None].expand(B, M).flatten(), self.config.tool_radius)
        return carry(velocity.flatten(0, 1), tool.velocity_at(world).flatten(0, 1), held).view(B, M, 3)
