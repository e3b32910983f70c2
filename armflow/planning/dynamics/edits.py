"""What contact makes of a velocity field: edits at points, shared by every model with a grid. All differentiable.

Zhang et al. (2025), arXiv:2506.15680, section III-C: velocities at nodes within the gripper are overwritten with the
gripper's, and velocities at the ground lose what points into it, with Coulomb friction.
"""

import torch

__all__ = ["carry", "inside", "keep_above", "push", "window"]


def inside(arms: torch.Tensor, closed: torch.Tensor, radius: float) -> torch.Tensor:
    """1 [M] where a point, an arm [M, 3] m away from a closed tool [M], is within its radius, else 0."""
    return ((arms.norm(dim=-1) < radius) & (closed > 0.5)).to(arms.dtype)


def window(arms: torch.Tensor, radius: float) -> torch.Tensor:
    """Smooth nearness [M] of points to the tool: (1 - (d / 2r)^2)^2, 1 at the tool, 0 from two radii on."""
    return (1 - arms.square().sum(dim=-1) / (2 * radius) ** 2).clamp(min=0.0).square()


def carry(velocity: torch.Tensor, tool_velocity: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Give points [M, 3] the tool's rigid velocity there by an amount [M]: all of it at 1, nothing at 0."""
    return velocity + amount[:, None] * (tool_velocity - velocity)


def push(velocity: torch.Tensor, tool_velocity: torch.Tensor, arms: torch.Tensor, radius: float) -> torch.Tensor:
    """Let no point [M, 3] within the radius come closer to the tool.

    v += max(0, n . (v_tool - v)) n,  n = arm / |arm|.
    """
    distance = (arms.square().sum(dim=-1, keepdim=True) + 1e-12).sqrt()
    normal = arms / distance
    closing = ((tool_velocity - velocity) * normal).sum(dim=-1, keepdim=True).clamp(min=0.0)
    return velocity + torch.where(distance < radius, closing, torch.zeros_like(closing)) * normal


def keep_above(
    velocity: torch.Tensor, height: torch.Tensor, dt: float, friction: torch.Tensor | float = 0.0
) -> torch.Tensor:
    """Let no point [M, 3] fall through the table within a step.

    Points at or under the table (height [M] <= 0, m) keep no downward velocity, those above may fall as far as the
    table. What is lost of the vertical velocity slows the horizontal by Coulomb's law: |v_t| loses friction times it.
    """
    floor = -height.clamp(min=0.0) / dt
    vertical = torch.maximum(velocity[:, 2], floor)
    lost = (vertical - velocity[:, 2])[:, None]
    flat = velocity[:, :2]
    speed = (flat.square().sum(dim=-1, keepdim=True) + 1e-12).sqrt()
    slowed = flat * (1 - friction * lost / speed).clamp(min=0.0)
    return torch.cat((slowed, vertical[:, None]), dim=-1)
