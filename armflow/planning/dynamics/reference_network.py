"""Networks of the published model: a PointNet with its alignment, and a place written in sines and cosines."""

import torch
from torch import nn

__all__ = ["PointEncoder", "waves"]


class _PerPoint(nn.Module):
    """A linear layer and batch normalisation over all points."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.linear, self.normal = nn.Linear(before, after), nn.BatchNorm1d(after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        return self.normal(y.flatten(0, -2)).view(y.shape)


class PointEncoder(nn.Module):
    """PointNet without its pooling: a code for each point, places turned by a learned alignment first.

    Reference:
        Qi et al. (2017), arXiv:1612.00593, section 4.2.
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.whole = nn.ModuleList(_PerPoint(a, b) for a, b in ((channels, 64), (64, 128), (128, 1024)))
        self.turn = nn.Sequential(nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 9))
        self.own = nn.ModuleList(_PerPoint(a, b) for a, b in ((channels, 64), (64, 128), (128, features)))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Codes [B, N, F] of points [B, N, C] whose first three channels are places."""
        h = points
        for layer in self.whole:
            h = torch.relu(layer(h))
        alignment = self.turn(h.amax(dim=1)).view(-1, 3, 3) + torch.eye(3, dtype=h.dtype, device=h.device)
        h = torch.cat((points[..., :3] @ alignment, points[..., 3:]), dim=-1)
        h = torch.relu(self.own[0](h))
        h = torch.relu(self.own[1](h))
        return self.own[2](h)


def waves(places: torch.Tensor, octaves: int) -> torch.Tensor:
    """Places [..., 3] with sin and cos of 1, 2, 4 ... times them: [..., 3 + 6 octaves].

    Reference:
        Mildenhall et al. (2020), arXiv:2003.08934, eq. 4.
    """
    angles = [places * 2.0**octave for octave in range(octaves)]
    return torch.cat([places, *(wave(angle) for angle in angles for wave in (torch.sin, torch.cos))], dim=-1)
