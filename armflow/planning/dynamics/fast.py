"""The fast model: a neural velocity field on the few grid nodes that an object touches.

The method is that of Zhang et al. (2025), arXiv:2506.15680: particles encode the object, a velocity field lives on a
grid, contact edits it, particles take it back. What differs is where time went there. Context is pooled over anchors of
the rest shape (`fast_anchors`) in place of a ball query around each node; only nodes within reach of a particle exist,
per sample; and the field sees the tool, so that pushing is learned and not only written over.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from armflow.planning.dynamics import fast_inputs as inputs
from armflow.planning.dynamics.edits import carry, keep_above
from armflow.planning.dynamics.fast_anchors import Anchors, make_anchors
from armflow.planning.dynamics.fast_network import (
    FIELD,
    LENGTH,
    SPEED,
    TOOL_FEATURES,
    AnchorBlock,
    mlp,
    tool_features,
    tool_state,
)
from armflow.planning.dynamics.grid import GridConfig, Placement, place_grid
from armflow.planning.dynamics.spline import active_nodes, as_numpy, gather, scatter
from armflow.planning.dynamics.types import DT, DynamicsModel, Particles, ToolStep
from armflow.robot.errors import ValueRangeError

__all__ = ["FastConfig", "FastDynamics"]

STRAIN = 100.0  # strain features in units of 1 cm


@dataclass(frozen=True, slots=True)
class FastConfig:
    """Sizes of the fast model.

    Attributes:
        code_size: Length of the category and material code.
        anchors: Places of the rest shape that context is pooled to.
        neighbours: Anchors that each hears.
        width: Features of an anchor.
        context: Features that reach the grid.
        blocks: Rounds of messages.
        heads: Of attention.
        cells, spacing: The grid; spacing in m.
        tool_radius: m.
    """

    code_size: int = 8
    anchors: int = 48
    neighbours: int = 6
    width: int = 64
    context: int = 32
    blocks: int = 2
    heads: int = 4
    cells: int = 50
    spacing: float = 0.02
    tool_radius: float = 0.02

    def __post_init__(self) -> None:
        for name in ("anchors", "width", "context", "blocks", "heads"):
            if getattr(self, name) < 1:
                raise ValueRangeError(name, getattr(self, name), "at least 1")
        if self.width % self.heads:
            raise ValueRangeError("width", self.width, f"a multiple of heads, {self.heads}")
        if not self.tool_radius > 0:
            raise ValueRangeError("tool_radius", self.tool_radius, "above 0 m")


class _Kept(NamedTuple):
    grid: Placement
    anchors: Anchors
    code: torch.Tensor


class Field(NamedTuple):
    """Velocities on the nodes that particles touch.

    Attributes:
        velocity: [M, 3] m/s, nodes of one sample after those of another.
        nodes: [M, 3] cells.
        owners: [M] sample.
        slots: [B, N, 27] the particles' nodes.
        u: [B, N, 3] the particles, cells.
    """

    velocity: torch.Tensor
    nodes: torch.Tensor
    owners: torch.Tensor
    slots: torch.Tensor
    u: torch.Tensor

    def read(self) -> torch.Tensor:
        """Velocity [B, N, 3] of the particles."""
        B, N, _ = self.u.shape
        return gather(self.u.reshape(B * N, 3), self.slots.reshape(B * N, 27), self.velocity).view(B, N, 3)


class FastDynamics(DynamicsModel):
    """The model that ships."""

    def __init__(self, config: FastConfig | None = None) -> None:
        """Build it untrained."""
        super().__init__()
        self.config = config = config or FastConfig()
        self.code_size = config.code_size
        self.grid = GridConfig(config.cells, config.spacing)
        self._recent: tuple[torch.Tensor, int | None, Anchors] | None = None
        self.embed = nn.Linear(11 + TOOL_FEATURES + config.code_size, config.width)
        self.blocks = nn.ModuleList(AnchorBlock(config.width, config.heads) for _ in range(config.blocks))
        self.context = nn.Linear(config.width, config.context)
        self.field = mlp(config.context + 14 + TOOL_FEATURES, 64, 64, FIELD)
        with torch.no_grad():
            self.field[-1].weight.mul_(0.1)  # type: ignore[operator]
            self.field[-1].bias.zero_()  # type: ignore[operator]

    def settings(self) -> dict[str, Any]:
        """The fields of the configuration."""
        return asdict(self.config)

    def prepare(self, particles: Particles) -> _Kept:
        """Place the grid and choose anchors."""
        return _Kept(place_grid(particles, self.grid), self._anchors(particles.rest), particles.code)

    def _anchors(self, rest: torch.Tensor) -> Anchors:
        """Anchors of a rest shape; a planner asks about the same one again and again, so the last answer is kept."""
        version = None if rest.is_inference() else rest._version
        if self._recent is not None and self._recent[0] is rest and self._recent[1] == version is not None:
            return self._recent[2]
        anchors = make_anchors(rest, self.config.anchors, self.config.neighbours)
        self._recent = (rest, version, anchors)
        return anchors

    def widen(self, kept: _Kept, B: int) -> _Kept:
        """Anchors for each copy."""
        return kept._replace(anchors=kept.anchors.repeat(B), code=kept.code.expand(B, -1))

    def settle(self, kept: _Kept, points: torch.Tensor) -> torch.Tensor:
        """Above the table and within the grid."""
        return kept.grid.clamp(points - kept.grid.origin) + kept.grid.origin

    def velocity(self, kept: _Kept, points: torch.Tensor, history: torch.Tensor, tool: ToolStep) -> torch.Tensor:
        """The field, read at the particles."""
        return self.grid_velocity(kept, points, history, tool).read()

    def grid_velocity(self, kept: _Kept, points: torch.Tensor, history: torch.Tensor, tool: ToolStep) -> Field:
        """Predict the field after contact. Arguments as in `velocity`."""
        local = kept.grid.clamp(points - kept.grid.origin)
        at = tool.point - kept.grid.origin[:, 0]
        middle, strain = kept.anchors.strain(local)
        context = self._context(kept, middle, history, tool, at)  # [B, K, C]
        B, (A, N, _) = len(at), local.shape
        u = kept.grid.cells(local)
        found = active_nodes(u, self.config.cells)
        past = history.transpose(1, 2).flatten(2)
        own = torch.cat((SPEED * past, STRAIN * strain, local, local.new_ones(A, N, 1)), dim=-1)
        slots, nodes, owners = found.slots, found.nodes, found.owners
        M = len(nodes)
        if A == 1 < B:  # one start: what does not depend on the tool is spread once
            spread = scatter(u[0], slots[0], own[0], M).repeat(B, 1)
            tokens = kept.anchors.spread(context.transpose(0, 1).flatten(1))
            mixed = scatter(u[0], slots[0], tokens, M).view(M, B, -1).transpose(0, 1).flatten(0, 1)
            slots = slots + M * torch.arange(B, dtype=slots.dtype, device=slots.device)[:, None, None]
            owners = torch.arange(B, device=slots.device).repeat_interleave(M)
            nodes, u = nodes.repeat(B, 1), u.expand(B, -1, -1)
            sums = torch.cat((mixed, spread), dim=-1)
        else:
            values = torch.cat((kept.anchors.spread(context.flatten(0, 1)), own.flatten(0, 1)), dim=-1)
            sums = scatter(u.reshape(B * N, 3), slots.reshape(B * N, 27), values, M)
        velocity = self._field(sums, kept.grid.place(nodes.to(u.dtype)), owners, tool, at)
        return Field(velocity, nodes, owners, slots, u)

    def _context(
        self, kept: _Kept, middle: torch.Tensor, history: torch.Tensor, tool: ToolStep, at: torch.Tensor
    ) -> torch.Tensor:
        """Context [B, K, C] of anchors at middle [A, K, 3], A = 1 or B."""
        B, K, anchors = len(at), middle.shape[1], kept.anchors
        speed = anchors.mean(history.transpose(1, 2).flatten(2))
        if _compiled(middle):
            h = middle.new_empty(B, K, self.embed.in_features)
            places, pace, code, tools = as_numpy(middle, speed, kept.code.to(middle), tool_state(tool, at).to(middle))
            inputs.anchor_inputs(places, pace, code, tools, places.dtype.type(self.config.tool_radius), h.numpy())
            edges = middle.new_empty(*anchors.neighbours.shape, 8)
            inputs.edge_inputs(places, pace, *as_numpy(anchors.neighbours, anchors.lengths, edges))
        else:
            h, edges = self._tokens(kept, middle, speed, tool, at), self._edges(anchors, middle, speed)
        edges = edges.expand(B, -1, -1, -1).flatten(0, 1)
        h = self.embed(h.flatten(0, 1))
        flat = (anchors.neighbours + torch.arange(B, device=at.device)[:, None, None] * K).flatten(0, 1)
        for block in self.blocks:
            h = block(h, edges, flat, K)
        return self.context(h).view(B, K, -1)

    def _tokens(
        self, kept: _Kept, middle: torch.Tensor, speed: torch.Tensor, tool: ToolStep, at: torch.Tensor
    ) -> torch.Tensor:
        """What each anchor knows of itself, of the object's kind and of the tool: [B, K, 27 + code]."""
        B, K = len(at), middle.shape[1]
        height, code = middle[..., 2:], kept.code.to(middle)[:, None]
        whole = (middle - middle.mean(dim=1, keepdim=True)) * LENGTH / 2
        alone = torch.cat((whole, height * LENGTH, torch.exp(-height / 0.02), SPEED * speed), dim=-1)
        alone = torch.cat((alone, code.expand(len(alone), K, -1)), dim=-1).expand(B, -1, -1)
        rows = torch.arange(B, device=at.device).repeat_interleave(K)
        features, _, _ = tool_features(middle.expand(B, -1, -1).flatten(0, 1), rows, tool, at, self.config.tool_radius)
        return torch.cat((alone, features.view(B, K, -1)), dim=-1)

    def _edges(self, anchors: Anchors, middle: torch.Tensor, speed: torch.Tensor) -> torch.Tensor:
        """What lies between neighbours [A, K, E, 8]: offset, difference of speed, length at rest and its change."""
        A, K, E = anchors.neighbours.shape
        state = torch.cat((middle, SPEED * speed[..., 3:]), dim=-1)
        offsets = torch.arange(A, device=middle.device)[:, None, None] * K
        away = state.flatten(0, 1)[(anchors.neighbours + offsets).reshape(-1)].view(A, K, E, 6) - state[:, :, None]
        length = (away[..., :3].square().sum(dim=-1, keepdim=True) + 1e-10).sqrt()
        rest = anchors.lengths[..., None]
        return torch.cat((30 * away[..., :3], away[..., 3:], 30 * rest, STRAIN * (length - rest)), dim=-1)

    def _field(
        self, sums: torch.Tensor, places: torch.Tensor, owners: torch.Tensor, tool: ToolStep, at: torch.Tensor
    ) -> torch.Tensor:
        """Velocity [M, 3] at nodes from what particles spread there: context, two velocities, strain, place, 1."""
        if _compiled(sums):
            return self._field_compiled(sums, places, owners, tool_state(tool, at))
        mean = sums[:, :-1] / (sums[:, -1:] + 1e-7)
        C = self.config.context
        last, strain = mean[:, C + 3 : C + 6] / SPEED, mean[:, C + 6 : C + 9] / STRAIN
        aside = (mean[:, C + 9 : C + 12] - places) / self.config.spacing
        features, carried, near = tool_features(places, owners, tool, at, self.config.tool_radius)
        height = places[:, 2:] * LENGTH
        parts = (mean[:, : C + 9], aside, height, torch.exp(-2 * height.clamp(min=0)), features)
        out = self.field(torch.cat(parts, dim=-1))
        gains = out[:, 3:6]
        velocity = out[:, :3] / SPEED + gains[:, :1] * last + gains[:, 1:2] * carried + gains[:, 2:3] * strain / DT
        velocity = carry(velocity, carried, near * torch.sigmoid(out[:, 6]))
        return keep_above(velocity, places[:, 2], DT)

    def _field_compiled(
        self, sums: torch.Tensor, places: torch.Tensor, owners: torch.Tensor, state: torch.Tensor
    ) -> torch.Tensor:
        """As `_field` below its first lines, in two passes over the nodes."""
        M, C = len(sums), self.config.context
        seen, carried, near = sums.new_empty(M, C + 30), sums.new_empty(M, 3), sums.new_empty(M)
        at = places.numpy()
        results = (seen.numpy(), carried.numpy(), near.numpy())
        real = at.dtype.type
        sizes = (real(self.config.tool_radius), real(self.config.spacing))
        spread, rows, tools = as_numpy(sums, owners, state.to(sums))
        inputs.node_inputs(spread, at, rows, tools, sizes, results)
        velocity = torch.empty_like(places)
        inputs.node_velocity(self.field(seen).numpy(), results, at, real(DT), velocity.numpy())
        return velocity


def _compiled(values: torch.Tensor) -> bool:
    """Whether nothing is to be learned from what follows, so that it needs no graph."""
    return not torch.is_grad_enabled() and values.device.type == "cpu"
