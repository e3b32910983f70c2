"""All frames of all episodes, end to end in memory: what training reads."""

from dataclasses import dataclass

import numpy as np

from armflow.robot.errors import ShapeError

__all__ = ["EpisodeTable", "join"]


@dataclass(frozen=True, slots=True)
class EpisodeTable:
    """Columns of numbers over the frames of all episodes.

    Attributes:
        arrays: Name to [F, ...], one row a frame, episodes one after the other.
        starts: [E + 1] int64, the first row of each episode, and F at the end.
    """

    arrays: dict[str, np.ndarray]
    starts: np.ndarray

    def __post_init__(self) -> None:
        starts = self.starts
        if starts.ndim != 1 or starts.dtype != np.int64 or not len(starts) or starts[0] != 0:
            raise ShapeError("starts", "int64 [E + 1] that begins with 0", f"{starts.dtype} {starts.shape}")
        if (np.diff(starts) < 1).any():
            raise ShapeError("starts", "rising: no episode is empty", f"episode {int(np.argmin(np.diff(starts)))}")
        for name, array in self.arrays.items():
            if not array.ndim or len(array) != starts[-1]:
                raise ShapeError(name, f"an array of {starts[-1]} frames", array.shape)

    @property
    def frames(self) -> int:
        """Number of frames F of all episodes together."""
        return int(self.starts[-1])

    @property
    def episodes(self) -> int:
        """Number of episodes E."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """[E] frames of each episode."""
        return np.diff(self.starts)

    def episode(self, index: int) -> dict[str, np.ndarray]:
        """Views of one episode's rows, name to [T, ...]."""
        rows = slice(int(self.starts[index]), int(self.starts[index + 1]))
        return {name: array[rows] for name, array in self.arrays.items()}

    def select(self, episodes: np.ndarray) -> "EpisodeTable":
        """Copy some episodes, in the order given, into a table of their own."""
        rows = [np.arange(int(self.starts[e]), int(self.starts[e + 1])) for e in episodes]
        order = np.concatenate(rows) if rows else np.empty(0, np.int64)
        starts = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
        return EpisodeTable({name: array[order] for name, array in self.arrays.items()}, starts)


def join(episodes: list[dict[str, np.ndarray]]) -> EpisodeTable:
    """Put episodes, each a dict of name to [T, ...] with the same names, end to end.

    Raises:
        ShapeError: No episodes, no columns, an empty episode, or columns of different length.
    """
    if not episodes or not episodes[0]:
        raise ShapeError("episodes", "at least one episode with one column", len(episodes))
    first = next(iter(episodes[0]))
    starts = np.concatenate([[0], np.cumsum([len(episode[first]) for episode in episodes])]).astype(np.int64)
    names = list(episodes[0])
    return EpisodeTable({name: np.concatenate([episode[name] for episode in episodes]) for name in names}, starts)
