"""What samplers share: the denoiser they call, the levels they walk, and the noise they add."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from armflow.robot.errors import ShapeError

__all__ = ["Denoiser", "Sampler", "at", "noise_like", "slope", "split_noise", "steps"]

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (x [B, ...], sigma []) -> estimate of the clean x [B, ...]


class Sampler(Protocol):
    """Turns noise into data with any denoiser."""

    def __call__(
        self, denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Walk from x [B, ...], noise of standard deviation sigmas[0], down the levels [n + 1], usually to 0."""
        ...


def steps(sigmas: Tensor) -> Iterator[tuple[float, float]]:
    """Neighbouring noise levels as plain numbers; levels on the CPU keep a GPU from being waited for.

    Raises:
        ShapeError: Fewer than two levels, or levels that do not fall to a last one of at least 0.
    """
    if sigmas.ndim != 1 or len(sigmas) < 2:
        raise ShapeError("sigmas", "[n + 1] noise levels with n >= 1", tuple(sigmas.shape))
    pairs = list(pairwise(sigmas.tolist()))
    if not all(here > there >= 0 for here, there in pairs):
        raise ShapeError("sigmas", "falling to a last level of at least 0", sigmas.tolist())
    return iter(pairs)


def at(denoise: Denoiser, x: Tensor, sigma: float) -> Tensor:
    """Estimate of the clean x, at a noise level given as a plain number."""
    return denoise(x, x.new_full((), sigma))


def slope(x: Tensor, clean: Tensor, sigma: float) -> Tensor:
    """Derivative dx/dsigma = (x - D) / sigma of the probability flow: Karras et al. (2022), arXiv 2206.00364, eq. 3."""
    return (x - clean) / sigma


def split_noise(here: float, there: float, eta: float) -> tuple[float, float]:
    """Split a step between two levels into a deterministic part that goes lower and fresh noise that comes back up.

    The fresh noise is that of the exact posterior of the level `there`, given x at `here` and the clean x, times eta:
    Ho et al. (2020), arXiv 2006.11239, eq. 7; Song et al. (2021), arXiv 2010.02502, eq. 16.

    Args:
        here: Level of x.
        there: The next level, lower.
        eta: 0 for no fresh noise, 1 for all of it.

    Returns:
        The level to step down to and the standard deviation of the noise to add; their squares sum to there^2.
    """
    fresh = min(there, eta * there / here * math.sqrt((here - there) * (here + there)))
    return math.sqrt((there - fresh) * (there + fresh)), fresh


def noise_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers of the shape, type and device of x, drawn on the generator's device."""
    device = x.device if generator is None else generator.device
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=device).to(x.device)
