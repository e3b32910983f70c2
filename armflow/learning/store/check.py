"""Finds what is wrong with a dataset, and where: file, episode and frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from armflow.learning.store import layout
from armflow.learning.store.entries import Entry, joined_entries, read_seal, read_tasks, waiting_entries
from armflow.learning.store.episode_writer import checksum
from armflow.learning.store.errors import DatasetError
from armflow.learning.store.info import OUR_TYPES, Info, load_json, read_info
from armflow.learning.store.reader import Dataset
from armflow.learning.store.schema import Feature
from armflow.learning.store.stats import QUANTILES, PixelCounter, Statistics, combine
from armflow.learning.store.summary import numeric_statistics, read_statistics

__all__ = ["Finding", "check", "check_numbers", "check_pictures", "check_statistics", "damaged_files", "read_digests"]

TIME_TOLERANCE = 1e-4  # s, LeRobot's own
GAP = 1.8  # frame periods between two captures: at least one frame is missing
EXACT = (1e-4, 1e-9)  # of a column's spread, and absolute: how far statistics may be from what stats.json says
LOSSY = (0.02, 0.01)  # the same for colour, which is not stored without loss
OURS = {name: Feature(dtype, (1,)) for name, dtype in OUR_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        path: File, relative to the dataset.
        field: Column, or part of the file.
        problem: What is wrong.
        episode: Number of the episode, or None where it concerns no single one.
        frame: Frame within the episode, or None.
        damage: Whether it cannot be read, rather than holds what it should not (a gap in time, NaN).
    """

    path: str
    field: str
    problem: str
    episode: int | None = None
    frame: int | None = None
    damage: bool = True

    def __str__(self) -> str:
        places = [f"{name} {at}" for name, at in (("episode", self.episode), ("frame", self.frame)) if at is not None]
        return f"{self.path}: {', '.join([*places, self.field])}: {self.problem}"


def check(directory: str | Path, *, pictures: bool = True) -> Iterator[Finding]:
    """Find wrong indices, gaps in time, undecodable frames, NaN, changed files and statistics that do not match.

    Args:
        directory: The dataset.
        pictures: Also decode every picture.

    Yields:
        What is wrong; nothing for a dataset that is as it should be.

    Raises:
        DatasetError: This is no dataset at all.
    """
    root = Path(directory)
    if not (root / "meta").is_dir():
        raise DatasetError(root, "meta", "is missing; this is not a LeRobot dataset")
    try:
        info = read_info(root)
        entries = joined_entries(root, info)
        tasks = read_tasks(root)
    except DatasetError as error:
        yield Finding(str(error.path), error.field, error.reason)
        return
    if entries and len(tasks) != info.counts.tasks:
        yield Finding(layout.TASKS, "rows", f"{len(tasks)} tasks; info.json announces {info.counts.tasks}")
    yield from _check_waiting(root, info, len(entries))
    for file, problem in damaged_files(root, entries).items():
        yield Finding(file, "file", problem)
    dataset = Dataset(root, info, entries)
    seen: dict[str, list[Statistics]] = {}
    for entry in entries:
        yield from check_numbers(dataset, entry, tasks)
        if pictures:
            yield from check_pictures(dataset, entry, seen)
    if entries:
        yield from check_statistics(root, info, entries, seen)


def _check_waiting(root: Path, info: Info, first: int) -> Iterator[Finding]:
    folder = root / layout.RECORDING
    waiting = waiting_entries(root, info.schema, first)
    if waiting:
        yield Finding(layout.RECORDING, "episodes", f"{len(waiting)} finished episodes are not joined; run repair")
    for entry in waiting:
        for file, problem in damaged_parts(root, entry).items():
            yield Finding(file, "file", problem, entry.index)
    if layout.episode_folder(root, first + len(waiting)).exists():
        yield Finding(layout.RECORDING, "seal.json", "is damaged", first + len(waiting))
    for part in sorted(folder.glob("*.part")):
        yield Finding(layout.RECORDING, part.name, "was cut off while it was recorded; run repair")


