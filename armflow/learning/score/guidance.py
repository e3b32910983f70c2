"""Classifier-free guidance: one denoiser out of a conditional and an unconditional one."""

import torch
from torch import Tensor

from armflow.learning.score.steps import Denoiser

__all__ = ["guide"]


def guide(conditional: Denoiser, unconditional: Denoiser, strength: float) -> Denoiser:
    """Mix two denoisers: D = D_unconditional + strength (D_conditional - D_unconditional).

    Strength 0 ignores the condition, 1 follows it as it was learned, above 1 exaggerates it. At 0 and 1 one evaluation
    is enough, and only one is made.

    Reference:
        Ho and Salimans (2022), arXiv 2207.12598, eq. 6 with strength = 1 + w; Reuss et al. (2023), arXiv 2304.02532.
    """
    if strength == 0:
        return unconditional
    if strength == 1:
        return conditional

    def guided(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.lerp(unconditional(x, sigma), conditional(x, sigma), strength)

    return guided
