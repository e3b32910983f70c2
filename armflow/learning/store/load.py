"""All numbers of a dataset, or of anything that can be imported, in one call."""

import importlib
from collections.abc import Sequence
from pathlib import Path

from armflow.learning.store import layout
from armflow.learning.store.reader import open_dataset
from armflow.learning.store.schema import Schema
from armflow.learning.store.table import EpisodeTable, join
from armflow.robot.errors import ChoiceError

__all__ = ["load_table"]


def load_table(path: str | Path, names: Sequence[str] = ("observation.state", "action")) -> tuple[EpisodeTable, Schema]:
    """Read columns of a LeRobot dataset, or of a folder or file in any layout that can be imported.

    Raises:
        ChoiceError: No such column.
        DatasetError: Neither a dataset nor a known layout, or damaged; names the file and the field.
    """
    if (Path(path) / layout.INFO).exists():
        dataset = open_dataset(path)
        return dataset.table(names), dataset.schema
    recordings, schema = importlib.import_module("armflow.learning.store.imports").read_source(Path(path))
    for name in names:
        if name not in schema.features:
            raise ChoiceError("feature", name, schema.features)
    return join([{name: recording.arrays[name] for name in names} for recording in recordings]), schema
