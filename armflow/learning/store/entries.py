"""Where each episode lies: rows of meta/episodes, and finished episodes that wait in recording/."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from armflow.learning.store import layout
from armflow.learning.store.columns import read_rows
from armflow.learning.store.errors import DatasetError, reading
from armflow.learning.store.info import MOST_FRAMES, Info, load_json
from armflow.learning.store.schema import Schema
from armflow.learning.store.stats import QUANTILES

__all__ = ["Entry", "Seal", "joined_entries", "read_seal", "read_tasks", "waiting_entries"]

MOST_EPISODES = 10_000_000
MOST_FILES = 100_000
STATISTICS = {"min", "max", "mean", "std", "count", *QUANTILES}
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one episode lies.

    Attributes:
        index: Number of the episode.
        length: Frames T.
        task: The instruction.
        data: Data file, relative to the dataset.
        rows: First row in that file and the one after the last.
        capture: File of capture times, row by row as the data file; it need not exist.
        videos: Feature to file and number of the first frame in it.
        chunk: Chunk and file index of the data file, and of each video by feature; empty while it waits.
    """

    index: int
    length: int
    task: str
    data: str
    rows: tuple[int, int]
    capture: str
    videos: dict[str, tuple[str, int]]
    chunk: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seal:
    """What a finished episode's seal.json says: it is written last.

    Attributes:
        length: Frames T.
        task: The instruction.
        files: File name to size in bytes and CRC-32.
        stats: Feature to its statistics, as lists.
    """

    length: int
    task: str
    files: dict[str, tuple[int, int]]
    stats: dict[str, Any]


def joined_entries(root: Path, info: Info) -> list[Entry]:
    """Read meta/episodes as far as info.json announces it.

    Raises:
        DatasetError: Unreadable, or numbers that contradict each other; names the episode.
    """
    total = info.counts.episodes
    if not total:
        return []
    if total > MOST_EPISODES:
        raise DatasetError(layout.INFO, "total_episodes", f"is {total}; at most {MOST_EPISODES}")
    paths = sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet"))
    rows: list[dict[str, Any]] = []
    for path in paths[:MOST_FILES]:
        rows += read_rows(path, root, MOST_EPISODES)
    entries: list[Entry] = []
    bases: dict[tuple[int, int], int] = {}  # the dataset row that is the first of each data file
    with reading("meta/episodes", "rows"):
        rows.sort(key=lambda row: row["episode_index"])
        if len(rows) < total:
            raise DatasetError("meta/episodes", "rows", f"lists {len(rows)} episodes; info.json announces {total}")
        start = 0
        for index, row in enumerate(rows[:total]):
            entries.append(_entry(index, row, start, bases, info))
            start += entries[-1].length
    if start != info.counts.frames:
        raise DatasetError(layout.INFO, "total_frames", f"is {info.counts.frames}; the episodes have {start}")
    return entries


def _entry(index: int, row: dict[str, Any], start: int, bases: dict[tuple[int, int], int], info: Info) -> Entry:
    where = f"episode {index}"
    with reading("meta/episodes", where):
        if row["episode_index"] != index:
            raise DatasetError("meta/episodes", where, f"the next row says episode {row['episode_index']}")
        length = _number(row, "length", where)
        if (
            length < 1
            or _number(row, "dataset_from_index", where) != start
            or row["dataset_to_index"] != start + length
        ):
            span = f"{row['dataset_from_index']} to {row['dataset_to_index']}"
            raise DatasetError("meta/episodes", where, f"{length} frames, rows {span}; they must begin with {start}")
        tasks = row.get("tasks") or [""]
        place = _number(row, "data/chunk_index", where), _number(row, "data/file_index", where)
        first = start - bases.setdefault(place, start)
        data = layout.fill(info.data_path, *place)
        chunks, videos = {"data": place}, {}
        for name, feature in info.schema.features.items():
            if feature.moving:
                at = _number(row, f"videos/{name}/chunk_index", where), _number(row, f"videos/{name}/file_index", where)
                seconds = float(row[f"videos/{name}/from_timestamp"])
                if not 0 <= seconds * info.schema.fps < MOST_FRAMES or not info.video_path:
                    raise DatasetError("meta/episodes", where, f"{name} begins at {seconds} s")
                chunks[name] = at
                videos[name] = (layout.fill(info.video_path, *at, name), round(seconds * info.schema.fps))
        task = str(tasks[0] if isinstance(tasks, list) else tasks)
        return Entry(index, length, task, data, (first, first + length), layout.capture_file(data), videos, chunks)


def _number(row: dict[str, Any], name: str, where: str) -> int:
    value = row[name]
    if not isinstance(value, int) or not 0 <= value <= MOST_FRAMES:
        raise DatasetError("meta/episodes", where, f"{name} is {value}")
    return value


def read_tasks(root: Path) -> list[str]:
    """Read meta/tasks.parquet: the instructions in the order of their numbers; [] where there is none.

    Raises:
        DatasetError: Unreadable, or numbers that are not 0, 1, 2 ...
    """
    path = root / layout.TASKS
    if not path.exists():
        return []
    with reading(layout.TASKS, "task_index"):
        rows = sorted(read_rows(path, root, MOST_EPISODES), key=lambda row: row["task_index"])
        if [row["task_index"] for row in rows] != list(range(len(rows))):
            raise DatasetError(layout.TASKS, "task_index", f"is not 0 to {len(rows) - 1}, each once")
        return [str(row["task"] if "task" in row else row["__index_level_0__"]) for row in rows]


def read_seal(folder: Path, root: Path) -> Seal:
    """Read the seal of a finished episode.

    Raises:
        DatasetError: Missing, or fields that cannot be.
    """
    raw = load_json(folder / "seal.json", root)
    name = (folder / "seal.json").relative_to(root)
    with reading(name, "seal"):
        files = {str(file): (int(size), int(crc)) for file, (size, crc) in raw["files"].items()}
        if not isinstance(raw["length"], int) or not 1 <= raw["length"] <= MOST_FRAMES:
            raise DatasetError(name, "length", f"is {str(raw['length'])[:40]}")
        if any("/" in file or file.startswith(".") for file in files):
            raise DatasetError(name, "files", "names a file elsewhere")
        for feature, values in raw["stats"].items():
            if set(values) != STATISTICS or not all(np.array(value, np.float64).size for value in values.values()):
                raise DatasetError(name, f"stats.{feature}", f"must hold {', '.join(sorted(STATISTICS))}")
        return Seal(raw["length"], str(raw["task"]), files, raw["stats"])


def waiting_entries(root: Path, schema: Schema, first: int) -> list[Entry]:
    """Find the finished episodes in recording/, from number `first` on, up to the first that is missing or damaged."""
    entries: list[Entry] = []
    while (folder := layout.episode_folder(root, first + len(entries))).is_dir():
        try:
            seal = read_seal(folder, root)
        except DatasetError as error:
            logger.warning("episode %d and later ones are left out: %s", first + len(entries), error)
            break
        place = str(folder.relative_to(root))
        videos = {name: (f"{place}/{name}.mp4", 0) for name, feature in schema.features.items() if feature.moving}
        rows, data, capture = (0, seal.length), f"{place}/data.parquet", f"{place}/capture.parquet"
        entries.append(Entry(first + len(entries), seal.length, seal.task, data, rows, capture, videos))
    return entries
