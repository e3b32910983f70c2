"""Score-based generation: preconditioning, noise levels, samplers and guidance, for any network.

Samplers call a denoiser (x [B, ...], sigma []) -> estimate of the clean x. What else it depends on is
bound by the caller: `sample_heun(partial(denoise, goal=goal), x, sigmas)`.
"""

from armflow.learning.score.ancestral import (
    sample_dpm_2_ancestral,
    sample_dpmpp_2s_ancestral,
    sample_euler_ancestral,
)
from armflow.learning.score.densities import DrawSigma, LogNormal, TruncatedLogLogistic
from armflow.learning.score.guidance import guide
from armflow.learning.score.multi_step import sample_dpmpp_2m, sample_dpmpp_2m_sde, sample_lms
from armflow.learning.score.one_step import sample_ddim, sample_dpm_2, sample_dpmpp_2s, sample_euler, sample_heun
from armflow.learning.score.preconditioning import Network, Preconditioning
from armflow.learning.score.schedules import (
    SCHEDULES,
    Schedule,
    schedule_cosine,
    schedule_exponential,
    schedule_karras,
    schedule_linear,
    schedule_ve,
    schedule_vp,
)
from armflow.learning.score.steps import Denoiser, Sampler

__all__ = [
    "SAMPLERS",
    "SCHEDULES",
    "Denoiser",
    "DrawSigma",
    "LogNormal",
    "Network",
    "Preconditioning",
    "Sampler",
    "Schedule",
    "TruncatedLogLogistic",
    "guide",
    "sample_ddim",
    "sample_dpm_2",
    "sample_dpm_2_ancestral",
    "sample_dpmpp_2m",
    "sample_dpmpp_2m_sde",
    "sample_dpmpp_2s",
    "sample_dpmpp_2s_ancestral",
    "sample_euler",
    "sample_euler_ancestral",
    "sample_heun",
    "sample_lms",
    "schedule_cosine",
    "schedule_exponential",
    "schedule_karras",
    "schedule_linear",
    "schedule_ve",
    "schedule_vp",
]

SAMPLERS: dict[str, Sampler] = {
    "ddim": sample_ddim,
    "euler": sample_euler,
    "euler_ancestral": sample_euler_ancestral,
    "heun": sample_heun,
    "dpm_2": sample_dpm_2,
    "dpm_2_ancestral": sample_dpm_2_ancestral,
    "lms": sample_lms,
    "dpmpp_2s": sample_dpmpp_2s,
    "dpmpp_2s_ancestral": sample_dpmpp_2s_ancestral,
    "dpmpp_2m": sample_dpmpp_2m,
    "dpmpp_2m_sde": sample_dpmpp_2m_sde,
}
