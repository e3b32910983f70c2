"""`MPPIConfig`: how much is tried, how widely, and how sharply the best of it is followed."""

from dataclasses import dataclass, fields

import numpy as np

from armflow.robot.errors import ValueRangeError

__all__ = ["PRESETS", "HandLimits", "MPPIConfig"]


@dataclass(frozen=True, slots=True)
class MPPIConfig:
    """Settings of the search.

    Attributes:
        samples: Hand paths tried in a round, those of all contacts together.
        steps: Steps of a path.
        rounds: Rounds of trying and averaging.
        contacts: Contacts (places to grasp or to push from) that are searched side by side at first; halved until one
            is left.
        dt: Length of a step, s; the time step of the dynamics model.
        knots: Points of the spline that disturbs the velocities of one path.
        noise: Standard deviation of that disturbance along x, y and z, m/s.
        decay: What the disturbance is multiplied by after each round.
        temperature: Temperature of the weights, as a share of the spread (standard deviation) of the costs of a round.
        update: Whether rounds build upon each other; without it the best of all samples is taken (random shooting).
    """

    samples: int = 32
    steps: int = 10
    rounds: int = 20
    contacts: int = 8
    dt: float = 0.1
    knots: int = 4
    noise: tuple[float, float, float] = (0.10, 0.10, 0.04)
    decay: float = 0.93
    temperature: float = 0.3
    update: bool = True

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueRangeError: A count below 1, or a length or temperature that is not positive.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and value < 1:
                raise ValueRangeError(field.name, value, "at least 1")
        if self.knots > self.steps + 1:
            raise ValueRangeError("knots", self.knots, f"at most steps + 1 = {self.steps + 1}")
        for name in ("dt", "temperature", "decay"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueRangeError(name, getattr(self, name), "positive and finite")
        if min(self.noise) < 0 or not np.isfinite(self.noise).all():
            raise ValueRangeError("noise", self.noise, "finite and not negative")


PRESETS = {
    "full": MPPIConfig(),
    "quick": MPPIConfig(samples=16, rounds=6, contacts=4, decay=0.85),
}


@dataclass(frozen=True, slots=True)
class HandLimits:
    """Where the hand may go and how fast; the search never leaves them.

    Attributes:
        low: [3] lowest position of the tool, m, world.
        high: [3] highest position, m.
        speed: Greatest speed, m/s.
    """

    low: np.ndarray
    high: np.ndarray
    speed: float

    def __post_init__(self) -> None:
        """Check that there is room.

        Raises:
            ValueRangeError: An empty box, or a speed that is not positive.
        """
        if not (np.asarray(self.low) < np.asarray(self.high)).all():
            raise ValueRangeError("low", self.low, f"below high = {self.high}")
        if not (np.isfinite(self.speed) and self.speed > 0):
            raise ValueRangeError("speed", self.speed, "positive and finite, m/s")
