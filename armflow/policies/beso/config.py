"""Settings of BESO, and its presets."""

from dataclasses import dataclass, field
from typing import Any

from armflow.learning.score import SAMPLERS, SCHEDULES
from armflow.policies.backbone import BackboneConfig
from armflow.policies.play import PlayConfig
from armflow.robot.errors import ChoiceError, ValueRangeError

__all__ = ["MODELS", "BesoConfig"]


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
        if self.steps < 1:
            raise ValueRangeError("steps", self.steps, "at least 1")
        if not 1 <= self.execute <= self.play.chunk:
            raise ValueRangeError("execute", self.execute, f"1 to chunk = {self.play.chunk}")

    @classmethod
    def read(cls, values: dict[str, Any]) -> "BesoConfig":
        """Rebuild from the JSON of `dataclasses.asdict`."""
        rest = {key: value for key, value in values.items() if key not in ("play", "backbone")}
        return cls(play=PlayConfig(**values["play"]), backbone=BackboneConfig(**values["backbone"]), **rest)


MODELS: dict[str, BesoConfig] = {
    "quick": BesoConfig(play=PlayConfig(window=2, final_share=0.5), backbone=BackboneConfig(64, 3, 4, 0.0)),
    "full": BesoConfig(play=PlayConfig(window=2, final_share=0.5), backbone=BackboneConfig(128, 4, 8, 0.0)),
    "published": BesoConfig(),
}
"""Settings by preset; "published" is the size of Reuss et al. (2023), table of block push: 4 x 240 x 12, window 5."""
