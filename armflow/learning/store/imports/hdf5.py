"""Opening HDF5 files of unknown origin; called in the sandbox only, since damaged files can crash the C library."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from armflow.learning.store.errors import READ_FAULTS, DatasetError
from armflow.learning.store.imports.arrays import array_bytes

__all__ = ["attribute", "children", "is_hdf5", "leaves", "open_hdf5", "read_dataset"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_RATIO = 1100
"""More than deflate can pack (1032 to 1): a declared size beyond it was never written."""
MOST_DEPTH = 8
MOST_CHILDREN = 1_000_000
SUFFIXES = (".hdf5", ".h5", ".hdf")


def is_hdf5(path: Path) -> bool:
    """Whether a file is named and begins like HDF5."""
    try:
        with path.open("rb") as stream:
            return stream.read(8) == SIGNATURE or path.suffix in SUFFIXES
    except OSError:
        return False


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """The open file, for reading.

    Raises:
        DatasetError: It cannot be opened, or is damaged where the block reads it.
    """
    import h5py

    with _reading(path, "file"), h5py.File(path, "r", locking=False) as file:
        yield file


@contextmanager
def _reading(path: Path, field: str) -> Iterator[None]:
    """Name the file and the place in it where the library finds damage."""
    try:
        yield
    except (*READ_FAULTS, RuntimeError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise DatasetError(path, field or "file", f"cannot be read as HDF5 ({reason}); copy it again") from None


def children(group: Any, path: Path, field: str) -> list[str]:
    """Names in a group; links out of the file are refused.

    Raises:
        DatasetError: Not a group, too many names, or a name that is no text.
    """
    import h5py

    if not isinstance(group, h5py.Group) or len(group) > MOST_CHILDREN:
        raise DatasetError(path, field or "file", "is not a group of arrays")
    with _reading(path, field):
        return [name for name in group if isinstance(name, str)]


def member(group: Any, name: str, path: Path, field: str) -> Any:
    """A member of a group of this file.

    Raises:
        DatasetError: There is no such member, or it lies in another file.
    """
    import h5py

    place = f"{field}/{name}".strip("/")
    with _reading(path, place):
        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
    if link is None:
        have = ", ".join(sorted(children(group, path, field))[:20])
        raise DatasetError(path, place, f"is not there; {field or 'the file'} has {have or 'nothing'}")
    if not isinstance(link, h5py.HardLink):
        raise DatasetError(path, place, "is a link; copy the arrays into one file (h5repack, h5copy)")
    with _reading(path, place):
        return group[name]


def read_dataset(group: Any, name: str, path: Path, field: str) -> np.ndarray:
    """Read an array of a group, after a look at its declared size.

    Raises:
        DatasetError: There is none, it holds other things than numbers, or declares more than the file can hold.
    """
    place = f"{field}/{name}".strip("/")
    dataset = member(group, name, path, field)
    with _reading(path, place):
        _check_stored(dataset, path, place)
        return np.asarray(dataset[()])


def _check_stored(dataset: Any, path: Path, place: str) -> None:
    """Refuse what is no array of numbers, lies elsewhere, or declares more than is stored."""
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise DatasetError(path, place, "is not an array")
    size = array_bytes(dataset.shape, dataset.dtype, path, place)
    if dataset.is_virtual or dataset.external:
        raise DatasetError(path, place, "lies in another file; copy the arrays into one file (h5repack)")
    stored = dataset.id.get_storage_size()
    if size > MOST_RATIO * min(stored, path.stat().st_size) + 4096:
        raise DatasetError(path, place, f"declares {size} bytes but {stored} are stored; the file is damaged")
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    array_bytes((chunk,), np.dtype(np.uint8), path, place)


def leaves(group: Any, name: str, path: Path, field: str) -> dict[str, np.ndarray]:
    """All arrays below a member, by their path below it; a member that is an array itself has the name "".

    Raises:
        DatasetError: As `read_dataset`, or groups nested deeper than eight.
    """
    import h5py

    found: dict[str, np.ndarray] = {}
    waiting = [(group, name, field, "", 0)]
    while waiting:
        parent, key, place, below, depth = waiting.pop()
        node = member(parent, key, path, place)
        if not isinstance(node, h5py.Group):
            found[below] = read_dataset(parent, key, path, place)
            continue
        if depth == MOST_DEPTH:
            raise DatasetError(path, f"{place}/{key}", f"is nested deeper than {MOST_DEPTH} groups")
        inner = f"{place}/{key}".strip("/")
        waiting += [
            (node, child, inner, f"{below}/{child}".strip("/"), depth + 1) for child in children(node, path, inner)
        ]
    return found


def attribute(node: Any, *names: str) -> Any:
    """The first attribute that is there and readable: a number, text, or what JSON text says; None without any."""
    for name in names:
        try:
            value = node.attrs.get(name)
        except (*READ_FAULTS, RuntimeError):
            continue
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str):
            try:
                return json.loads(value)
            except (ValueError, RecursionError):
                return value
        if value is not None:
            return value
    return None
