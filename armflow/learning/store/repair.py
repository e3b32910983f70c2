"""Restores the longest verified prefix of a dataset; what it takes out is kept in damaged/."""

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from armflow.learning.files import make_folder, replacing, write_json
from armflow.learning.store import layout
from armflow.learning.store.check import (
    Finding,
    check_numbers,
    check_pictures,
    check_statistics,
    damaged_files,
    damaged_parts,
    read_digests,
)
from armflow.learning.store.columns import open_parquet, write_table
from armflow.learning.store.compact import compact, remove_joined, write_tasks
from armflow.learning.store.entries import Entry, joined_entries, read_tasks, waiting_entries
from armflow.learning.store.episode_writer import checksum
from armflow.learning.store.errors import DatasetError, reading
from armflow.learning.store.info import Counts, Info, armflow_json, info_json, load_json, parse_info, read_info
from armflow.learning.store.reader import Dataset
from armflow.learning.store.rebuild import rebuild_entries
from armflow.learning.store.stats import Statistics
from armflow.learning.store.summary import write_statistics
from armflow.learning.store.writer import Lock

__all__ = ["repair"]


def repair(directory: str | Path) -> list[str]:
    """Bring a dataset into order: keep the longest prefix of episodes that can be read whole, and join what waits.

    Args:
        directory: The dataset; nothing else may write to it.

    Returns:
        What was done, one sentence each; nothing for a dataset in order.

    Raises:
        DatasetError: Another process writes to it, or it holds neither a readable meta/info.json nor its copy in
            meta/armflow.json.
        WriteError: The disk is full; call it again with room.
    """
    root = Path(directory)
    if not (root / "meta").is_dir():
        raise DatasetError(root, "meta", "is missing; this is not a LeRobot dataset")
    lock = Lock(root)
    try:
        return _Repair(root).run()
    finally:
        lock.release()


