"""Densities of the noise level: which sigma a training example is shown at."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from armflow.robot.errors import ValueRangeError

__all__ = ["DrawSigma", "LogNormal", "TruncatedLogLogistic"]

DrawSigma = Callable[[Sequence[int], torch.Generator | None], Tensor]  # (shape, generator) -> positive sigma


@dataclass(frozen=True, slots=True)
class LogNormal:
    """ln(sigma) is normal: Karras et al. (2022), arXiv 2206.00364, Table 1 (mean -1.2, deviation 1.2 for images).

    Attributes:
        mean: Mean of ln(sigma).
        deviation: Standard deviation of ln(sigma), positive.
    """

    mean: float = -1.2
    deviation: float = 1.2

    def __post_init__(self) -> None:
        _check_positive("deviation", self.deviation)

    def __call__(self, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Draw noise levels of this shape on the generator's device."""
        return torch.exp(
            self.mean + self.deviation * torch.randn(tuple(shape), generator=generator, device=_on(generator))
        )


@dataclass(frozen=True, slots=True)
class TruncatedLogLogistic:
    """ln(sigma) is logistic and sigma stays within two bounds: the density of BESO, arXiv 2304.02532, section V.

    Drawn by inverting the distribution function: sigma = exp(centre + scale logit(u)), with u uniform between the
    probabilities of the two bounds.

    Attributes:
        sigma_min: Smallest noise level, positive.
        sigma_max: Largest noise level.
        median: exp(centre), the median before truncation; BESO uses sigma_data.
        scale: Scale of the logistic density of ln(sigma), positive; BESO uses 0.5.
    """

    sigma_min: float
    sigma_max: float
    median: float = 0.5
    scale: float = 0.5

    def __post_init__(self) -> None:
        for name in ("sigma_min", "median", "scale"):
            _check_positive(name, getattr(self, name))
        if not self.sigma_min < self.sigma_max < math.inf:
            raise ValueRangeError("sigma_max", self.sigma_max, f"finite and above sigma_min = {self.sigma_min}")

    def __call__(self, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Draw noise levels of this shape on the generator's device."""
        low, high = (self._probability(bound) for bound in (self.sigma_min, self.sigma_max))
        u = torch.rand(tuple(shape), generator=generator, device=_on(generator), dtype=torch.float64)
        sigma = self.median * torch.exp(self.scale * torch.logit(low + (high - low) * u))
        return sigma.clamp(self.sigma_min, self.sigma_max).float()

    def _probability(self, sigma: float) -> float:
        """Probability of a level below sigma before truncation."""
        return 1 / (1 + (sigma / self.median) ** (-1 / self.scale))


def _on(generator: torch.Generator | None) -> torch.device | None:
    return None if generator is None else generator.device


def _check_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueRangeError(name, value, "positive and finite")
