"""Joins finished episodes into few large files; a stop at any moment loses nothing.

New files are written first, under names that nothing refers to yet; info.json, which says how many episodes there are,
is replaced last. Until then readers take the episodes from recording/, afterwards from the new files.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from av.error import FFmpegError

from armflow.learning.files import WriteError, make_folder, replacing, write_json
from armflow.learning.store import layout
from armflow.learning.store.columns import open_parquet, write_table
from armflow.learning.store.entries import Entry, Seal, joined_entries, read_seal, read_tasks, waiting_entries
from armflow.learning.store.episode_writer import checksum
from armflow.learning.store.errors import DatasetError, reading
from armflow.learning.store.info import Counts, Info, armflow_json, info_json, load_json, read_info
from armflow.learning.store.stats import Statistics
from armflow.learning.store.summary import write_statistics
from armflow.learning.store.video import join_videos, video_frames, video_header

__all__ = ["compact", "remove_joined", "write_tasks"]

Place = tuple[int, int]


def compact(root: Path) -> int:
    """Join the finished episodes of a dataset and return how many there were.

    Raises:
        DatasetError: A finished episode is damaged.
        WriteError: The disk is full; nothing is lost.
    """
    info = read_info(root)
    joined = joined_entries(root, info)
    remove_joined(root, len(joined))
    waiting = waiting_entries(root, info.schema, len(joined))
    if not waiting:
        return 0
    try:
        _Joiner(root, info, joined, waiting).run()
    except (OSError, FFmpegError, pa.ArrowException) as error:
        raise WriteError(root, str(error)) from error
    remove_joined(root, len(joined) + len(waiting))
    return len(waiting)


def remove_joined(root: Path, episodes: int) -> None:
    """Remove the folders of episodes that the large files hold by now."""
    for folder in (root / layout.RECORDING).glob("episode-*"):
        number = folder.name.removeprefix("episode-")
        if folder.is_dir() and number.isdigit() and int(number) < episodes:
            shutil.rmtree(folder, ignore_errors=True)


class _Joiner:
    """One run of `compact`."""

    def __init__(self, root: Path, info: Info, joined: list[Entry], waiting: list[Entry]) -> None:
        self.root, self.info, self.joined, self.waiting = root, info, joined, waiting
        self.seals = {entry.index: read_seal(root / entry.data.rpartition("/")[0], root) for entry in waiting}
        self.tasks = read_tasks(root)
        self.tasks += [task for task in dict.fromkeys(entry.task for entry in waiting) if task not in self.tasks]
        self.start = info.counts.frames
        self.digests: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []

    def run(self) -> None:
        self._check_files()
        starts = np.cumsum([self.start] + [entry.length for entry in self.waiting])
        self.rows = [self._row(entry, int(start)) for entry, start in zip(self.waiting, starts, strict=False)]
        self._join_data()
        for name, feature in self.info.schema.features.items():
            if feature.moving:
                self._join_video(name)
        self._write_episodes()
        counts = Counts(len(self.joined) + len(self.waiting), int(starts[-1]), len(self.tasks))
        info = replace(self.info, counts=counts)
        write_tasks(self.root, self.tasks)
        old = load_json(self.root / layout.DIGESTS, self.root) if (self.root / layout.DIGESTS).exists() else {}
        write_json(self.root / layout.DIGESTS, old | self.digests)
        write_statistics(self.root, info, self._entries_after(), self._pictures())
        write_json(self.root / layout.ARMFLOW, armflow_json(info))
        write_json(self.root / layout.INFO, info_json(info))  # from here on the new files count

    def _check_files(self) -> None:
        for entry in self.waiting:
            for file, mark in self.seals[entry.index].files.items():
                path = layout.episode_folder(self.root, entry.index) / file
                if not path.is_file() or checksum(path) != mark:
                    raise DatasetError(
                        path.relative_to(self.root), f"episode {entry.index}", "is damaged; run `armflow data repair`"
                    )

    def _row(self, entry: Entry, start: int) -> dict[str, Any]:
        row: dict[str, Any] = {"episode_index": entry.index, "tasks": [entry.task], "length": entry.length}
        return row | {"dataset_from_index": start, "dataset_to_index": start + entry.length}

    def _first_place(self, name: str) -> Place:
        """Chunk and file that follow the last one in use."""
        used = [entry.chunk[name] for entry in self.joined]
        return layout.next_file(*max(used)) if used else (0, 0)

    def _groups(self, files: list[Path], megabytes: int, kinds: list[bytes]) -> list[list[int]]:
        """Positions of waiting episodes, cut where a file would grow beyond its size or the kind changes."""
        groups: list[list[int]] = [[]]
        size = 0
        for position, file in enumerate(files):
            bytes_ = file.stat().st_size
            if groups[-1] and (size + bytes_ > megabytes << 20 or kinds[position] != kinds[position - 1]):
                groups.append([])
                size = 0
            groups[-1].append(position)
            size += bytes_
        return groups

    def _join_data(self) -> None:
        place = self._first_place("data")
        paths = [self.root / entry.data for entry in self.waiting]
        for group in self._groups(paths, layout.DATA_MEGABYTES, [b""] * len(paths)):
            name = layout.fill(self.info.data_path, *place)
            entries = [self.waiting[position] for position in group]
            tables = (self._data(self.waiting[p], self.rows[p]["dataset_from_index"]) for p in group)
            self._write(name, tables)
            self._write(layout.capture_file(name), (self._capture(entry) for entry in entries))
            for position in group:
                self.rows[position] |= {"data/chunk_index": place[0], "data/file_index": place[1]}
            place = layout.next_file(*place)

    def _data(self, entry: Entry, start: int) -> pa.Table:
        file = open_parquet(self.root / entry.data, self.root)
        names = [name for name, feature in self.info.schema.features.items() if not feature.moving]
        table = file.read([*names, "timestamp", "frame_index"])
        if table.num_rows != entry.length:
            raise DatasetError(entry.data, "rows", f"{table.num_rows}; the seal says {entry.length}")
        count, task = entry.length, self.tasks.index(entry.task)
        table = table.append_column("episode_index", pa.array(np.full(count, entry.index)))
        table = table.append_column("index", pa.array(np.arange(start, start + count)))
        return table.append_column("task_index", pa.array(np.full(count, task)))

    def _capture(self, entry: Entry) -> pa.Table:
        table = open_parquet(self.root / entry.capture, self.root).read(["stamp"])
        return table.append_column("episode_index", pa.array(np.full(entry.length, entry.index)))

    def _write(self, name: str, tables: Iterator[pa.Table]) -> None:
        first = next(tables)
        make_folder((self.root / name).parent)
        with replacing(self.root / name) as part:
            write_table(part, _chain(first, tables), first.schema)
        self.digests[name] = checksum(self.root / name)

    def _join_video(self, name: str) -> None:
        place = self._first_place(name)
        paths = [self.root / entry.videos[name][0] for entry in self.waiting]
        for group in self._groups(paths, layout.VIDEO_MEGABYTES, [video_header(path) for path in paths]):
            file = layout.fill(self.info.video_path or layout.VIDEO, *place, name)
            make_folder((self.root / file).parent)
            with replacing(self.root / file) as part:
                join_videos([paths[position] for position in group], part, self.info.schema.fps)
                frames = video_frames(part)
            if frames != sum(self.waiting[position].length for position in group):
                raise DatasetError(file, name, f"{frames} frames; the episodes have another number")
            self.digests[file] = checksum(self.root / file)
            first = 0
            for position in group:
                length = self.waiting[position].length
                self.rows[position] |= _video_row(name, place, first, length, self.info.schema.fps)
                first += length
            place = layout.next_file(*place)

    def _write_episodes(self) -> None:
        paths = sorted((self.root / "meta/episodes").glob("chunk-*/file-*.parquet"))
        place = self._episodes_place(paths)
        for row, entry in zip(self.rows, self.waiting, strict=True):
            row |= {f"stats/{key}/{name}": value for key, name, value in _flat(self.seals[entry.index])}
            row |= {"meta/episodes/chunk_index": place[0], "meta/episodes/file_index": place[1]}
        name = layout.chunk_file(layout.EPISODES, *place)
        self._write(name, iter([pa.Table.from_pylist(self.rows)]))

    def _episodes_place(self, paths: list[Path]) -> Place:
        """The first file without announced episodes."""
        place = (0, 0)
        announced = len(self.joined)
        for path in paths:
            numbers = open_parquet(path, self.root).read(["episode_index"])["episode_index"].to_pylist()
            if not numbers or min(numbers) >= announced:
                path.unlink()  # left over from a run that was stopped before it was announced
            else:
                at = (int(path.parent.name.removeprefix("chunk-")), int(path.stem.removeprefix("file-")))
                place = max(place, layout.next_file(*at))
        return place

    def _entries_after(self) -> list[Entry]:
        """All episodes, as the new files hold them."""
        entries = list(self.joined)
        first: dict[Place, int] = {}
        for entry, row in zip(self.waiting, self.rows, strict=True):
            place = (row["data/chunk_index"], row["data/file_index"])
            at = row["dataset_from_index"] - first.setdefault(place, row["dataset_from_index"])
            data = layout.fill(self.info.data_path, *place)
            entries.append(replace(entry, data=data, rows=(at, at + entry.length)))
        return entries

    def _pictures(self) -> dict[str, list[Statistics]]:
        """Statistics of the new episodes' pictures, by feature."""
        moving = [name for name, feature in self.info.schema.features.items() if feature.moving]
        seals = self.seals.values()
        with reading("recording", "seal.json stats"):
            return {name: [{k: np.array(v) for k, v in seal.stats[name].items()} for seal in seals] for name in moving}


