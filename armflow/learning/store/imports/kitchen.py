"""C-BeT's arrays of the relay kitchen: observations_seq.npy, actions_seq.npy, existence_mask.npy, onehot_goals.pth.

Play: Gupta et al. (2019), arXiv 1910.11956; the arrays: Cui et al. (2022), arXiv 2210.10047. Time comes first in all.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.arrays import read_npy
from armflow.learning.store.imports.episodes import (
    ACTION,
    STATE,
    as_float,
    columns,
    make_recording,
    make_source,
    masked_lengths,
)
from armflow.learning.store.imports.layout import Source
from armflow.learning.store.imports.tensor_file import read_tensor
from armflow.learning.store.schema import Feature, Recording, Schema

__all__ = ["KITCHEN_FILES", "detect_kitchen", "read_kitchen"]

KITCHEN_FILES = ("observations_seq.npy", "actions_seq.npy", "existence_mask.npy")
ONE_HOT_FILE = "onehot_goals.pth"
ONE_HOT = "goal.one_hot"
"""[T, 7] which element of the kitchen is being moved."""
FPS = 12.5
"""40 physics steps of 2 ms a control step, Hz."""
PARTS = (
    *(("joint", 9), ("knob", 8), ("light_switch", 2), ("slide_cabinet", 1)),
    *(("hinge_cabinet", 2), ("microwave", 1), ("kettle", 7)),
)
"""Joints of arm and fingers, then joints of the kitchen, rad or m, and the kettle's pose. 30 more columns, a constant
goal, are dropped."""
WIDTH = 30
OBJECTS = list(range(9, WIDTH))


def detect_kitchen(path: Path) -> bool:
    """Whether this is a folder with the kitchen's arrays."""
    return all((path / name).is_file() for name in KITCHEN_FILES)


def read_kitchen(path: Path) -> Source:
    """Read observations [T, E, 60], actions [T, E, 9] and mask [T, E]; one-hot goals [T, E, 7] where they are.

    Raises:
        DatasetError: A file is missing, damaged, of another shape, or not finite.
    """
    observations, actions, mask = (read_npy(path / name) for name in KITCHEN_FILES)
    lengths = masked_lengths(mask.T, path, "existence_mask")
    wanted = {"observations_seq": (observations, 3), "actions_seq": (actions, 3)}
    if (path / ONE_HOT_FILE).is_file():
        wanted["onehot_goals"] = (read_tensor(path / ONE_HOT_FILE, "onehot_goals"), 3)
    for name, (array, axes) in wanted.items():
        if array.ndim != axes or array.shape[:2] != mask.shape:
            raise DatasetError(path, name, f"has the shape {array.shape}; {(*mask.shape, 'numbers')} is needed")
    if observations.shape[2] < WIDTH:
        raise DatasetError(path, "observations_seq", f"has {observations.shape[2]} columns; {WIDTH} or more are needed")
    arrays = {name: as_float(array.swapaxes(0, 1), 3, path, name) for name, (array, _) in wanted.items()}
    features = {STATE: Feature("float32", (WIDTH,), columns(PARTS))}
    everything = list(range(WIDTH))
    extra = {"observe": everything, "goal": OBJECTS, "angles": [], "source": {"layout": "cbet-kitchen"}}
    return make_source(path, _episodes(arrays, lengths), Schema(FPS, features, "panda", extra))


def _episodes(arrays: dict[str, np.ndarray], lengths: np.ndarray) -> Iterator[Recording]:
    """Cut the padding off, one episode after another."""
    names = {"observations_seq": STATE, "actions_seq": ACTION, "onehot_goals": ONE_HOT}
    for episode, length in enumerate(lengths):
        cut = {names[name]: array[episode, :length] for name, array in arrays.items()}
        yield make_recording(cut | {STATE: cut[STATE][:, :WIDTH]}, FPS, "play in the kitchen")
