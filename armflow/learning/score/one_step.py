"""Samplers that follow the probability flow with one or two evaluations a step and no memory of earlier steps.

All take a denoiser, x [B, ...] that holds noise of standard deviation sigmas[0], and falling levels sigmas [n + 1].
A step to level 0 is always x = D: the estimate of the clean x itself.
"""

import math

import torch
from torch import Tensor

from armflow.learning.score.steps import Denoiser, at, slope, steps

__all__ = ["sample_ddim", "sample_dpm_2", "sample_dpmpp_2s", "sample_euler", "sample_heun"]


def sample_ddim(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """First order: x moves along the line to its estimate D, by the share that the noise level falls.

    Song, Meng and Ermon (2021), arXiv 2010.02502, eq. 12 without noise, in the variables of Karras et al.; also
    DPM-Solver-1. One evaluation a step; `generator` is not used.
    """
    for here, there in steps(sigmas):
        x = torch.lerp(at(denoise, x, here), x, there / here)
    return x


def sample_euler(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """First order: Euler's step along dx/dsigma. The same map as `sample_ddim`, in the form that Heun's step extends.

    Karras et al. (2022), arXiv 2206.00364, algorithm 1 without lines 6 to 8. One evaluation a step.
    """
    for here, there in steps(sigmas):
        x = x + (there - here) * slope(x, at(denoise, x, here), here)
    return x


def sample_heun(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Second order: the mean of the slopes at both ends of an Euler step.

    Karras et al. (2022), arXiv 2206.00364, algorithm 1. Two evaluations a step, one in the step to 0.
    """
    for here, there in steps(sigmas):
        first = slope(x, at(denoise, x, here), here)
        guess = x + (there - here) * first
        second = slope(guess, at(denoise, guess, there), there) if there else first
        x = x + (there - here) * (first + second) / 2
    return x


def sample_dpm_2(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Second order: the slope in the middle of the step, in ln(sigma).

    Lu et al. (2022), arXiv 2206.00927, algorithm 1 with r_1 = 1/2. Two evaluations a step, one in the step to 0.
    """
    for here, there in steps(sigmas):
        x = dpm_2_step(denoise, x, here, there)
    return x


def sample_dpmpp_2s(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """Second order: the estimate D in the middle of the step, in ln(sigma), instead of that at its start.

    Lu et al. (2022), arXiv 2211.01095, algorithm 1 with r = 1/2. Two evaluations a step, one in the step to 0.
    """
    for here, there in steps(sigmas):
        x = dpmpp_2s_step(denoise, x, here, there)
    return x


def dpm_2_step(denoise: Denoiser, x: Tensor, here: float, there: float) -> Tensor:
    """One step of `sample_dpm_2`."""
    clean = at(denoise, x, here)
    if there == 0:
        return clean
    middle = math.sqrt(here * there)
    x_middle = torch.lerp(clean, x, middle / here)
    return x + (there - here) * slope(x_middle, at(denoise, x_middle, middle), middle)


def dpmpp_2s_step(denoise: Denoiser, x: Tensor, here: float, there: float) -> Tensor:
    """One step of `sample_dpmpp_2s`."""
    clean = at(denoise, x, here)
    if there == 0:
        return clean
    middle = math.sqrt(here * there)
    x_middle = torch.lerp(clean, x, middle / here)
    return torch.lerp(at(denoise, x_middle, middle), x, there / here)
