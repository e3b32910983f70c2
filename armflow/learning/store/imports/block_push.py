"""Demonstrations of the multimodal block-push world: the padded .npz of 950 episodes, and C-BeT's three .npy files.

The world, its state and its actions: Florence et al. (2021), arXiv 2109.00137, and Cui et al. (2022), arXiv 2210.10047.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.arrays import npz_names, read_npy, read_npz
from armflow.learning.store.imports.episodes import (
    ACTION,
    STATE,
    as_float,
    make_recording,
    make_source,
    masked_lengths,
    with_final,
)
from armflow.learning.store.imports.layout import Source
from armflow.learning.store.schema import Feature, Recording, Schema

__all__ = ["CBET_FILES", "FPS", "detect_block_push", "detect_cbet_push", "read_block_push", "read_cbet_push"]

FPS = 10
STATE_NAMES = (
    *("block0_x", "block0_y", "block0_yaw", "block1_x", "block1_y", "block1_yaw"),
    *("effector_x", "effector_y", "effector_command_x", "effector_command_y"),
    *("target0_x", "target0_y", "target0_yaw", "target1_x", "target1_y", "target1_yaw"),
)
"""Columns of the state: positions in m, yaws in rad, world frame."""
ACTION_NAMES = ("shift_x", "shift_y")
"""Shift of the commanded end effector in one step, m, world frame."""
EXTRA = {
    "environment": "BlockPush",
    "observe": list(range(10)),
    "goal": [0, 1, 3, 4],
    "angles": [2, 5, 12, 15],
    "points": [[0, 1], [3, 4], [6, 7]],
    "alike": [[0, 1, 2], [3, 4, 5]],
    "moved": [[6, 8], [7, 9]],
}
GOAL_TASK = "push the two blocks into the two targets"
NPZ_ARRAYS = {"observations", "actions", "masks"}
CBET_FILES = ("multimodal_push_observations.npy", "multimodal_push_actions.npy", "multimodal_push_masks.npy")


def _npz_path(path: Path) -> Path:
    """The .npz itself, given it or its folder."""
    return next(iter(sorted(path.glob("block_push*.npz"))), path) if path.is_dir() else path


def detect_block_push(path: Path) -> bool:
    """Whether this is the padded .npz, or a folder with it."""
    file = _npz_path(path)
    if file.suffix != ".npz" or not file.is_file():
        return False
    return npz_names(file) >= NPZ_ARRAYS or file.name.startswith("block_push")


def detect_cbet_push(path: Path) -> bool:
    """Whether this is a folder with C-BeT's block-push files."""
    return all((path / name).is_file() for name in CBET_FILES)


def read_block_push(path: Path) -> Source:
    """Read the padded .npz; the state after the last action becomes a last frame.

    Arrays: observations [E, T, 16], actions [E, T, 2] m, masks [E, T]; where there, final_observations [E, 16] and
    pushes [E, 2] (2 * block + target, -1 for none), which give the episode's sentence.

    Raises:
        DatasetError: An array is missing, damaged, of another shape, or not finite.
    """
    file = _npz_path(path)
    arrays = read_npz(file, sorted(NPZ_ARRAYS), optional=("final_observations", "pushes"))
    padded = _check_padded(file, arrays["observations"], arrays["actions"], arrays["masks"])
    final = arrays.get("final_observations")
    if final is not None:
        final = _per_episode(file, "final_observations", as_float(final, 2, file, "final_observations"), padded, 16)
    pushes = arrays.get("pushes")
    if pushes is not None:
        pushes = _per_episode(file, "pushes", pushes, padded, 2)
    return make_source(file, _episodes(padded, final, pushes), _schema())


def read_cbet_push(path: Path) -> Source:
    """Read C-BeT's three padded arrays: observations [E, T, 16], actions [E, T, 2] m, masks [E, T].

    Raises:
        DatasetError: A file is missing, damaged, of another shape, or not finite.
    """
    observations, actions, masks = (read_npy(path / name) for name in CBET_FILES)
    return make_source(path, _episodes(_check_padded(path, observations, actions, masks), None, None), _schema())


@dataclass(frozen=True, slots=True)
class _Padded:
    """Checked padded arrays: state [E, T, 16], action [E, T, 2], lengths [E]."""

    state: np.ndarray
    action: np.ndarray
    lengths: np.ndarray


def _check_padded(path: Path, observations: np.ndarray, actions: np.ndarray, masks: np.ndarray) -> _Padded:
    """Hold the three arrays to one number of episodes and frames."""
    lengths = masked_lengths(masks, path, "masks")
    for field, array, width in (("observations", observations, 16), ("actions", actions, 2)):
        if array.shape != (*masks.shape, width):
            raise DatasetError(path, field, f"has the shape {array.shape}; {(*masks.shape, width)} is needed")
    return _Padded(as_float(observations, 3, path, "observations"), as_float(actions, 3, path, "actions"), lengths)


def _per_episode(path: Path, field: str, array: np.ndarray, padded: _Padded, width: int) -> np.ndarray:
    """Hold an array to one row an episode."""
    if array.shape != (len(padded.lengths), width):
        raise DatasetError(path, field, f"has the shape {array.shape}; {(len(padded.lengths), width)} is needed")
    return array


def _episodes(padded: _Padded, final: np.ndarray | None, pushes: np.ndarray | None) -> Iterator[Recording]:
    """Cut the padding off, one episode after another."""
    for episode, length in enumerate(padded.lengths):
        arrays = {STATE: padded.state[episode, :length], ACTION: padded.action[episode, :length]}
        if final is not None:
            arrays = with_final(arrays, final[episode])
        yield make_recording(arrays, FPS, GOAL_TASK if pushes is None else push_task(pushes[episode]))


def push_task(pushes: np.ndarray) -> str:
    """The sentence for two pushes in order; a common one where they are not both blocks, each into its own target.

    Args:
        pushes: [2] codes 2 * block + target, or -1 for a push that was not made.
    """
    first, second = (int(code) for code in pushes)
    # Another block and another target: both bits of the code differ.
    if not (0 <= first <= 3 and 0 <= second <= 3) or (first ^ second) != 3:
        return GOAL_TASK
    words = [f"the {('red', 'green')[code // 2]} block into target {code % 2}" for code in (first, second)]
    return f"push {words[0]}, then {words[1]}"


def _schema() -> Schema:
    """What both layouts hold."""
    features = {
        STATE: Feature(dtype="float32", shape=(16,), names=STATE_NAMES),
        ACTION: Feature(dtype="float32", shape=(2,), names=ACTION_NAMES),
    }
    return Schema(fps=FPS, features=features, robot="xarm6", extra=dict(EXTRA))
