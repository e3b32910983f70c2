"""Preconditioning: how a network of unit-sized inputs and outputs becomes a denoiser at every noise level.

Karras, Aittala, Aila and Laine (2022), "Elucidating the Design Space of Diffusion-Based Generative Models",
arXiv 2206.00364: eqs. 7 and 8, Table 1 (column EDM), derived in its appendix B.6.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from armflow.robot.errors import ValueRangeError

__all__ = ["Network", "Preconditioning"]

Network = Callable[[Tensor, Tensor], Tensor]  # (scaled x [B, ...], c_noise [] or [B]) -> [B, ...]


@dataclass(frozen=True, slots=True)
class Preconditioning:
    """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise): what goes into F and what it must give has variance one.

    Attributes:
        sigma_data: Standard deviation of the clean data, in its own (normalised) units.

    Raises:
        ValueRangeError: `sigma_data` is not a positive number.
    """

    sigma_data: float

    def __post_init__(self) -> None:
        if not (self.sigma_data > 0 and math.isfinite(self.sigma_data)):
            raise ValueRangeError("sigma_data", self.sigma_data, "positive and finite")

    def c_skip(self, sigma: Tensor) -> Tensor:
        """Share of the noisy input that goes straight to the output: sigma_d^2 / (sigma^2 + sigma_d^2)."""
        return self.sigma_data**2 / (sigma**2 + self.sigma_data**2)

    def c_out(self, sigma: Tensor) -> Tensor:
        """Size of the network's contribution: sigma sigma_d / sqrt(sigma^2 + sigma_d^2)."""
        return sigma * self.sigma_data * self.c_in(sigma)

    def c_in(self, sigma: Tensor) -> Tensor:
        """Scale that gives the network's input variance one: 1 / sqrt(sigma^2 + sigma_d^2)."""
        return torch.rsqrt(sigma**2 + self.sigma_data**2)

    def c_noise(self, sigma: Tensor) -> Tensor:
        """The noise level as the network is told it: ln(sigma) / 4."""
        return sigma.log() / 4

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """Weight lambda = 1 / c_out^2 of |D - clean|^2 that makes all noise levels count alike (eq. 8)."""
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2

    def denoise(self, network: Network, x: Tensor, sigma: Tensor) -> Tensor:
        """Estimate the clean x (eq. 7).

        Args:
            network: F; gets the scaled x and c_noise in the shape of `sigma`.
            x: [B, ...] noisy.
            sigma: [] one noise level, or [B] one for each row; positive.

        Returns:
            [B, ...] the estimate of the clean x.
        """
        wide = _wide(sigma, x)
        c_in = self.c_in(wide)
        scaled = c_in * x
        raw = network(scaled, self.c_noise(sigma))
        # c_skip x = sigma_d^2 c_in^2 x and c_out = sigma_d sigma c_in: fewer small operations than one by one.
        return (self.sigma_data * c_in) * torch.addcmul(self.sigma_data * scaled, wide, raw)

    def squared_error(self, network: Network, clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """Weighted error lambda (D(clean + sigma noise; sigma) - clean)^2 of every entry (eq. 8).

        Written on the network's own output, F - (clean - c_skip x) / c_out, where lambda cancels: nothing is divided by
        a small sigma, and the target has variance one.

        Args:
            network: F; gets the scaled x and c_noise in the shape of `sigma`.
            clean: [B, ...] data.
            noise: [B, ...] standard normal.
            sigma: [B] noise levels (or [] one for all), positive.

        Returns:
            [B, ...] squared errors; their mean is the loss.
        """
        wide = _wide(sigma, clean)
        x = clean + wide * noise
        c_in = self.c_in(wide)
        target = c_in * (wide / self.sigma_data * clean - self.sigma_data * noise)  # (clean - c_skip x) / c_out
        return (network(c_in * x, self.c_noise(sigma)) - target) ** 2


def _wide(sigma: Tensor, x: Tensor) -> Tensor:
    """Sigma with axes of size one appended, so that [B] meets x [B, ...]; [] stays as it is."""
    return sigma if sigma.ndim == 0 else sigma.reshape(-1, *(1,) * (x.ndim - 1))
