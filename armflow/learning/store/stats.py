"""Statistics of features as LeRobot's stats.json keeps them: min, max, mean, std, count and five quantiles.

Numbers are counted entry by entry over all frames; pictures channel by channel, colour in 0..1, depth in codes, over a
grid of at most a few thousand pixels of every frame.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from armflow.learning.store.schema import DEPTH_CODES, Feature

__all__ = ["QUANTILES", "PixelCounter", "combine", "number_statistics"]

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
MOST_ROWS = 1 << 20  # for quantiles: every k-th row, so that no more than this are sorted
PIXELS = 4096  # of one frame, about

Statistics = dict[str, np.ndarray]


def number_statistics(array: np.ndarray) -> Statistics:
    """Statistics over the first axis of [F, ...]; a column [F] counts as [F, 1]."""
    rows = array.reshape(len(array), -1) if array.ndim < 2 else array
    wide = rows.astype(np.float64)
    stride = -(-len(rows) // MOST_ROWS)
    with np.errstate(all="ignore"):  # what is infinite gives NaN here, and `check` names it
        quantiles = np.quantile(wide[::stride], list(QUANTILES.values()), axis=0)
        return {
            "min": wide.min(axis=0),
            "max": wide.max(axis=0),
            "mean": wide.mean(axis=0),
            "std": wide.std(axis=0),
            "count": np.array([len(rows)]),
            **dict(zip(QUANTILES, quantiles, strict=True)),
        }


class PixelCounter:
    """Counts how often each value appears in each channel of a camera's pictures."""

    def __init__(self, feature: Feature) -> None:
        self.depth = feature.dtype == "depth"
        self.frames = 0
        self._levels = DEPTH_CODES if self.depth else 256
        self._counts = np.zeros((1 if self.depth else 3, self._levels), np.int64)
        self._step = max(1, int(np.sqrt(feature.shape[0] * feature.shape[1] / PIXELS)))

    def add(self, picture: np.ndarray) -> None:
        """Count one picture, [H, W, 3] uint8 or [H, W] uint16."""
        grid = picture[:: self._step, :: self._step]
        grid = grid.reshape(-1, len(self._counts))
        for channel, counts in enumerate(self._counts):
            counts += np.bincount(grid[:, channel], minlength=self._levels)
        self.frames += 1

    def statistics(self) -> Statistics:
        """Statistics of all pictures so far; each entry is [C, 1, 1]."""
        values = np.arange(self._levels) / (1 if self.depth else self._levels - 1)
        weights = self._counts / self._counts.sum(axis=1, keepdims=True)
        mean = weights @ values
        result = {
            "min": values[(self._counts > 0).argmax(axis=1)],
            "max": values[self._levels - 1 - (self._counts[:, ::-1] > 0).argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(weights @ values**2 - mean**2, 0)),
        }
        cumulative = weights.cumsum(axis=1)
        for name, level in QUANTILES.items():
            result[name] = values[(cumulative >= level - 1e-12).argmax(axis=1)]
        return {name: value.reshape(-1, 1, 1) for name, value in result.items()} | {"count": np.array([self.frames])}


def combine(parts: Iterable[Statistics]) -> Statistics:
    """Statistics of several parts together; exact except the quantiles, which are averages weighted by count.

    Reference:
        Chan, Golub, LeVeque (1983), doi:10.1080/00031305.1983.10483115, equation 2.1 for mean and variance.
    """
    parts = list(parts)
    counts = np.array([float(part["count"][0]) for part in parts])
    shares = counts / counts.sum()

    def average(name: str) -> np.ndarray:
        return np.tensordot(shares, np.stack([part[name] for part in parts]), axes=1)

    mean = average("mean")
    spread = np.stack([part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in parts])
    return {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(np.tensordot(shares, spread, axes=1)),
        "count": np.array([int(counts.sum())]),
        **{name: average(name) for name in QUANTILES},
    }


def to_lists(statistics: Statistics) -> dict[str, Any]:
    """Turn arrays into lists for JSON."""
    return {name: value.tolist() for name, value in statistics.items()}