def damaged_parts(root: Path, entry: Entry) -> dict[str, str]:
    """Files of a finished, not yet joined episode that are missing or changed, and how."""
    folder = layout.episode_folder(root, entry.index)
    name = str(folder.relative_to(root))
    try:
        marks = read_seal(folder, root).files
    except DatasetError as error:
        return {f"{name}/seal.json": error.reason}
    wanted = {entry.data, entry.capture, *(video for video, _ in entry.videos.values())}
    missing = {file: "is not sealed" for file in sorted(wanted) if Path(file).name not in marks}
    return missing | _changed(root, {f"{name}/{file}": mark for file, mark in marks.items()})


def read_digests(root: Path) -> dict[str, tuple[int, int]]:
    """Sizes and CRC-32 of the files as they were written; {} where the dataset is not ours.

    Raises:
        DatasetError: meta/digests.json is damaged.
    """
    if not (root / layout.DIGESTS).exists():
        return {}
    raw = load_json(root / layout.DIGESTS, root)
    for name, mark in raw.items():
        if not isinstance(mark, list) or len(mark) != 2 or not all(isinstance(value, int) for value in mark):
            raise DatasetError(layout.DIGESTS, name[:200], "must be two numbers")
    return {name: (mark[0], mark[1]) for name, mark in raw.items()}


def damaged_files(root: Path, entries: list[Entry]) -> dict[str, str]:
    """Files that the episodes need and that are missing or changed since they were written, and how."""
    try:
        marks = read_digests(root)
    except DatasetError as error:
        return {layout.DIGESTS: error.reason}
    used = {entry.data for entry in entries} | {video for entry in entries for video, _ in entry.videos.values()}
    missing = {file: "is missing" for file in sorted(used) if not (root / file).is_file()}
    used |= {entry.capture for entry in entries if entry.capture in marks}
    return missing | _changed(root, {file: marks[file] for file in sorted(used - set(missing)) if file in marks})


def _changed(root: Path, marks: dict[str, tuple[int, int]]) -> dict[str, str]:
    found = {}
    for file, mark in marks.items():
        path = root / file
        if not path.is_file():
            found[file] = "is missing"
        elif (now := checksum(path)) != mark:
            found[file] = (
                f"changed since it was written: {now[0]} bytes and CRC {now[1]:08x}, not {mark[0]}, {mark[1]:08x}"
            )
    return found


def check_numbers(dataset: Dataset, entry: Entry, tasks: list[str]) -> Iterator[Finding]:
    """Check the rows of one episode: indices, times, NaN."""
    try:
        numbers = {name: feature for name, feature in dataset.schema.features.items() if not feature.moving}
        columns = dataset.numbers(entry, numbers | OURS)
        yield from _check_indices(dataset, entry, columns, tasks)
        yield from _check_times(dataset, entry, columns["timestamp"])
        for name in numbers:
            finite = np.isfinite(columns[name]).reshape(entry.length, -1).all(axis=1)
            if not finite.all():
                problem = f"{int((~finite).sum())} of {entry.length} frames hold NaN or infinity"
                yield Finding(entry.data, name, problem, entry.index, int(np.argmin(finite)), damage=False)
    except DatasetError as error:
        yield Finding(str(error.path), error.field, error.reason, entry.index)


def _check_indices(
    dataset: Dataset, entry: Entry, columns: dict[str, np.ndarray], tasks: list[str]
) -> Iterator[Finding]:
    first = int(dataset.starts[entry.index])
    frames = np.arange(entry.length)
    wanted = {"frame_index": frames, "episode_index": np.full(entry.length, entry.index), "index": first + frames}
    if entry.task in tasks:
        wanted["task_index"] = np.full(entry.length, tasks.index(entry.task))
    elif tasks:
        yield Finding(layout.TASKS, "task", f"has no {entry.task[:60]!r}", entry.index)
    for name, values in wanted.items():
        if (columns[name] != values).any():
            at = int(np.argmax(columns[name] != values))
            yield Finding(entry.data, name, f"is {columns[name][at]}, not {values[at]}", entry.index, at)


