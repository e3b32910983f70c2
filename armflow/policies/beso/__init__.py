"""BESO: goal-conditioned score-based diffusion policies, Reuss et al. (2023), arXiv 2304.02532."""

from armflow.policies.beso.config import MODELS, BesoConfig
from armflow.policies.beso.network import ScoreTransformer
from armflow.policies.beso.objective import BesoObjective, make_objective
from armflow.policies.beso.policy import BesoPolicy

__all__ = ["MODELS", "BesoConfig", "BesoObjective", "BesoPolicy", "ScoreTransformer", "make_objective"]
