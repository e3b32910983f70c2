"""meta/stats.json: the statistics of a whole dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from armflow.learning.files import write_json
from armflow.learning.store import layout
from armflow.learning.store.entries import Entry
from armflow.learning.store.errors import DatasetError, reading
from armflow.learning.store.info import OUR_TYPES, Info, load_json
from armflow.learning.store.reader import Dataset
from armflow.learning.store.schema import Feature
from armflow.learning.store.stats import Statistics, combine, number_statistics, to_lists

__all__ = ["numeric_statistics", "read_statistics", "write_statistics"]


def numeric_statistics(root: Path, info: Info, entries: list[Entry], name: str) -> Statistics:
    """Statistics of one column of numbers over all episodes, one of the writer's own columns included.

    Raises:
        DatasetError: The column cannot be read.
    """
    feature = info.schema.features.get(name) or Feature(OUR_TYPES[name], (1,))
    return number_statistics(Dataset(root, info, entries).column(name, feature))


def read_statistics(root: Path) -> dict[str, Statistics]:
    """Read meta/stats.json; {} where there is none.

    Raises:
        DatasetError: Not numbers.
    """
    if not (root / layout.STATS).exists():
        return {}
    result: dict[str, Statistics] = {}
    for name, values in load_json(root / layout.STATS, root).items():
        with reading(layout.STATS, name):
            result[name] = {key: np.atleast_1d(np.array(value, np.float64)) for key, value in values.items()}
    return result


def write_statistics(
    root: Path, info: Info, entries: list[Entry], pictures: Mapping[str, Sequence[Statistics]]
) -> None:
    """Write meta/stats.json.

    Args:
        root: The dataset.
        info: Its info, as it will be.
        entries: Its episodes, as they will be.
        pictures: For each camera, the statistics of the episodes that are new; those of the others are taken from the
            file that is there.

    Raises:
        DatasetError: A column cannot be read.
        WriteError: The disk is full; the old file is intact.
    """
    old = _old_pictures(root, len(entries), pictures)
    result: dict[str, Any] = {}
    for name, parts in pictures.items():
        result[name] = to_lists(combine([*([old[name]] if name in old else []), *parts]))
    numbers = [name for name, feature in info.schema.features.items() if not feature.moving]
    for name in [*numbers, *OUR_TYPES]:
        result[name] = to_lists(numeric_statistics(root, info, entries, name))
    write_json(root / layout.STATS, result)


def _old_pictures(root: Path, episodes: int, pictures: Mapping[str, Sequence[Statistics]]) -> dict[str, Statistics]:
    try:
        old = read_statistics(root)
    except DatasetError:
        return {}  # damaged: `check` says so, and `repair` counts again
    return {name: old[name] for name, parts in pictures.items() if name in old and len(parts) < episodes}
