"""Ancestral samplers: each step goes further down than the next level and comes back up with fresh noise.

Fresh noise corrects errors of earlier steps. `eta` scales it: 0 is the deterministic sampler, 1 the exact posterior.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from armflow.learning.score.one_step import dpm_2_step, dpmpp_2s_step
from armflow.learning.score.steps import Denoiser, at, noise_like, split_noise, steps
from armflow.robot.errors import ValueRangeError

__all__ = ["sample_dpm_2_ancestral", "sample_dpmpp_2s_ancestral", "sample_euler_ancestral"]


def sample_euler_ancestral(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None, eta: float = 1.0
) -> Tensor:
    """`sample_euler` with fresh noise: at eta = 1 the sampler of DDPM, Ho et al. (2020), arXiv 2006.11239."""
    return _ancestral(_euler_step, denoise, x, sigmas, generator, eta)


def sample_dpm_2_ancestral(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None, eta: float = 1.0
) -> Tensor:
    """`sample_dpm_2` with fresh noise."""
    return _ancestral(dpm_2_step, denoise, x, sigmas, generator, eta)


def sample_dpmpp_2s_ancestral(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None, eta: float = 1.0
) -> Tensor:
    """`sample_dpmpp_2s` with fresh noise."""
    return _ancestral(dpmpp_2s_step, denoise, x, sigmas, generator, eta)


def _euler_step(denoise: Denoiser, x: Tensor, here: float, there: float) -> Tensor:
    return torch.lerp(at(denoise, x, here), x, there / here)


def _ancestral(
    step: Callable[[Denoiser, Tensor, float, float], Tensor],
    denoise: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    generator: torch.Generator | None,
    eta: float,
) -> Tensor:
    """Walk the levels with a deterministic step to a lower level and noise back up to the next one.

    Raises:
        ValueRangeError: `eta` is negative.
    """
    if not eta >= 0:
        raise ValueRangeError("eta", eta, "at least 0")
    for here, there in steps(sigmas):
        down, fresh = split_noise(here, there, eta)
        x = step(denoise, x, here, down)
        if fresh > 0:
            x = x + fresh * noise_like(x, generator)
    return x
