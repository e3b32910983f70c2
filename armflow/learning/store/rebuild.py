"""The table of contents again, from the data files alone, for a dataset whose meta/episodes is damaged."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from armflow.learning.store import layout
from armflow.learning.store.columns import open_parquet, to_numpy
from armflow.learning.store.entries import Entry
from armflow.learning.store.errors import DatasetError, reading
from armflow.learning.store.info import Info
from armflow.learning.store.schema import Feature
from armflow.learning.store.video import video_frames

__all__ = ["rebuild_entries"]

WHOLE = Feature("int64", (1,))


def rebuild_entries(root: Path, info: Info, tasks: list[str]) -> list[Entry]:
    """Find the episodes in data/ and their pictures in videos/, up to the first that is not where it should be.

    Pictures are taken to lie one episode after the other in files in order, as every writer of the layout puts them.

    Args:
        root: The dataset.
        info: Its info.json.
        tasks: Instructions in the order of their numbers.
    """
    entries: list[Entry] = []
    cursors = {n: _VideoCursor(root, info, n) for n, feature in info.schema.features.items() if feature.moving}
    place = (0, 0)
    while (root / (name := layout.fill(info.data_path, *place))).is_file():
        try:
            runs = _runs(root, name)
            for first, last, task in runs:
                videos = {feature: cursor.take(last - first) for feature, cursor in cursors.items()}
                text = tasks[task] if 0 <= task < len(tasks) else ""
                chunk = {feature: cursor.place for feature, cursor in cursors.items()} | {"data": place}
                rows, capture = (first, last), layout.capture_file(name)
                entries.append(Entry(len(entries), last - first, text, name, rows, capture, videos, chunk))
        except DatasetError:
            break
        place = layout.next_file(*place)
    return entries


def _runs(root: Path, name: str) -> list[tuple[int, int, int]]:
    """First row, the one after the last, and task number of each episode in a data file."""
    file = open_parquet(root / name, root)
    table = file.read(["episode_index", "task_index"])
    episodes = to_numpy(table["episode_index"], WHOLE, name, "episode_index")
    tasks = to_numpy(table["task_index"], WHOLE, name, "task_index")
    cuts = [0, *(np.flatnonzero(np.diff(episodes)) + 1).tolist(), len(episodes)]
    return [(first, last, int(tasks[first])) for first, last in pairwise(cuts)]


class _VideoCursor:
    """Walks through one camera's files, episode by episode."""

    def __init__(self, root: Path, info: Info, name: str) -> None:
        self.root, self.template, self.name = root, info.video_path or layout.VIDEO, name
        self.place = (0, 0)
        self._used, self._frames = 0, self._count()

    def _count(self) -> int:
        path = self.root / layout.fill(self.template, *self.place, self.name)
        with reading(path.relative_to(self.root), self.name):
            return video_frames(path)

    def take(self, length: int) -> tuple[str, int]:
        """File and first frame of the next episode."""
        if self._used >= self._frames:
            self.place = layout.next_file(*self.place)
            self._used, self._frames = 0, self._count()
        if self._used + length > self._frames:
            raise DatasetError(self.name, "video", "ends within an episode")
        first, self._used = self._used, self._used + length
        return layout.fill(self.template, *self.place, self.name), first