class _Repair:
    """One run of `repair`."""

    def __init__(self, root: Path) -> None:
        self.root, self.done = root, []
        self.pictures: dict[str, list[Statistics]] = {}
        self.tasks_read: list[str] = []

    def run(self) -> list[str]:
        for part in sorted((self.root / layout.RECORDING).glob("*.part")):
            shutil.rmtree(part, ignore_errors=True)
            self.done.append(f"dropped {part.stem}, which was cut off while it was recorded")
        info = self._info()
        tasks, entries, listed = self._contents(info)
        kept = self._verified(info, entries, tasks)
        if not listed or len(kept) < len(entries) or len(kept) != info.counts.episodes:
            info, tasks = self._truncate(info, kept, entries, tasks)
        elif tasks != self.tasks_read:
            self._set_aside(layout.TASKS)
            info = self._announce(info, kept, tasks)
            self.done.append(f"wrote {layout.TASKS} again")
        elif len(tasks) != info.counts.tasks:  # joining was cut off after the file was written
            info = self._announce(info, kept, tasks)
        self._digests(kept)
        self._statistics(info, kept)
        self._join(info, len(kept))
        return self.done

    def _info(self) -> Info:
        """Read info.json, or restore it from the copy in armflow.json; set a damaged armflow.json aside."""
        try:
            return read_info(self.root)
        except DatasetError as error:
            problem = error
        try:
            ours = load_json(self.root / layout.ARMFLOW, self.root)
            info = parse_info(ours.get("info") or {}, ours)
            self._set_aside(layout.INFO)
            self.done.append(f"restored {layout.INFO} from {layout.ARMFLOW} ({problem.field}: {problem.reason})")
        except DatasetError:
            if not (self.root / layout.INFO).exists():
                raise problem from None
            info = parse_info(load_json(self.root / layout.INFO, self.root), {})
            self._set_aside(layout.ARMFLOW)
            self.done.append(f"set {layout.ARMFLOW} aside ({problem.field}: {problem.reason}); camera facts are lost")
        write_json(self.root / layout.ARMFLOW, armflow_json(info))
        write_json(self.root / layout.INFO, info_json(info))
        return info

    def _contents(self, info: Info) -> tuple[list[str], list[Entry], bool]:
        """Tasks, episodes, and whether meta/episodes was in order."""
        try:
            tasks = self.tasks_read = read_tasks(self.root)
        except DatasetError as error:
            self.done.append(str(error))
            tasks = []
        try:
            entries = joined_entries(self.root, info)
            return tasks or self._tasks_of(info, entries), entries, True
        except DatasetError as error:
            self.done.append(f"made the table of contents again from data/ ({error})")
            return tasks, rebuild_entries(self.root, info, tasks), False

    def _tasks_of(self, info: Info, entries: list[Entry]) -> list[str]:
        """Instructions in the order of their first use, which is the order of their numbers."""
        return list(dict.fromkeys(entry.task for entry in entries)) if info.counts.tasks else []

    def _verified(self, info: Info, entries: list[Entry], tasks: list[str]) -> list[Entry]:
        """The episodes before the first that cannot be read whole."""
        dataset = Dataset(self.root, info, entries)
        for position, entry in enumerate(entries):
            findings: list[Finding] = [f for f in check_numbers(dataset, entry, tasks) if f.damage]
            findings += check_pictures(dataset, entry, self.pictures)
            if findings:
                self.done.append(f"took out episodes {position} to {len(entries) - 1} ({findings[0]})")
                self.pictures = {name: parts[:position] for name, parts in self.pictures.items()}
                return entries[:position]
        return entries

    def _truncate(
        self, info: Info, kept: list[Entry], entries: list[Entry], tasks: list[str]
    ) -> tuple[Info, list[str]]:
        """Announce the kept episodes only, then set aside what belongs to the others."""
        rows = self._rows(info, kept)
        missing = {entry.task for entry in kept} - set(tasks)
        tasks = tasks + sorted(missing)
        info = self._announce(info, kept, tasks)
        for path in sorted((self.root / "meta/episodes").glob("chunk-*/file-*.parquet")):
            self._set_aside(str(path.relative_to(self.root)))
        if rows:
            name = layout.chunk_file(layout.EPISODES, 0, 0)
            make_folder((self.root / name).parent)
            table = pa.Table.from_pylist(rows)
            with replacing(self.root / name) as part:
                write_table(part, [table], table.schema)
        used = {entry.data for entry in kept} | {file for entry in kept for file, _ in entry.videos.values()}
        for file in sorted({entry.data for entry in entries} - used):
            self._set_aside(file)
            self._set_aside(layout.capture_file(file))
        for file in sorted({file for entry in entries for file, _ in entry.videos.values()} - used):
            self._set_aside(file)
        if kept:
            self._shorten(kept[-1].data, kept[-1].rows[1])
            self._shorten(kept[-1].capture, kept[-1].rows[1])
        return info, tasks

    def _rows(self, info: Info, kept: list[Entry]) -> list[dict[str, Any]]:
        """Rows of meta/episodes for the kept episodes, with statistics where the old rows can be read."""
        old = self._old_rows()
        rows = []
        start = 0
        for entry in kept:
            span = {"dataset_from_index": start, "dataset_to_index": start + entry.length, "length": entry.length}
            place = {"data/chunk_index": entry.chunk["data"][0], "data/file_index": entry.chunk["data"][1]}
            row: dict[str, Any] = {"episode_index": entry.index, "tasks": [entry.task], **span, **place}
            for name, (_, first) in entry.videos.items():
                times = (first / info.schema.fps, (first + entry.length) / info.schema.fps)
                names = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
                values = zip(names, (*entry.chunk[name], *times), strict=True)
                row |= {f"videos/{name}/{key}": value for key, value in values}
            row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
            rows.append(row | old.get(entry.index, {}))
            start += entry.length
        return rows

    def _old_rows(self) -> dict[int, dict[str, Any]]:
        """Statistics of each episode, as far as the old files give them for all."""
        found: dict[int, dict[str, Any]] = {}
        try:
            for path in sorted((self.root / "meta/episodes").glob("chunk-*/file-*.parquet")):
                file = open_parquet(path, self.root)
                with reading(file.name, "rows"):
                    for row in file.read(file.file.schema_arrow.names).to_pylist():
                        number = int(row["episode_index"])
                        found[number] = {key: value for key, value in row.items() if key.startswith("stats/")}
        except DatasetError:
            return {}
        return found

    def _shorten(self, name: str, rows: int) -> None:
        """Keep only the first rows of a parquet file; the whole of it stays in damaged/."""
        if not (self.root / name).exists():
            return
        file = open_parquet(self.root / name, self.root)
        if file.rows == rows:
            return
        kept = file.read(file.file.schema_arrow.names, (0, rows))
        ends = file.ends[file.ends <= rows].tolist()
        ends = ends if ends and ends[-1] == rows else [*ends, rows]
        parts = [kept.slice(first, last - first) for first, last in pairwise([0, *ends])]
        self._set_aside(name)
        with replacing(self.root / name) as part:
            write_table(part, parts, kept.schema)

    def _announce(self, info: Info, kept: list[Entry], tasks: list[str]) -> Info:
        counts = Counts(len(kept), sum(entry.length for entry in kept), len(tasks))
        info = replace(info, counts=counts)
        write_json(self.root / layout.ARMFLOW, armflow_json(info))
        write_json(self.root / layout.INFO, info_json(info))
        write_tasks(self.root, tasks)
        return info

    def _digests(self, kept: list[Entry]) -> None:
        """Write sizes and checksums again where they differ from the files, all of which were read by now."""
        if not damaged_files(self.root, kept):
            return
        try:
            old = read_digests(self.root)
        except DatasetError:
            old = {}
        changed = [f for f, mark in old.items() if (self.root / f).is_file() and checksum(self.root / f) != mark]
        videos = sorted({file for entry in kept for file, _ in entry.videos.values()} & set(changed))
        if videos:
            self.done.append(f"{', '.join(videos)} changed since written, yet every picture decodes; look at them")
        files = {entry.data for entry in kept} | {file for entry in kept for file, _ in entry.videos.values()}
        files |= {entry.capture for entry in kept if (self.root / entry.capture).exists()}
        write_json(self.root / layout.DIGESTS, {file: checksum(self.root / file) for file in sorted(files)})
        self.done.append(f"wrote {layout.DIGESTS} again")

    def _statistics(self, info: Info, kept: list[Entry]) -> None:
        if not kept or not any(check_statistics(self.root, info, kept, self.pictures)):
            return
        write_statistics(self.root, info, kept, self.pictures)
        self.done.append(f"counted {layout.STATS} again")

    def _join(self, info: Info, first: int) -> None:
        """Join the finished episodes up to the first that is damaged, and set the others aside."""
        remove_joined(self.root, first)
        waiting = waiting_entries(self.root, info.schema, first)
        good = 0
        while good < len(waiting) and not damaged_parts(self.root, waiting[good]):
            good += 1
        for folder in sorted((self.root / layout.RECORDING).glob("episode-*")):
            if folder.is_dir() and int(folder.name.removeprefix("episode-")) >= first + good:
                self._set_aside(str(folder.relative_to(self.root)))
                self.done.append(f"took out {folder.name}, which is damaged or follows on a damaged one")
        if joined := compact(self.root):
            self.done.append(f"joined {joined} finished episodes")

    def _set_aside(self, name: str) -> None:
        """Move a file or folder into damaged/, beside whatever lies there already."""
        path = self.root / name
        if not path.exists():
            return
        target = self.root / layout.DAMAGED / name
        number = 1
        while target.exists():
            number += 1
            target = target.with_name(f"{path.name}.{number}")
        make_folder(target.parent)
        path.replace(target)
