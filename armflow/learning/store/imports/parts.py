"""Putting an episode together from named parts: numbers side by side as the state, pictures as cameras."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.episodes import STATE, as_float, columns

__all__ = ["Parts", "as_image", "camera_name", "is_image", "natural_key", "split_parts"]

IMAGE_WORDS = ("_image", "_rgb")


@dataclass(frozen=True, slots=True)
class Parts:
    """The observations of an episode, sorted out."""

    arrays: dict[str, np.ndarray]
    """"observation.state" [T, S] float32 where there are numbers, "observation.images.<camera>" [T, H, W, 3] uint8."""
    names: tuple[str, ...]
    """What the S columns of the state are called."""
    spans: dict[str, tuple[int, int]]
    """Part to its first column and the one after its last."""

    def span(self, prefix: str) -> list[int]:
        """Columns of all parts whose name is the prefix, or begins with it and a slash."""
        found = (span for name, span in self.spans.items() if name == prefix or name.startswith(prefix + "/"))
        return [column for start, end in found for column in range(start, end)]


def natural_key(name: str) -> list[str | int]:
    """Sort key that puts demo_2 before demo_10."""
    return [int(part) if part.isdecimal() and len(part) < 19 else part for part in re.split(r"(\d+)", name)]


def is_image(array: np.ndarray) -> bool:
    """Whether an array is colour pictures [T, H, W, 3], bytes or floats."""
    return array.ndim == 4 and array.shape[3] == 3 and min(array.shape[1:3]) > 1 and array.dtype.kind in "uf"


def as_image(array: np.ndarray, path: Path, field: str) -> np.ndarray:
    """Colour pictures as bytes; floats may hold 0 to 255, or 0 to 1 where nothing is above 1.

    Raises:
        DatasetError: Values outside 0 to 255, or NaN.
    """
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    numbers = as_float(array, 4, path, field)
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
    if low < 0 or high > 255:
        raise DatasetError(path, field, f"has colours from {low:g} to {high:g}; 0 to 255 or 0 to 1 are possible")
    return np.rint(numbers * 255 if high <= 1 else numbers).astype(np.uint8)


def camera_name(part: str) -> str:
    """A camera's name from an array's, such as agentview from agentview_image."""
    name = part.replace("/", "_")
    for word in IMAGE_WORDS:
        name = name.removesuffix(word)
    return name or part


def split_parts(arrays: Mapping[str, np.ndarray], path: Path, where: str) -> Parts:
    """Sort named observations out: pictures become cameras, numbers the state, in the order of their names.

    Args:
        arrays: Part to [T, ...]; [T] counts as one column, further axes are laid out flat.
        path: File, for errors.
        where: Place in the file, for errors.

    Raises:
        DatasetError: NaN or infinity, or parts of different length.
    """
    images = {name: array for name, array in arrays.items() if is_image(array)}
    numbers = {name: arrays[name] for name in sorted(arrays, key=natural_key) if name not in images}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DatasetError(path, where, f"has parts of different length: {lengths}")
    flat = {
        n: as_float(a.reshape(len(a), int(np.prod(a.shape[1:]))), 2, path, f"{where}/{n}") for n, a in numbers.items()
    }
    found = {f"observation.images.{camera_name(n)}": as_image(a, path, f"{where}/{n}") for n, a in images.items()}
    if flat:
        found[STATE] = np.concatenate(list(flat.values()), axis=1)
    ends = np.cumsum([part.shape[1] for part in flat.values()]).tolist()
    spans = {name: (end - flat[name].shape[1], end) for name, end in zip(flat, ends, strict=True)}
    return Parts(found, columns([(name, part.shape[1]) for name, part in flat.items()]), spans)
