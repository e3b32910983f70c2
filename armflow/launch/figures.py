"""Success rates with intervals, and latencies in two numbers."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

__all__ = ["latency_summary", "wilson_interval"]


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the Wilson score interval of a success rate, 95 % by default; (0, 1) without trials.

    (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n) with p = successes/n.

    Reference:
        Wilson (1927), doi:10.1080/01621459.1927.10502953.
    """
    if trials == 0:
        return 0.0, 1.0
    p = successes / trials
    center = p + z * z / (2 * trials)
    spread = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low, high = max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)
    return (0.0 if successes == 0 else low), (1.0 if successes == trials else high)


def latency_summary(samples: Iterable[Mapping[str, list[float]]]) -> dict[str, dict[str, float]]:
    """Pool the latencies of many episodes: stage -> count, median_ms and p95_ms."""
    pooled: dict[str, list[float]] = {}
    for one in samples:
        for stage, values in one.items():
            pooled.setdefault(stage, []).extend(values)
    return {
        stage: {
            "count": len(values),
            "median_ms": round(float(np.median(values)), 4),
            "p95_ms": round(float(np.percentile(values, 95)), 4),
        }
        for stage, values in pooled.items()
        if values
    }
