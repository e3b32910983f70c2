"""CALVIN play: one episode_<index>.npz a frame, and ep_start_end_ids.npy with each episode's first and last index.

Layout and units: https://github.com/mees/calvin/blob/main/dataset/README.md; Mees et al. (2022), arXiv 2112.03227.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.arrays import npz_names, read_npy, read_npz
from armflow.learning.store.imports.episodes import ACTION, STATE, as_float, columns, make_recording, make_source
from armflow.learning.store.imports.layout import Source
from armflow.learning.store.schema import Feature, Recording, Schema, encode_depth

__all__ = ["IDS_FILE", "LONGEST", "detect_calvin", "read_calvin"]

FPS = 30
IDS_FILE = "ep_start_end_ids.npy"
LONGEST = 1024
"""Frames of one recording: play of hours is cut into pieces, so that pictures fit into memory."""
ROBOT = (("tool_position", 3), ("tool_euler", 3), ("gripper_width", 1), ("joint", 7), ("gripper", 1))
SCENE = (
    *(("sliding_door", 1), ("drawer", 1), ("button", 1), ("switch", 1), ("lightbulb", 1), ("green_light", 1)),
    *(("red_block_position", 3), ("red_block_euler", 3), ("blue_block_position", 3), ("blue_block_euler", 3)),
    *(("pink_block_position", 3), ("pink_block_euler", 3)),
)
NUMBERS = {"rel_actions": 7, "robot_obs": 15, "scene_obs": 24}
DEPTH_SCALES = {"static": 0.002, "gripper": 0.001}
"""Metres of one unit of depth: 12 bits reach 8.2 m for the static camera and 4.1 m for the one on the hand."""
COLOURS = tuple(f"rgb_{camera}" for camera in DEPTH_SCALES)
DEPTHS = tuple(f"depth_{camera}" for camera in DEPTH_SCALES)
OPTIONAL = ("scene_obs", *COLOURS, *DEPTHS)


def _split(path: Path) -> Path:
    """The folder with the frames: the one given, or its part for training."""
    return path if (path / IDS_FILE).is_file() else path / "training"


def detect_calvin(path: Path) -> bool:
    """Whether this is a split of CALVIN, or a folder of splits."""
    return (_split(path) / IDS_FILE).is_file()


def read_calvin(path: Path) -> Source:
    """Read relative actions, robot and scene as state, and the static and the hand's camera.

    Language annotations are pickles and are not read. Episodes longer than `LONGEST` frames come in pieces.

    Raises:
        DatasetError: A frame is missing or damaged, or ids are impossible.
    """
    folder = _split(path)
    ids = read_npy(folder / IDS_FILE)
    if ids.ndim != 2 or ids.shape[1] != 2 or ids.dtype.kind not in "iu" or not len(ids):
        raise DatasetError(folder / IDS_FILE, "ids", f"are {ids.dtype} {ids.shape}; integers [episodes, 2] are needed")
    if (ids < 0).any() or (ids[:, 1] < ids[:, 0]).any() or (ids > 10**9).any():
        raise DatasetError(folder / IDS_FILE, "ids", "must be a first and a last index of 0 or more, in this order")
    names = _frame_names(folder, int(ids[0, 0]))
    return make_source(folder, _recordings(folder, ids, names), _schema(names))


def _frame_names(folder: Path, index: int) -> tuple[str, ...]:
    """What the first frame holds of what we read; all others must hold the same."""
    present = npz_names(_frame_path(folder, index))
    return ("rel_actions", "robot_obs", *(name for name in OPTIONAL if name in present))


def _frame_path(folder: Path, index: int) -> Path:
    """The file of one frame."""
    return folder / f"episode_{index:07d}.npz"


def _schema(names: tuple[str, ...]) -> Schema:
    """What recordings with these arrays hold."""
    state = ROBOT + (SCENE if "scene_obs" in names else ())
    labels = columns(state)
    everything = list(range(len(labels)))
    cameras = {camera: {"depth_scale": scale} for camera, scale in DEPTH_SCALES.items() if f"depth_{camera}" in names}
    extra = {
        "observe": everything,
        "goal": everything[15:] or everything,
        "angles": [column for column, label in enumerate(labels) if "euler" in label],
        "cameras": cameras,
        "source": {"layout": "calvin"},
    }
    return Schema(FPS, {STATE: Feature("float32", (len(labels),), labels)}, "panda", extra)


def _recordings(folder: Path, ids: np.ndarray, names: tuple[str, ...]) -> Iterator[Recording]:
    """The episodes in pieces of at most `LONGEST` frames."""
    for start, end in ids.tolist():
        for first in range(start, end + 1, LONGEST):
            frames = [_frame(folder, index, names) for index in range(first, min(first + LONGEST, end + 1))]
            yield make_recording(_stack(folder, first, frames), FPS, "play at the table")


def _frame(folder: Path, index: int, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """One frame's arrays, shapes checked."""
    path = _frame_path(folder, index)
    if not path.is_file():
        raise DatasetError(path, "file", f"is missing, though {IDS_FILE} counts it")
    frame = read_npz(path, names)
    for name, array in frame.items():
        if name in NUMBERS and array.shape != (NUMBERS[name],):
            raise DatasetError(path, name, f"has the shape {array.shape}; {(NUMBERS[name],)} is needed")
        if name in COLOURS and (array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8):
            raise DatasetError(path, name, f"is {array.dtype} {array.shape}; uint8 [height, width, 3] is needed")
        if name in DEPTHS and (array.ndim != 2 or array.dtype.kind != "f"):
            raise DatasetError(path, name, f"is {array.dtype} {array.shape}; floats [height, width] are needed")
    return frame


def _stack(folder: Path, first: int, frames: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Turn frames into arrays [T, ...] under our names."""
    arrays = {}
    for name, array in frames[0].items():
        if any(frame[name].shape != array.shape for frame in frames):
            raise DatasetError(folder, name, f"changes its shape within the frames from {first} on")
        arrays[name] = np.stack([frame[name] for frame in frames])
    numbers = {
        name: as_float(arrays[name], 2, folder, f"{name}, frames from {first} on") for name in NUMBERS if name in arrays
    }
    found = {ACTION: numbers.pop("rel_actions"), STATE: np.concatenate(list(numbers.values()), axis=1)}
    for camera, scale in DEPTH_SCALES.items():
        if f"rgb_{camera}" in arrays:
            found[f"observation.images.{camera}"] = arrays[f"rgb_{camera}"]
        if f"depth_{camera}" in arrays:
            with np.errstate(invalid="ignore"):  # a NaN of the signalling kind warns when it is converted
                found[f"observation.depth.{camera}"] = encode_depth(arrays[f"depth_{camera}"], scale)
    return found
