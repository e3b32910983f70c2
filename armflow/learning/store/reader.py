"""Reads datasets: episode by episode with pictures, or all numbers at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from armflow.learning.store.columns import ParquetFile, open_parquet, to_numpy
from armflow.learning.store.entries import Entry, joined_entries, waiting_entries
from armflow.learning.store.errors import DatasetError
from armflow.learning.store.info import Info, read_info
from armflow.learning.store.schema import Feature, Recording, Schema
from armflow.learning.store.table import EpisodeTable
from armflow.learning.store.video import decode_each
from armflow.robot.errors import ChoiceError

__all__ = ["Dataset", "Episode", "open_dataset"]

STAMP = Feature("float64", (1,))
MOST_OPEN = 4  # files kept open; their headers are long


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
        starts: [E + 1] number of each episode's first frame in the whole dataset, and of all frames at the end.
    """

    def __init__(self, directory: Path, info: Info, entries: list[Entry]) -> None:
        self.directory, self.info, self.entries = directory, info, entries
        self.starts = np.cumsum([0, *(entry.length for entry in entries)], dtype=np.int64)
        self._files: dict[str, ParquetFile] = {}

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
        return int(self.starts[-1])

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
        arrays = self.numbers(entry, {name: f for name, f in features.items() if not f.moving})
        for name, feature in features.items():
            if feature.moving:
                arrays[name] = np.stack(list(self.pictures(entry, name)))
        return Recording({name: arrays[name] for name in features}, self.stamps(index), entry.task)

    def stamps(self, index: int) -> np.ndarray:
        """Capture times [T] of one episode, s; multiples of 1 / fps where the dataset has none of ours.

        Raises:
            DatasetError: A file that is missing or damaged, or times that do not rise.
        """
        entry = self.entries[index]
        if (self.directory / entry.capture).is_file():
            table = self._parquet(entry.capture).read(["stamp"], entry.rows)
            stamps = to_numpy(table["stamp"], STAMP, entry.capture, "stamp")
        else:
            stamps = np.arange(entry.length) / self.schema.fps
        if not np.isfinite(stamps).all() or (stamps[1:] <= stamps[:-1]).any():
            frame = int(np.argmin(np.isfinite(stamps) & np.append(True, stamps[1:] > stamps[:-1])))
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
        arrays = {name: np.concatenate([block[name] for block in blocks]) for name in features}
        return EpisodeTable(arrays, self.starts)

    def column(self, name: str, feature: Feature) -> np.ndarray:
        """Read one column of numbers of all episodes, one of the writer's own such as "index" included: [F, ...].

        Raises:
            DatasetError: No such column, or a damaged file.
        """
        return np.concatenate([self._block(group, {name: feature})[name] for group in self._groups()])

    def numbers(self, entry: Entry, features: dict[str, Feature]) -> dict[str, np.ndarray]:
        """Read columns of numbers of one episode, the writer's own such as "index" included: name to [T, ...].

        Raises:
            DatasetError: No such column, or a damaged file.
        """
        return self._columns(entry.data, entry.rows, features)

    def pictures(self, entry: Entry, name: str) -> Iterator[np.ndarray]:
        """Decode one camera's pictures of one episode, one after the other.

        Raises:
            DatasetError: A picture that cannot be decoded; names the frame.
        """
        file, first = entry.videos[name]
        span = (first, first + entry.length)
        return decode_each(self.directory / file, file, self.schema.features[name], self.schema.fps, span)

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
        return self._columns(group[0].data, (group[0].rows[0], group[-1].rows[1]), features)

    def _columns(self, path: str, rows: tuple[int, int], features: dict[str, Feature]) -> dict[str, np.ndarray]:
        if not features:
            return {}
        table = self._parquet(path).read(list(features), rows)
        return {name: to_numpy(table[name], feature, path, name) for name, feature in features.items()}

    def _parquet(self, path: str) -> ParquetFile:
        """Open a file, or take it from the last few that were opened."""
        if path not in self._files:
            while len(self._files) >= MOST_OPEN:
                self._files.pop(next(iter(self._files))).file.close()
            self._files[path] = open_parquet(self.directory / path, self.directory)
        return self._files[path]

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
