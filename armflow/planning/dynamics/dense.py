"""From sparse to dense: predict a few hundred particles, carry 100 000 points along on the same velocity field."""

from typing import NamedTuple

import torch
from scipy.spatial import KDTree

from armflow.planning.dynamics import spline_kernels as kernels
from armflow.planning.dynamics.errors import DynamicsError
from armflow.planning.dynamics.fast import FastDynamics, Field
from armflow.planning.dynamics.grid import Placement
from armflow.planning.dynamics.spline import as_numpy
from armflow.planning.dynamics.types import DT, Particles, ToolPath, check_batch, tool_steps

__all__ = ["DenseRollout", "rollout_dense"]

COVERED = 0.05  # share of a point's spline below which the nearest particle speaks for it


class DenseRollout(NamedTuple):
    """What was predicted.

    Attributes:
        points: [B, T, N, 3] particles, m.
        passive: [B, T, Q, 3] points that were carried along, m.
    """

    points: torch.Tensor
    passive: torch.Tensor


@torch.no_grad()
def rollout_dense(model: FastDynamics, particles: Particles, tools: ToolPath, passive: torch.Tensor) -> DenseRollout:
    """Predict particles and carry further points of the same objects along; no gradients.

    A point where a particle is moves exactly as the particle does. A point that only some of the field's nodes reach
    takes their weighted mean; one that hardly any reach takes the velocity of the nearest particle.

    Args:
        model: With a field on a grid.
        particles: B objects, or one.
        tools: B paths of T steps.
        passive: [B, Q, 3] or [1, Q, 3] points, m.

    Raises:
        DynamicsError: As in `rollout`, or points that are not [B, Q, 3] and finite.
    """
    check_batch(model, particles, tools)
    B = len(tools.points)
    given = passive.shape
    if passive.ndim != 3 or given[0] not in (1, B) or given[1] < 1 or given[2] != 3:
        raise DynamicsError("passive", f"points [{B} or 1, Q, 3] are needed; got {list(given)}")
    if not bool(torch.isfinite(passive).all()):
        raise DynamicsError("passive", "numbers that are not finite; drop those points")
    kept = model.prepare(particles)
    points, history = particles.points, particles.velocities
    carried = passive.to(points).expand(B, -1, -1)
    sparse, dense = [], []
    for tool in tool_steps(tools):
        field = model.grid_velocity(kept, points, history, tool)
        velocity = field.read()
        flow = _read(field, kept.grid, carried, velocity)
        if len(points) < B:
            kept = model.widen(kept, B)
        points, history = model.advance(kept, points, history, velocity)
        carried = model.settle(kept, carried + DT * flow)
        sparse.append(points)
        dense.append(carried)
    return DenseRollout(torch.stack(sparse, dim=1), torch.stack(dense, dim=1))


def _read(field: Field, grid: Placement, passive: torch.Tensor, velocity: torch.Tensor) -> torch.Tensor:
    """Velocity [B, Q, 3] of passive points [B, Q, 3]."""
    u = grid.cells(grid.clamp(passive - grid.origin)).cpu()
    flow, covered = torch.empty_like(u), u.new_empty(u.shape[:2])
    counts = torch.bincount(field.owners.long(), minlength=len(u)).tolist()
    parts = zip(field.nodes.cpu().split(counts), field.velocity.cpu().split(counts), strict=True)
    for b, (nodes, speeds) in enumerate(parts):
        at, places, field_velocity, out, share = as_numpy(u[b], nodes, speeds, flow[b], covered[b])
        kernels.sample(at, places, field_velocity, grid.config.cells, out, share)
    for b in (covered <= COVERED).any(dim=1).nonzero()[:, 0].tolist():
        lost = covered[b] <= COVERED
        _, nearest = KDTree(field.u[b].cpu().numpy()).query(u[b, lost].numpy())
        flow[b, lost] = velocity[b, torch.from_numpy(nearest)].cpu()
    return flow.to(passive)
