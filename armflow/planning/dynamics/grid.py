"""Where the grid of velocities lies: it is placed under the object once per rollout, so predictions move with it."""

from dataclasses import dataclass

import torch

from armflow.planning.dynamics.errors import DynamicsError
from armflow.planning.dynamics.types import Particles
from armflow.robot.errors import ValueRangeError

__all__ = ["GridConfig", "Placement", "place_grid"]

BELOW = 3  # cells under the table, as in Zhang et al. (2025)


@dataclass(frozen=True, slots=True)
class GridConfig:
    """A cube of nodes.

    Attributes:
        cells: Nodes along each axis.
        spacing: Between nodes, m.
    """

    cells: int = 50
    spacing: float = 0.02

    def __post_init__(self) -> None:
        if self.cells < 8:
            raise ValueRangeError("cells", self.cells, "at least 8")
        if not self.spacing > 0:
            raise ValueRangeError("spacing", self.spacing, "above 0 m")


@dataclass(frozen=True, slots=True)
class Placement:
    """A grid placed in the world; in its own frame the table is at z = 0 and the axes are the world's.

    Attributes:
        config: Its size.
        origin: [B, 1, 3] of its frame, m, world.
        low, high: [3] bounds of what it can hold, m, grid frame.
    """

    config: GridConfig
    origin: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    def cells(self, local: torch.Tensor) -> torch.Tensor:
        """Points [..., 3] of the grid frame in cells from its first node."""
        return (local - self.corner) / self.config.spacing

    def place(self, nodes: torch.Tensor) -> torch.Tensor:
        """Where nodes [M, 3] (cells) are, grid frame, m."""
        return nodes * self.config.spacing + self.corner

    @property
    def corner(self) -> torch.Tensor:
        """[3] the first node, m, grid frame."""
        size, spacing = self.config.cells, self.config.spacing
        half = -0.5 * (size - 1) * spacing
        return self.origin.new_tensor([half, half, -BELOW * spacing])

    def clamp(self, local: torch.Tensor) -> torch.Tensor:
        """Points [..., 3] kept above the table and within the grid."""
        return torch.minimum(torch.maximum(local, self.low), self.high)


def place_grid(particles: Particles, config: GridConfig) -> Placement:
    """Centre a grid on each object, level with the table.

    Raises:
        DynamicsError: An object is larger than the grid, above it, or under the table.
    """
    origin = particles.points.detach().mean(dim=1, keepdim=True).clone()
    origin[..., 2] = particles.ground
    reach, width = config.cells * config.spacing, 0.5 * (config.cells - 4) * config.spacing
    low = origin.new_tensor([-width, -width, 0.0])
    high = origin.new_tensor([width, width, reach - (BELOW + 2.5) * config.spacing])
    local = particles.points.detach() - origin
    slack = origin.new_tensor([0.0, 0.0, BELOW * config.spacing])
    out = ((local < low - slack) | (local > high)).any(dim=-1)
    if bool(out.any()):
        worst = [round(v, 3) for v in local[out][0].tolist()]
        size = [round(v, 2) for v in (high - low).tolist()]
        raise DynamicsError(
            "points",
            f"{int(out.sum())} particles are out of the grid, one of them {worst} m from the object's middle and the "
            f"table's height; the grid holds {size} m: is the height of the table right, are there stray points?",
        )
    return Placement(config, origin, low, high)
