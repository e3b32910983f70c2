"""What BESO is compared with, on the same data: goal-conditioned behaviour cloning, and C-BeT's bins of actions."""

from armflow.policies.baselines.bins import BinError, find_bins, nearest
from armflow.policies.baselines.methods import BaselinePolicy, BinnedActions, Clone
from armflow.policies.baselines.networks import GoalMLP, GoalTransformer
from armflow.policies.baselines.objective import (
    METHODS,
    PRESETS,
    BaselineConfig,
    BaselineConfigError,
    BaselineObjective,
    build_policy,
    load_policy,
    make_objective,
)

__all__ = [
    "METHODS",
    "PRESETS",
    "BaselineConfig",
    "BaselineConfigError",
    "BaselineObjective",
    "BaselinePolicy",
    "BinError",
    "BinnedActions",
    "Clone",
    "GoalMLP",
    "GoalTransformer",
    "build_policy",
    "find_bins",
    "load_policy",
    "make_objective",
    "nearest",
]
