"""Samplers that remember earlier steps: one evaluation a step, and an order above one."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from armflow.learning.score.steps import Denoiser, at, noise_like, slope, steps
from armflow.robot.errors import ValueRangeError

__all__ = ["adams_bashforth", "sample_dpmpp_2m", "sample_dpmpp_2m_sde", "sample_lms"]


def sample_lms(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None, order: int = 4
) -> Tensor:
    """Linear multistep: the slope is a polynomial in sigma through the last `order` slopes, integrated exactly.

    Adams and Bashforth's method on uneven steps: Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations
    I", section III.5. The first steps have lower orders, for want of a past; they begin where sigma is large against
    the data and the slope hardly changes.

    Raises:
        ValueRangeError: `order` is below 1.
    """
    if order < 1:
        raise ValueRangeError("order", order, "at least 1")
    levels: list[float] = []
    slopes: list[Tensor] = []
    for here, there in steps(sigmas):
        levels = [here, *levels][:order]
        slopes = [slope(x, at(denoise, x, here), here), *slopes][:order]
        weights = adams_bashforth(levels, there)
        x = x + sum((w * d for w, d in zip(weights, slopes, strict=True)), start=torch.zeros_like(x))
    return x


def adams_bashforth(levels: Sequence[float], there: float) -> list[float]:
    """Weights that integrate, from levels[0] to `there`, the polynomial through values at the given levels.

    With s = (level - levels[0]) / (there - levels[0]), the weights solve sum_j w_j s_j^k = 1 / (k + 1) for all
    k < len(levels): exact for each power, hence for each polynomial.

    Args:
        levels: Different levels, the start of the integral first.
        there: End of the integral.

    Returns:
        One weight for each level, times the width of the integral.
    """
    width = there - levels[0]
    s = (np.asarray(levels) - levels[0]) / width
    powers = np.arange(len(levels))
    return (width * np.linalg.solve(s[None, :] ** powers[:, None], 1 / (powers + 1))).tolist()


def sample_dpmpp_2m(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """Second order: the estimate D, extended in a straight line in ln(sigma) through the last two.

    Lu et al. (2022), arXiv 2211.01095, algorithm 2. The first step and the step to 0 are of first order.
    """
    return sample_dpmpp_2m_sde(denoise, x, sigmas, generator=generator, eta=0.0)


def sample_dpmpp_2m_sde(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None, eta: float = 1.0
) -> Tensor:
    """`sample_dpmpp_2m` on the stochastic equation: x forgets faster and gets fresh noise instead.

    Lu et al. (2022), arXiv 2211.01095, section 5.2 (SDE-DPM-Solver++(2M)): with the share q = (there / here)^(1 + eta),
    x = q x + (1 - q) D' + there sqrt(1 - (there / here)^(2 eta)) z, where z is standard normal and D' is the estimate
    in the middle of the step, extended from the last two. eta = 0 is the deterministic equation.

    Raises:
        ValueRangeError: `eta` is negative.
    """
    if not eta >= 0:
        raise ValueRangeError("eta", eta, "at least 0")
    before: Tensor | None = None
    width_before = math.inf
    for here, there in steps(sigmas):
        clean = at(denoise, x, here)
        if there == 0:
            return clean
        width = math.log(here / there)
        ahead = clean if before is None else clean + (clean - before) * (width / width_before / 2)
        ratio = there / here
        x = torch.lerp(ahead, x, ratio ** (1 + eta))
        if eta > 0:
            x = x + there * math.sqrt(1 - ratio ** (2 * eta)) * noise_like(x, generator)
        before, width_before = clean, width
    return x
