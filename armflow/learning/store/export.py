"""Datasets in layouts that other code reads: one npz an episode, or C-BeT's padded npy arrays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from armflow.learning.files import WriteError, make_folder, replacing
from armflow.learning.store.errors import DatasetError
from armflow.learning.store.reader import Dataset

__all__ = ["EXPORTS", "export_cbet", "export_npz"]

STATE, ACTION = "observation.state", "action"
CBET = "multimodal_push_{}.npy"


def export_npz(dataset: Dataset, out: Path) -> list[Path]:
    """Write episode_000000.npz, ...: one array [T, ...] a feature under its name, pictures included, stamps, task.

    Raises:
        DatasetError: The dataset is damaged.
        WriteError: `out` is not empty or not writable, or the disk is full.
    """
    _empty(out)
    paths = []
    for episode in dataset.episodes:
        recording = dataset.read(episode.index)
        arrays = {**recording.arrays, "stamps": recording.stamps, "task": np.array(recording.task)}
        paths.append(out / f"episode_{episode.index:06d}.npz")
        with replacing(paths[-1]) as part, part.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return paths


def export_cbet(dataset: Dataset, out: Path) -> list[Path]:
    """Write observations [E, T, S], actions [E, T, A] and masks [E, T], zero-padded to the longest episode T.

    Raises:
        DatasetError: The dataset is damaged, or has no observation.state and action.
        WriteError: `out` is not empty or not writable, or the disk is full.
    """
    for name in (STATE, ACTION):
        if name not in dataset.schema.features:
            raise DatasetError(dataset.directory, name, "is missing; this layout holds nothing else")
    _empty(out)
    table = dataset.table((STATE, ACTION))
    masks = np.arange(table.lengths.max()) < table.lengths[:, None]  # [E, T]
    padded = {"observations": table.arrays[STATE], "actions": table.arrays[ACTION]}
    arrays = {"masks": masks.astype(np.float32)}
    for name, rows in padded.items():
        arrays[name] = np.zeros((*masks.shape, rows.shape[1]), np.float32)
        arrays[name][masks] = rows
    paths = []
    for name, array in arrays.items():
        paths.append(out / CBET.format(name))
        with replacing(paths[-1]) as part, part.open("wb") as file:
            np.save(file, array)
    return paths


def _empty(out: Path) -> None:
    make_folder(out)
    if any(out.iterdir()):
        raise WriteError(out, "the folder is not empty")


EXPORTS: dict[str, Callable[[Dataset, Path], list[Path]]] = {"npz": export_npz, "cbet": export_cbet}
