"""Predictions without learning, which every learned model has to beat."""

import torch

from armflow.planning.dynamics.types import DynamicsModel, ToolStep

__all__ = ["ConstantVelocity", "MoveWithTool", "Still"]


class Still(DynamicsModel):
    """Nothing moves."""

    def velocity(self, kept: None, points: torch.Tensor, history: torch.Tensor, tool: ToolStep) -> torch.Tensor:
        """Zero."""
        return points.new_zeros(()).expand(len(tool.point), *points.shape[1:])


class ConstantVelocity(DynamicsModel):
    """Every particle keeps the velocity that it has."""

    def velocity(self, kept: None, points: torch.Tensor, history: torch.Tensor, tool: ToolStep) -> torch.Tensor:
        """The last of the history."""
        return history[:, -1].expand(len(tool.point), -1, -1)


class MoveWithTool(DynamicsModel):
    """The whole object moves as if the tool held it rigidly, while the tool is closed."""

    def velocity(self, kept: None, points: torch.Tensor, history: torch.Tensor, tool: ToolStep) -> torch.Tensor:
        """The tool's own, at each particle."""
        return tool.velocity_at(points) * (tool.closed > 0.5).to(points.dtype)[:, None, None]
