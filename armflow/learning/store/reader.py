"""Reads datasets: episode by episode with pictures, or all numbers at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from armflow.learning.store.columns import open_parquet, read_columns, to_numpy
from armflow.learning.store.entries import Entry, joined_entries, waiting_entries
from armflow.learning.store.errors import DatasetError
from armflow.learning.store.info import Info, read_info
from armflow.learning.store.schema import Feature, Recording, Schema
from armflow.learning.store.table import EpisodeTable
from armflow.learning.store.video import decode
from armflow.robot.errors import ChoiceError

__all__ = ["Dataset", "Episode", "open_dataset"]

STAMP = Feature("float64", (1,))


@dataclass(frozen=True, slots=True)
class Episode:
    """One line of a dataset's table of contents."""

    index: int
    length: int
    task: str


class Dataset:
    """A dataset on disk; nothing but its table of contents is in memory.

    Attributes:
        directory: Where it lies.
        info: What its info.json says.
        entries: Where each episode lies, finished episodes that are not yet joined included.
    """

    def __init__(self, directory: Path, info: Info, entries: list[Entry]) -> None:
        self.directory, self.info, self.entries = directory, info, entries
        self._open: tuple[str, pq.ParquetFile] | None = None

    @property
    def schema(self) -> Schema:
        """What every episode holds."""
        return self.info.schema

    @property
    def episodes(self) -> list[Episode]:
        """Number, length and instruction of each episode."""
        return [Episode(entry.index, entry.length, entry.task) for entry in self.entries]

    @property
    def frames(self) -> int:
        """Frames of all episodes together."""
        return sum(entry.length for entry in self.entries)

    def read(self, index: int, names: Sequence[str] | None = None) -> Recording:
        """Read one episode, with its pictures.

        Args:
            index: Number of the episode, 0 to len(episodes) - 1.
            names: Features to read; all if None.

        Raises:
            ChoiceError: No such episode or feature.
            DatasetError: A file that is missing or damaged; names the file and the field or frame.
        """
        if not 0 <= index < len(self.entries):
            raise ChoiceError("episode", index, [f"0 to {len(self.entries) - 1}"])
        entry = self.entries[index]
        features = {name: self._feature(name) for name in (self.schema.features if names is None else names)}
        arrays = self._numbers(entry, {name: f for name, f in features.items() if not f.moving})
        for name, feature in features.items():
            if feature.moving:
                file, first = entry.videos[name]
                span = (first, first + entry.length)
                arrays[name] = decode(self.directory / file, file, feature, self.schema.fps, span)
        return Recording({name: arrays[name] for name in features}, self.stamps(index), entry.task)

    def stamps(self, index: int) -> np.ndarray:
        """Capture times [T] of one episode, s; multiples of 1 / fps where the dataset has none of ours.

        Raises:
            DatasetError: A file that is missing or damaged, or times that do not rise.
        """
        entry = self.entries[index]
        if (self.directory / entry.capture).is_file():
            file = open_parquet(self.directory / entry.capture, self.directory)
            table = read_columns(file, ["stamp"], entry.capture, entry.rows)
            stamps = to_numpy(table["stamp"], STAMP, entry.capture, "stamp")
        else:
            stamps = np.arange(entry.length) / self.schema.fps
        if not np.isfinite(stamps).all() or (np.diff(stamps) <= 0).any():
            frame = int(np.argmin(np.diff(stamps, prepend=-np.inf) > 0))
            raise DatasetError(entry.capture, f"episode {index}, frame {frame}", "capture times do not rise")
        return stamps

    def table(self, names: Sequence[str] = ("observation.state", "action")) -> EpisodeTable:
        """Read columns of numbers of all episodes into memory.

        Raises:
            ChoiceError: No such column.
            DatasetError: A column of pictures, an empty dataset, or a damaged file.
        """
        features = {name: self._feature(name) for name in names}
        for name, feature in features.items():
            if feature.moving:
                raise DatasetError(self.directory, name, "is video; a table holds numbers, read episodes instead")
        if not self.entries:
            raise DatasetError(self.directory, "episodes", "there are none")
        blocks = [self._block(group, features) for group in self._groups()]
        starts = np.concatenate([[0], np.cumsum([entry.length for entry in self.entries])]).astype(np.int64)
        return EpisodeTable({name: np.concatenate([block[name] for block in blocks]) for name in features}, starts)

    def column(self, name: str, feature: Feature) -> np.ndarray:
        """Read one column of numbers of all episodes, one of the writer's own such as "index" included: [F, ...].

        Raises:
            DatasetError: No such column, or a damaged file.
        """
        return np.concatenate([self._block(group, {name: feature})[name] for group in self._groups()])

    def _groups(self) -> list[list[Entry]]:
        """Episodes of one data file each, in order."""
        groups: list[list[Entry]] = []
        for entry in self.entries:
            if groups and groups[-1][0].data == entry.data and groups[-1][-1].rows[1] == entry.rows[0]:
                groups[-1].append(entry)
            else:
                groups.append([entry])
        return groups

    def _block(self, group: list[Entry], features: dict[str, Feature]) -> dict[str, np.ndarray]:
        path, rows = group[0].data, (group[0].rows[0], group[-1].rows[1])
        file = self._parquet(path)
        whole = rows == (0, file.metadata.num_rows)
        table = read_columns(file, list(features), path, None if whole else rows)
        if table.num_rows != rows[1] - rows[0]:
            raise DatasetError(path, "rows", f"{table.num_rows} rows; the episodes need {rows[1] - rows[0]}")
        return {name: to_numpy(table[name], feature, path, name) for name, feature in features.items()}

    def _numbers(self, entry: Entry, features: dict[str, Feature]) -> dict[str, np.ndarray]:
        if not features:
            return {}
        table = read_columns(self._parquet(entry.data), list(features), entry.data, entry.rows)
        return {name: to_numpy(table[name], feature, entry.data, name) for name, feature in features.items()}

    def _parquet(self, path: str) -> pq.ParquetFile:
        if self._open is None or self._open[0] != path:
            self._open = (path, open_parquet(self.directory / path, self.directory))
        return self._open[1]

    def _feature(self, name: str) -> Feature:
        if name not in self.schema.features:
            raise ChoiceError("feature", name, self.schema.features)
        return self.schema.features[name]


def open_dataset(directory: str | Path) -> Dataset:
    """Open a LeRobotDataset v3.0, ours or another's, with the finished episodes that are not yet joined.

    Raises:
        DatasetError: Not a dataset, or a damaged table of contents; names the file and the field.
    """
    root = Path(directory)
    info = read_info(root)
    entries = joined_entries(root, info)
    return Dataset(root, info, entries + waiting_entries(root, info.schema, len(entries)))