def _chain(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def _video_row(name: str, place: Place, first: int, length: int, fps: float) -> dict[str, Any]:
    values = {"chunk_index": place[0], "file_index": place[1]}
    times = {"from_timestamp": first / fps, "to_timestamp": (first + length) / fps}
    return {f"videos/{name}/{key}": value for key, value in (values | times).items()}


def _flat(seal: Seal) -> Iterator[tuple[str, str, Any]]:
    for key, values in seal.stats.items():
        for name, value in values.items():
            yield key, name, value


def write_tasks(root: Path, tasks: list[str]) -> None:
    """Write meta/tasks.parquet so that pandas reads the instruction as index, as LeRobot expects."""
    table = pa.table({"task_index": pa.array(np.arange(len(tasks))), "task": pa.array(tasks, pa.string())})
    columns = [("task_index", "int64", "int64"), ("task", "unicode", "object")]
    described = [
        {"name": n, "field_name": n, "pandas_type": p, "numpy_type": d, "metadata": None} for n, p, d in columns
    ]
    unnamed = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object"}
    facts = {
        "index_columns": ["task"],
        "column_indexes": [unnamed | {"metadata": {"encoding": "UTF-8"}}],
        "columns": described,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    table = table.replace_schema_metadata({"pandas": json.dumps(facts)})
    make_folder(root / "meta")
    with replacing(root / layout.TASKS) as part:
        write_table(part, [table], table.schema)
