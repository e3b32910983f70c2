"""k-means: a few actions that stand for all, each in the middle of those nearest to it."""

import numpy as np

from armflow.robot.errors import StackError

__all__ = ["BinError", "find_bins", "nearest"]


class BinError(StackError):
    """The data do not hold as many different actions as there are to be bins."""


def find_bins(points: np.ndarray, count: int, *, rng: np.random.Generator, rounds: int = 50) -> np.ndarray:
    """Find the centres that leave a small sum of squared distances from each point to its nearest centre.

    Starts are spread out by k-means++: each next start is drawn with a probability proportional to the squared distance
    from those before it. Lloyd's rounds then move each centre into the middle of its points, until none moves.

    Args:
        points: [N, D] finite.
        count: Number of centres K.
        rng: Draws the starts.
        rounds: Most rounds.

    Returns:
        [K, D] centres, all different.

    Raises:
        BinError: Fewer than K different points.

    Reference:
        Arthur and Vassilvitskii (2007), "k-means++"; Lloyd (1982), doi:10.1109/TIT.1982.1056489.
    """
    different = len(np.unique(points, axis=0))
    if not 1 <= count <= different:
        raise BinError(f"{count} bins need as many different actions; the data have {different}: ask for fewer bins")
    centres = _spread_out(points, count, rng)
    for _ in range(rounds):
        moved = _middles(points, centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Number [N] of the centre [K, D] that lies nearest to each point [N, D]."""
    return _squared_distances(points, centres).argmin(axis=1)


def _spread_out(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    chosen = [int(rng.integers(len(points)))]
    distances = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    for _ in range(count - 1):
        chosen.append(int(rng.choice(len(points), p=distances / distances.sum())))
        distances = np.minimum(distances, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return points[chosen]


def _middles(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Mean of the points of each centre; one without points stays where it is."""
    owner = nearest(points, centres)
    counts = np.bincount(owner, minlength=len(centres))
    sums = np.stack([np.bincount(owner, column, minlength=len(centres)) for column in points.T], axis=1)
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)


def _squared_distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """[N, K], built up one dimension at a time: small differences of large numbers stay exact."""
    total = np.zeros((len(points), len(centres)))
    for column, centre in zip(points.T, centres.T, strict=True):
        total += (column[:, None] - centre) ** 2
    return total
