"""Settings of BESO, and its presets."""

from dataclasses import dataclass, field
from typing import Any

from armflow.learning.score import SAMPLERS, SCHEDULES
from armflow.policies.backbone import BackboneConfig
from armflow.policies.play import PlayConfig
from armflow.robot.errors import ChoiceError, ValueRangeError

__all__ = ["MODELS", "PRESETS", "BesoConfig"]


@dataclass(frozen=True, slots=True)
class BesoConfig:
    """Model, noise and sampler.

    Attributes:
        play: Windows and goals.
        backbone: Size of the transformer.
        goal_dropout: Share of training windows whose whole goal is hidden.
        sigma_data: Spread of the scaled actions: 1, as they are standardised.
        sigma_min: Smallest noise level.
        sigma_max: Largest noise level, where sampling starts.
        sigma_median: Median of the log-logistic density that training draws noise levels from, before it is cut off at
            both ends; high, training dwells on the choice between ways to act, low, on their last digits.
        sampler: A key of `SAMPLERS`.
        schedule: A key of `SCHEDULES`.
        steps: Denoising steps.
        guidance: Strength of classifier-free guidance: 0 ignores the goal, 1 follows it as learned.
        execute: Actions of a chunk that are carried out before the next look.
    """

    play: PlayConfig = field(default_factory=PlayConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    goal_dropout: float = 0.1
    sigma_data: float = 1.0
    sigma_min: float = 0.05
    sigma_max: float = 2.0
    sigma_median: float = 0.5
    sampler: str = "ddim"
    schedule: str = "exponential"
    steps: int = 3
    guidance: float = 1.0
    execute: int = 1

    def __post_init__(self) -> None:
        """Check names and ranges."""
        for what, name, known in (("sampler", self.sampler, SAMPLERS), ("schedule", self.schedule, SCHEDULES)):
            if name not in known:
                raise ChoiceError(what, name, known)
        if not 0 <= self.goal_dropout < 1:
            raise ValueRangeError("goal_dropout", self.goal_dropout, "at least 0 and below 1")
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueRangeError("sigma_max", self.sigma_max, f"above sigma_min = {self.sigma_min} > 0")
        if not self.sigma_median > 0:
            raise ValueRangeError("sigma_median", self.sigma_median, "above 0")
        if self.steps < 1:
            raise ValueRangeError("steps", self.steps, "at least 1")
        if not 1 <= self.execute <= self.play.chunk:
            raise ValueRangeError("execute", self.execute, f"1 to chunk = {self.play.chunk}")

    @classmethod
    def read(cls, values: dict[str, Any]) -> "BesoConfig":
        """Rebuild from the JSON of `dataclasses.asdict`."""
        rest = {key: value for key, value in values.items() if key not in ("play", "backbone")}
        return cls(play=PlayConfig(**values["play"]), backbone=BackboneConfig(**values["backbone"]), **rest)


_SHORT = PlayConfig(window=1, final_share=0.5, exchanged=True, displaced=0.004, settled=0.3)

MODELS: dict[str, BesoConfig] = {
    "quick": BesoConfig(_SHORT, BackboneConfig(64, 2, 4, 0.0), sigma_median=2.0, schedule="linear"),
    "full": BesoConfig(_SHORT, BackboneConfig(64, 3, 4, 0.0), sigma_median=2.0, schedule="linear"),
    "play": BesoConfig(
        PlayConfig(window=1, chunk=4, horizon=40, changed_share=0.8, exchanged=True, displaced=0.004),
        BackboneConfig(64, 3, 4, 0.0),
        sigma_median=2.0,
        schedule="linear",
        execute=2,
    ),
    "published": BesoConfig(),
}
"""Models by preset.

One frame and a small transformer learn block push ten times as fast as the published size on a processor. Three steps
leave no time to change one's mind: noise levels high enough that the choice is still open matter more, in training and
in the linear schedule, than those at which it has been made. "play" is for long play, where goals lie seconds ahead;
"published" is 4 blocks of 240 numbers with 12 heads and five frames (Reuss et al. 2023).
"""

_SMALL = {"precision": "fp32", "learning_rate": 3e-3}  # matrices of 64 columns are too small for bf16 to pay

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {**_SMALL, "steps": 8_000, "batch": 128, "evaluate_every": 2_000, "save_every": 1_000},
    "full": {**_SMALL, "steps": 25_000, "batch": 256, "evaluate_every": 2_500, "save_every": 2_500},
    "play": {**_SMALL, "steps": 25_000, "batch": 256, "evaluate_every": 2_500, "save_every": 2_500},
    "published": {"steps": 60_000, "batch": 1024, "learning_rate": 1e-4, "evaluate_every": 4_000, "decay": "constant"},
}
"""Settings of the trainer by preset, the same for the baselines."""
