"""Arrays from .npy and .npz files of unknown origin: sizes are checked before memory is taken, pickles are refused."""

import math
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np

from armflow.learning.store.errors import DatasetError

__all__ = ["MAX_ARRAY_BYTES", "array_bytes", "npz_names", "read_npy", "read_npz"]

MAX_ARRAY_BYTES = 4 << 30
"""Largest array that an importer takes into memory, bytes; larger sources come in pieces."""
MAX_HEADER_BYTES = 10_000
NUMERIC_KINDS = "biuf"
DAMAGED_HEADER = (ValueError, TypeError, SyntaxError, TokenError, MemoryError, RecursionError, OverflowError, KeyError)
DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    OSError,
    RuntimeError,
    KeyError,
    OverflowError,
    IndexError,
    TypeError,
)


def array_bytes(shape: Iterable[int], dtype: np.dtype, path: object, field: str) -> int:
    """Size of a declared array, refused where it is impossible.

    Args:
        shape: Declared size of each axis.
        dtype: Declared type of one entry.
        path: File, for the error.
        field: Name of the array, for the error.

    Returns:
        The number of bytes that the array takes.

    Raises:
        DatasetError: A negative size, a type that is no plain number, or more than `MAX_ARRAY_BYTES`.
    """
    sizes = tuple(shape)
    if dtype.kind not in NUMERIC_KINDS or dtype.hasobject:
        raise DatasetError(path, field, f"holds {dtype}; only plain numbers are read (bool, integer, float)")
    if any(isinstance(size, bool) or not isinstance(size, int) or size < 0 for size in sizes) or len(sizes) > 8:
        raise DatasetError(path, field, f"declares the shape {sizes}; up to eight sizes of 0 or more are possible")
    count = math.prod(sizes) * dtype.itemsize
    if count > MAX_ARRAY_BYTES:
        raise DatasetError(path, field, f"declares {count} bytes; at most {MAX_ARRAY_BYTES} are read at once")
    return count


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first (Fortran order), and type, as the .npy header declares them."""
    readers = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version = np.lib.format.read_magic(stream)[0]
        if version not in readers:
            raise ValueError(f"version {version} is not 1 or 2")
        return readers[version](stream, max_header_size=MAX_HEADER_BYTES)


def _read_stream(stream: IO[bytes], available: int, path: object, field: str) -> np.ndarray:
    """Read one .npy stream of `available` bytes."""
    try:
        shape, fortran, dtype = _read_header(stream)
    except DAMAGED_HEADER as error:
        raise DatasetError(path, field, f"is no .npy array ({_first_line(error)})") from None
    wanted = array_bytes(shape, dtype, path, field)
    if wanted > available:
        raise DatasetError(path, field, f"declares {wanted} bytes but the file has {available}; copy it again")
    data = stream.read(wanted)
    if len(data) != wanted:
        raise DatasetError(path, field, f"ends after {len(data)} of {wanted} bytes; copy it again")
    array = np.frombuffer(data, dtype)
    return array.reshape(shape[::-1]).transpose() if fortran else array.reshape(shape)


def _first_line(error: BaseException) -> str:
    """The first line of an error's text, short enough to print."""
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:160]


def read_npy(path: Path, field: str | None = None) -> np.ndarray:
    """Read a .npy file of plain numbers.

    Args:
        path: The file.
        field: What to call the array in errors; the file's name without it.

    Returns:
        The array, read-only, in the shape and type of the file.

    Raises:
        DatasetError: The file cannot be read, is damaged, holds objects, or declares more than it has.
    """
    name = field or path.stem
    try:
        with path.open("rb") as stream:
            return _read_stream(stream, path.stat().st_size, path, name)
    except OSError as error:
        raise DatasetError(path, name, f"cannot be read: {error.strerror or error}") from None


def read_npz(path: Path, names: Iterable[str] | None = None, *, optional: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Read arrays of a .npz file.

    Args:
        path: The file.
        names: Arrays that must be there; None reads all that are.
        optional: Arrays that may be there.

    Returns:
        The arrays by name, read-only.

    Raises:
        DatasetError: The file is no .npz, an array is missing (the choices are named), or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = list(entries if names is None else names)
            wanted += [name for name in optional if name in entries and name not in wanted]
            return {name: _read_entry(archive, entries, name, path) for name in wanted}
    except DAMAGED_ZIP as error:
        raise DatasetError(path, "archive", f"is no readable .npz ({_first_line(error)})") from None


def _read_entry(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], name: str, path: Path) -> np.ndarray:
    """Read one array of an open archive; its stored checksum is verified."""
    if name not in entries:
        raise DatasetError(path, name, f"is not there; the file has {', '.join(sorted(entries)) or 'nothing'}")
    info = entries[name]
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DatasetError(path, name, "is compressed in a way that numpy does not write; use np.savez_compressed")
    try:
        with archive.open(info) as stream:
            array = _read_stream(stream, info.file_size, path, name)
            stream.read(1)  # Reaching the end verifies the checksum.
    except DAMAGED_ZIP as error:
        raise DatasetError(path, name, f"is damaged ({_first_line(error)}); copy it again") from None
    return array


def npz_names(path: Path) -> set[str]:
    """Names of the arrays in a .npz file, none where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except DAMAGED_ZIP:
        return set()
