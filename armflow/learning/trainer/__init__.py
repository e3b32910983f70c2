"""One trainer for all learned models: steps, averaged weights, checkpoints, metrics, several processes."""

from armflow.learning.trainer.config import Listener, Objective, Progress, Rollouts, TrainConfig, TrainRecord
from armflow.learning.trainer.loop import DivergedError, check_folder, train
from armflow.learning.trainer.metrics import read_metrics
from armflow.learning.trainer.state import ResumeError
from armflow.learning.trainer.team import TeamError, leads

__all__ = [
    "DivergedError",
    "Listener",
    "Objective",
    "Progress",
    "ResumeError",
    "Rollouts",
    "TeamError",
    "TrainConfig",
    "TrainRecord",
    "check_folder",
    "leads",
    "read_metrics",
    "train",
]
