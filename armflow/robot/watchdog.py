"""Notice that observations or commands have stopped coming, and say which."""

from dataclasses import dataclass, field

import numpy as np

from armflow.robot.errors import ValueRangeError

__all__ = ["Watchdog"]


@dataclass(slots=True)
class Watchdog:
    """Remembers when each source was last heard; times are seconds on one clock that the caller reads.

    Attributes:
        limits: Greatest age of each source, s, such as {"observation": 0.5, "command": 0.2}.
    """

    limits: dict[str, float]
    _heard: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse limits that are not positive and finite."""
        for name, limit in self.limits.items():
            if not (np.isfinite(limit) and limit > 0):
                raise ValueRangeError(f"limit of {name}", limit, "positive and finite, in seconds")

    def heard(self, source: str, now: float) -> None:
        """Note that a source was heard at `now`."""
        self._heard[source] = now

    def stop_reason(self, now: float) -> str:
        """Empty while every source is fresh; else what is stale and by how much. A clock that went back is stale."""
        for source, limit in self.limits.items():
            if source not in self._heard:
                return f"no {source} has come yet"
            age = now - self._heard[source]
            if not 0 <= age <= limit:
                return f"{source} is {age:.3f} s old; the limit is {limit:.3f} s"
        return ""
