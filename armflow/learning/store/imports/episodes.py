"""From arrays to episodes: the checks that every importer shares."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.layout import Source
from armflow.learning.store.schema import Recording, Schema, infer_schema
from armflow.robot.errors import ShapeError, ValueRangeError

__all__ = [
    "ACTION",
    "STATE",
    "VALID",
    "as_float",
    "columns",
    "make_recording",
    "make_source",
    "masked_lengths",
    "with_final",
]

STATE = "observation.state"
ACTION = "action"
VALID = "action.valid"
"""[T] bool, of sources that end with an observation: False on that last frame, where zeros stand in for an action."""


def as_float(array: np.ndarray, axes: int, path: Path, field: str) -> np.ndarray:
    """Return the array as float32, refused unless it has `axes` axes and finite entries.

    Raises:
        DatasetError: Another number of axes, or NaN or infinity; the first place is named.
    """
    if array.ndim != axes:
        raise DatasetError(path, field, f"has the shape {array.shape}; {axes} axes are needed")
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(numbers)
    if not finite.all():
        place = [int(index) for index in np.argwhere(~finite)[0]]
        raise DatasetError(path, field, f"has NaN or infinity, first at {place}; remove that episode")
    return numbers


def masked_lengths(mask: np.ndarray, path: Path, field: str) -> np.ndarray:
    """Length of each episode of padded arrays.

    Args:
        mask: [E, T] one for real frames, zero for padding after them.
        path: File, for the error.
        field: Name of the mask, for the error.

    Returns:
        [E] number of real frames.

    Raises:
        DatasetError: Another shape, entries other than 0 and 1, a hole in an episode, or an empty episode.
    """
    if mask.ndim != 2:
        raise DatasetError(path, field, f"has the shape {mask.shape}; [episodes, frames] is needed")
    real = mask == 1
    if not (real | (mask == 0)).all():
        raise DatasetError(path, field, "has entries other than 0 and 1")
    lengths = real.sum(axis=1)
    packed = np.arange(mask.shape[1]) < lengths[:, None]
    wrong = np.flatnonzero((packed != real).any(axis=1) | (lengths == 0))
    if wrong.size:
        raise DatasetError(path, field, f"episode {wrong[0]} is empty or has a hole; real frames must come first")
    return lengths


def with_final(arrays: dict[str, np.ndarray], final_state: np.ndarray) -> dict[str, np.ndarray]:
    """Append the observation after the last action as a frame, so that goals can be taken from it.

    The frame gets an action of zeros, and `action.valid` [T + 1] marks it as no action of the demonstrator.

    Args:
        arrays: "observation.state" [T, S] and "action" [T, A].
        final_state: [S] state after the last action.

    Returns:
        The arrays with T + 1 frames, and "action.valid".
    """
    state, action = arrays[STATE], arrays[ACTION]
    valid = np.ones(len(action) + 1, bool)
    valid[-1] = False
    return {
        STATE: np.concatenate([state, final_state[None]]),
        ACTION: np.concatenate([action, np.zeros_like(action[:1])]),
        VALID: valid,
    }


def make_recording(arrays: dict[str, np.ndarray], fps: float, task: str) -> Recording:
    """One episode of arrays [T, ...] at `fps` frames a second, stamps counted from 0 s."""
    frames = len(next(iter(arrays.values())))
    return Recording(arrays=arrays, stamps=np.arange(frames) / fps, task=task)


def make_source(path: Path, recordings: Iterable[Recording], schema: Schema) -> Source:
    """Complete the schema by the first episode's features, and hold all further episodes to them.

    Args:
        path: File or folder, for errors.
        recordings: The episodes; only the first is read now.
        schema: Everything but features, apart from those whose columns have names.

    Returns:
        The episodes, checked one by one as they are read, and the complete schema.

    Raises:
        DatasetError: There is no episode, or the first one is impossible.
    """
    rest = _named(path, recordings)
    first = next(rest, None)
    if first is None:
        raise DatasetError(path, "episodes", "there is none")
    try:
        found = infer_schema(first, schema.fps, schema.robot, schema.extra)
    except (ShapeError, ValueRangeError) as error:
        raise DatasetError(path, "episode 0", str(error)) from None
    complete = replace(found, features=found.features | schema.features)
    return _checked(path, chain([first], rest), complete), complete


def _named(path: Path, recordings: Iterable[Recording]) -> Iterator[Recording]:
    """Turn what a `Recording` refuses into an error that names the file and the episode."""
    count = 0
    try:
        for recording in recordings:
            yield recording
            count += 1
    except (ShapeError, ValueRangeError) as error:
        raise DatasetError(path, f"episode {count}", str(error)) from None


def _checked(path: Path, recordings: Iterable[Recording], schema: Schema) -> Iterator[Recording]:
    """Pass on episodes that hold what the schema says."""
    for episode, recording in enumerate(recordings):
        _check_features(path, f"episode {episode}", recording, schema)
        yield recording


def _check_features(path: Path, where: str, recording: Recording, schema: Schema) -> None:
    """Refuse an episode whose arrays differ from the schema."""
    if set(recording.arrays) != set(schema.features):
        found, wanted = sorted(recording.arrays), sorted(schema.features)
        raise DatasetError(path, where, f"holds {', '.join(found)}; {', '.join(wanted)} are expected")
    for name, array in recording.arrays.items():
        feature = schema.features[name]
        if (array.shape[1:] or (1,)) != feature.shape or array.dtype != feature.numpy:
            found, wanted = f"{array.dtype} {array.shape[1:]}", f"{feature.numpy} {feature.shape}"
            raise DatasetError(path, f"{where}: {name}", f"has frames of {found}; {wanted} is expected")


def columns(prefixes: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """Names of columns of parts set side by side, such as [("arm", 2), ("lamp", 1)]: arm_0, arm_1, lamp."""
    named = ((prefix, count, index) for prefix, count in prefixes for index in range(count))
    return tuple(prefix if count == 1 else f"{prefix}_{index}" for prefix, count, index in named)
