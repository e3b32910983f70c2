"""Writes datasets: an episode is safe as soon as it has ended; closing joins it with the others."""

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from armflow.learning.files import WriteError, make_folder, write_json
from armflow.learning.store import layout
from armflow.learning.store.compact import compact
from armflow.learning.store.entries import joined_entries, waiting_entries
from armflow.learning.store.episode_writer import EpisodeWriter
from armflow.learning.store.errors import DatasetError
from armflow.learning.store.info import Counts, Info, armflow_json, info_json, read_info
from armflow.learning.store.schema import Recording, Schema
from armflow.robot.errors import StackError

__all__ = ["DatasetWriter", "Lock"]


class Lock:
    """One writer at a time; the system lets go of it when the process ends, however it ends."""

    def __init__(self, root: Path) -> None:
        self._path = make_folder(root / layout.RECORDING) / "lock"
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise WriteError(self._path, error.strerror or str(error)) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                raise BlockingIOError("the lock was released and taken again in between")
        except OSError as error:
            os.close(self._descriptor)
            raise DatasetError(root, "recording/lock", "another process is writing to this dataset") from error

    def release(self) -> None:
        """Let others write, and leave no empty folder behind."""
        with suppress(OSError):
            self._path.unlink()
            self._path.parent.rmdir()
        os.close(self._descriptor)


class DatasetWriter:
    """Writes episodes into a new dataset, or adds them to one that is there.

    Every episode that has ended is on the disk, whole and checked by its sizes and checksums, and can be read at once.
    `close` joins them into few large files; leaving a `with` block closes, and an error inside drops only the running
    episode.

    Raises:
        DatasetError: Another process writes here, or the dataset that is there has other columns.
        WriteError: The place is not writable, or the disk is full.
    """

    def __init__(self, directory: str | Path, schema: Schema, *, durable: bool = True) -> None:
        """Open a dataset for writing.

        Args:
            directory: A folder; made where there is none.
            schema: What every episode holds.
            durable: Wait for the disk after every episode, so that it survives a power failure and not only the end
                of this process. Copying from another place needs no such waits.
        """
        self.directory, self.schema, self.durable = make_folder(directory), schema, durable
        self._running: EpisodeWriter | None = None
        self._closed = False
        self._lock = Lock(self.directory)
        try:
            self._next = self._prepare()
        except StackError:
            self._lock.release()
            raise

    def _prepare(self) -> int:
        """Make the dataset where there is none, and return the number of the next episode."""
        for stale in (self.directory / layout.RECORDING).glob("*.part"):
            shutil.rmtree(stale, ignore_errors=True)
        if (self.directory / layout.INFO).exists():
            info = read_info(self.directory)
            _check_same(self.directory, info, self.schema)
            joined = joined_entries(self.directory, info)
            waiting = waiting_entries(self.directory, info.schema, len(joined))
            following = len(joined) + len(waiting)
            if layout.episode_folder(self.directory, following).exists():
                raise DatasetError(
                    self.directory, f"episode {following}", "is damaged; run `armflow data repair` first"
                )
            return following
        there = any((self.directory / name).exists() for name in ("data", "videos", "meta/episodes"))
        if there or any((self.directory / layout.RECORDING).glob("episode-*")):
            raise DatasetError(self.directory, layout.INFO, "is missing; run `armflow data repair` first")
        make_folder(self.directory / "meta")
        info = Info(self.schema, Counts())
        write_json(self.directory / layout.ARMFLOW, armflow_json(info))
        write_json(self.directory / layout.INFO, info_json(info))
        return 0

    def add(self, recording: Recording) -> None:
        """Write a whole episode.

        Raises:
            ShapeError: It does not fit the schema; nothing is written.
            WriteError: The disk is full; the episodes before it are intact.
        """
        self.begin(recording.task)
        try:
            self._episode().extend(recording.arrays, recording.stamps)
        except BaseException:
            self.abandon()
            raise
        self.end()

    def begin(self, task: str) -> None:
        """Start an episode."""
        if self._closed or self._running is not None:
            raise DatasetError(self.directory, "begin", "the dataset is closed" if self._closed else "an episode runs")
        self._running = EpisodeWriter(self.directory, self._next, task, self.schema)

    def append(self, frame: dict[str, np.ndarray], stamp: float) -> None:
        """Add one frame to the running episode.

        Args:
            frame: Feature to its value [...] at this moment.
            stamp: Capture time, s.

        Raises:
            ShapeError: It does not fit the schema; the frames before it are kept.
            WriteError: The disk is full.
        """
        self._episode().extend({name: np.asarray(value)[None] for name, value in frame.items()}, np.array([stamp]))

    def end(self) -> None:
        """End the running episode: it is on the disk when this returns. An episode without frames is dropped.

        Raises:
            WriteError: The disk is full; the episodes before it are intact.
        """
        episode = self._episode()
        if not episode.length:
            self.abandon()
            return
        try:
            episode.seal(durable=self.durable)
        except BaseException:
            self.abandon()
            raise
        self._running = None
        self._next += 1

    def abandon(self) -> None:
        """Drop the running episode, if one runs."""
        if self._running is not None:
            running, self._running = self._running, None
            running.abandon()

    def _episode(self) -> EpisodeWriter:
        if self._running is None:
            raise DatasetError(self.directory, "append", "no episode runs; call begin first")
        return self._running

    def close(self) -> None:
        """Join the finished episodes and let others write. A running episode is dropped.

        Raises:
            WriteError: The disk is full; all finished episodes can be read, and are joined the next time.
        """
        if self._closed:
            return
        self.abandon()
        self._closed = True
        try:
            compact(self.directory)
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.close()
        elif not self._closed:
            self.abandon()
            self._closed = True
            self._lock.release()


def _check_same(directory: Path, info: Info, schema: Schema) -> None:
    there = info.schema
    for name in sorted(set(there.features) | set(schema.features)):
        old, new = there.features.get(name), schema.features.get(name)
        if old is None or new is None or (old.dtype, old.shape) != (new.dtype, new.shape):
            described = ["absent" if f is None else f"{f.dtype} {list(f.shape)}" for f in (old, new)]
            raise DatasetError(directory, name, f"is {described[0]} in the dataset and {described[1]} in what is added")
    if there.fps != schema.fps:
        raise DatasetError(directory, "fps", f"is {there.fps} in the dataset and {schema.fps} in what is added")
