"""A model with one number to learn: how much of the tool's velocity the particles take on, by the material's first."""

import torch
from torch import nn

from armflow.planning.dynamics.adapt import CODE_SIZE, MATERIAL
from armflow.planning.dynamics.types import DynamicsModel, Particles, ToolStep


class Follow(DynamicsModel):
    """velocity = (gain + slope (material - 1/2)) tool velocity while the tool is closed."""

    code_size = CODE_SIZE

    def __init__(self, gain: float = 0.2, slope: float = 0.0) -> None:
        super().__init__()
        self.gain, self.slope = nn.Parameter(torch.tensor(gain)), nn.Parameter(torch.tensor(slope))

    def prepare(self, particles: Particles) -> torch.Tensor:
        """The code."""
        return particles.code

    def velocity(self, kept: torch.Tensor, points: torch.Tensor, history: torch.Tensor, tool: ToolStep) -> torch.Tensor:
        """A share of the tool's velocity."""
        share = self.gain + self.slope * (kept[:, -MATERIAL] - 0.5)
        return (share * (tool.closed > 0.5))[:, None, None] * tool.velocity_at(points)
