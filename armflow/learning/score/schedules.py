"""Schedules: the falling noise levels at which a sampler stops on its way from noise to data.

All are even steps in some variable that grows with sigma, from `sigma_max` down to `sigma_min`, and then 0. They differ
in that variable alone: sigma, ln(sigma), a root of sigma, an angle, or the time of a diffusion process.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from armflow.robot.errors import ValueRangeError

__all__ = [
    "SCHEDULES",
    "Schedule",
    "schedule_cosine",
    "schedule_exponential",
    "schedule_karras",
    "schedule_linear",
    "schedule_ve",
    "schedule_vp",
]

Schedule = Callable[[int, float, float], Tensor]  # (n, sigma_min, sigma_max) -> [n + 1] float64 on the CPU


def schedule_linear(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even steps in sigma."""
    return _even(n, sigma_min, sigma_max, lambda sigma: sigma, lambda t: t)


def schedule_exponential(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even steps in ln(sigma): each level is the same share of the one before."""
    return _even(n, sigma_min, sigma_max, math.log, torch.exp)


def schedule_karras(n: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Even steps in sigma^(1/rho): Karras et al. (2022), arXiv 2206.00364, eq. 5."""
    if rho <= 0:
        raise ValueRangeError("rho", rho, "positive")
    return _even(n, sigma_min, sigma_max, lambda sigma: sigma ** (1 / rho), lambda t: t**rho)


def schedule_cosine(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even steps in the angle arctan(sigma), for which the share of signal is its cosine.

    Nichol and Dhariwal (2021), arXiv 2102.09672, eq. 17: alpha_bar = cos^2(angle), and sigma^2 = 1 / alpha_bar - 1 =
    tan^2(angle). Their offset of the angle keeps the last level off zero, as `sigma_min` does here.
    """
    return _even(n, sigma_min, sigma_max, math.atan, torch.tan)


def schedule_vp(n: int, sigma_min: float, sigma_max: float, beta_min: float = 0.1, beta_slope: float = 19.9) -> Tensor:
    """Even steps in the time of the variance-preserving process: Song et al. (2021), arXiv 2011.13456, eq. 32.

    sigma(t)^2 = exp(beta_slope t^2 / 2 + beta_min t) - 1, as in Karras et al. (2022), Table 1, column VP.
    """
    if beta_min < 0 or beta_slope <= 0:
        raise ValueRangeError("beta_min, beta_slope", (beta_min, beta_slope), "at least 0, and positive")

    def time(sigma: float) -> float:
        return (math.sqrt(beta_min**2 + 2 * beta_slope * math.log1p(sigma**2)) - beta_min) / beta_slope

    def level(t: Tensor) -> Tensor:
        return torch.expm1(beta_slope * t**2 / 2 + beta_min * t).sqrt()

    return _even(n, sigma_min, sigma_max, time, level)


def schedule_ve(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even steps in ln(sigma^2), the time of the variance-exploding process: Karras et al. (2022), Table 1, column VE.

    These are the levels of `schedule_exponential`, under the name that papers on variance-exploding models use.
    """
    return _even(n, sigma_min, sigma_max, lambda sigma: 2 * math.log(sigma), lambda t: torch.exp(t / 2))


SCHEDULES: dict[str, Schedule] = {
    "exponential": schedule_exponential,
    "linear": schedule_linear,
    "karras": schedule_karras,
    "cosine": schedule_cosine,
    "vp": schedule_vp,
    "ve": schedule_ve,
}


def _even(
    n: int, sigma_min: float, sigma_max: float, time: Callable[[float], float], level: Callable[[Tensor], Tensor]
) -> Tensor:
    """Noise levels at n even steps of time(sigma), and 0 after them.

    Args:
        n: Number of steps of the sampler, at least 1.
        sigma_min: Last level before 0, positive.
        sigma_max: First level, above `sigma_min`.
        time: A growing function of the level.
        level: Its inverse.

    Returns:
        [n + 1] falling levels, float64 on the CPU; the first is `sigma_max`, the last 0. With n = 1: [sigma_max, 0].

    Raises:
        ValueRangeError: No step, or bounds that are not 0 < sigma_min < sigma_max < inf.
    """
    if n < 1:
        raise ValueRangeError("n", n, "at least 1 step")
    if not 0 < sigma_min < sigma_max < math.inf:
        raise ValueRangeError("sigma_min, sigma_max", (sigma_min, sigma_max), "0 < sigma_min < sigma_max < inf")
    levels = level(torch.linspace(time(sigma_max), time(sigma_min), n, dtype=torch.float64))
    levels[-1], levels[0] = sigma_min, sigma_max  # exact at both ends
    return torch.cat([levels, levels.new_zeros(1)])