def _check_times(dataset: Dataset, entry: Entry, timestamps: np.ndarray) -> Iterator[Finding]:
    fps = dataset.schema.fps
    wanted = np.arange(entry.length) / fps
    off = ~(np.abs(timestamps - wanted) <= TIME_TOLERANCE + 1e-6 * wanted)
    if off.any():
        at = int(np.argmax(off))
        problem = f"is {timestamps[at]:.4f} s, not {wanted[at]:.4f} s at {fps:g} Hz"
        yield Finding(entry.data, "timestamp", problem, entry.index, at)
    steps = np.diff(dataset.stamps(entry.index))
    if (steps > GAP / fps).any():
        at = int(np.argmax(steps > GAP / fps))
        problem = f"a gap of {steps[at]:.3f} s before it, {int((steps > GAP / fps).sum())} in all"
        yield Finding(entry.capture, "stamp", problem, entry.index, at + 1, damage=False)


def check_pictures(dataset: Dataset, entry: Entry, seen: dict[str, list[Statistics]]) -> Iterator[Finding]:
    """Decode every picture of one episode, and append its statistics to `seen`."""
    for name, feature in dataset.schema.features.items():
        if feature.moving:
            counter = PixelCounter(feature)
            try:
                for picture in dataset.pictures(entry, name):
                    counter.add(picture)
            except DatasetError as error:
                yield Finding(str(error.path), name, f"{error.field} {error.reason}", entry.index, counter.frames)
                continue
            seen.setdefault(name, []).append(counter.statistics())


def check_statistics(
    root: Path, info: Info, entries: list[Entry], pictures: dict[str, list[Statistics]]
) -> Iterator[Finding]:
    """Compare stats.json with the data; quantiles and pictures only in our own datasets: others estimate them."""
    try:
        said = read_statistics(root)
    except DatasetError as error:
        yield Finding(str(error.path), error.field, error.reason)
        return
    ours = (root / layout.DIGESTS).exists()
    keys = ("min", "max", "mean", "std", "count", *(QUANTILES if ours else ()))
    for name, feature in info.schema.features.items():
        if not feature.moving:
            try:
                found = numeric_statistics(root, info, entries, name)
            except DatasetError:
                continue  # said already, episode by episode
            yield from _compare(name, said.get(name), found, keys, EXACT)
        elif ours and len(pictures.get(name, [])) == len(entries):
            bound = EXACT if feature.dtype == "depth" else LOSSY
            yield from _compare(name, said.get(name), combine(pictures[name]), ("mean", "std"), bound)


def _compare(
    name: str, said: Statistics | None, found: Statistics, keys: tuple[str, ...], close: tuple[float, float]
) -> Iterator[Finding]:
    if said is None:
        yield Finding(layout.STATS, name, "is missing")
        return
    with np.errstate(all="ignore"):
        yield from _differences(name, said, found, keys, close)


def _differences(
    name: str, said: Statistics, found: Statistics, keys: tuple[str, ...], close: tuple[float, float]
) -> Iterator[Finding]:
    spread = np.nan_to_num((found["max"] - found["min"]).reshape(-1), nan=0.0, posinf=0.0)
    for key in keys:
        a, b = said.get(key, np.empty(0)).reshape(-1), found[key].reshape(-1)
        if len(a) != len(b):
            yield Finding(layout.STATS, name, f"{key} has {len(a)} entries, not {len(b)}")
            continue
        bound = 0.5 if key == "count" else close[0] * (spread + 1e-3 * np.abs(b)) + close[1]
        off = ~(np.abs(a - b) <= bound) & np.isfinite(b)
        if off.any():
            at = int(np.argmax(off))
            yield Finding(layout.STATS, name, f"{key}[{at}] is {a[at]:g}; the data has {b[at]:g}")
            return
