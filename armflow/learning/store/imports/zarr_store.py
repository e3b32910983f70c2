"""Arrays of zarr format 2, in a folder or a .zip; in the sandbox only, since damaged chunks can crash decompressors.

Format: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html.
"""

import bz2
import itertools
import json
import lzma
import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.arrays import DAMAGED_ZIP, array_bytes

__all__ = ["FolderStore", "Store", "ZarrArray", "ZipStore", "open_store"]

MOST_CHUNK_BYTES = 1 << 30
MOST_META_BYTES = 1 << 20


class Store(Protocol):
    """Values by key, such as data/action/.zarray."""

    def read(self, key: str) -> bytes | None:
        """A value; None where there is none."""
        ...

    def arrays(self, group: str) -> list[str]:
        """Names of the arrays of a group."""
        ...


class FolderStore:
    """A folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, key: str) -> bytes | None:
        """A file's content."""
        file = self.path / key
        return file.read_bytes() if file.is_file() else None

    def arrays(self, group: str) -> list[str]:
        """Folders with a .zarray."""
        return sorted(file.parent.name for file in (self.path / group).glob("*/.zarray"))


class ZipStore:
    """A .zip with the keys as names, at its top or in one folder."""

    def __init__(self, path: Path) -> None:
        self.archive = zipfile.ZipFile(path)
        self.names = set(self.archive.namelist())
        roots = [name.removesuffix("data/.zgroup") for name in self.names if name.endswith("data/.zgroup")]
        self.root = min(roots, key=len, default="")

    def read(self, key: str) -> bytes | None:
        """An entry's content."""
        name = self.root + key
        if name not in self.names:
            return None
        if self.archive.getinfo(name).file_size > MOST_CHUNK_BYTES:
            raise ValueError(f"{name} unpacks to more than {MOST_CHUNK_BYTES} bytes")
        return self.archive.read(name)

    def arrays(self, group: str) -> list[str]:
        """Folders with a .zarray."""
        found = (PurePosixPath(name.removeprefix(self.root)) for name in self.names if name.endswith("/.zarray"))
        return sorted(name.parent.name for name in found if str(name.parent.parent) == group)


def open_store(path: Path) -> Store:
    """The store of a folder or .zip.

    Raises:
        DatasetError: A .zip that cannot be read.
    """
    try:
        return FolderStore(path) if path.is_dir() else ZipStore(path)
    except DAMAGED_ZIP as error:
        raise DatasetError(path, "archive", f"is no readable .zip ({error})") from None


class ZarrArray:
    """One array of a store, read slice by slice along its first axis."""

    def __init__(self, store: Store, key: str, path: Path) -> None:
        self.store, self.key, self.path = store, key, path
        meta = self._meta()
        self.shape, self.chunks = self._sizes(meta, "shape", 0), self._sizes(meta, "chunks", 1)
        self.dtype = self._dtype(meta.get("dtype"))
        if len(self.shape) != len(self.chunks) or not self.shape:
            raise self._error(
                f"has the shape {self.shape} in chunks {self.chunks}; both need the same axes, at least one"
            )
        if array_bytes(self.chunks, self.dtype, path, key) > MOST_CHUNK_BYTES:
            raise self._error(f"has chunks {self.chunks} of more than {MOST_CHUNK_BYTES} bytes")
        if meta.get("filters"):
            raise self._error(f"uses filters {meta['filters']!r:.100}; save it without")
        self.order: Literal["C", "F"] = "F" if meta.get("order") == "F" else "C"
        self.separator = "/" if meta.get("dimension_separator") == "/" else "."
        self.decode = self._decoder(meta.get("compressor"))
        self.fill = self._fill(meta.get("fill_value"))
        self._last: tuple[str, np.ndarray] | None = None

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows start to stop along the first axis.

        Raises:
            DatasetError: A chunk is damaged, or the rows are not there.
        """
        if not 0 <= start <= stop <= self.shape[0]:
            raise self._error(f"has {self.shape[0]} rows; {start} to {stop} are asked for")
        shape = (stop - start, *self.shape[1:])
        array_bytes(shape, self.dtype, self.path, self.key)
        out = np.empty(shape, self.dtype)
        first = start // self.chunks[0]
        spans = [range(first, -(-stop // self.chunks[0]))]
        spans += [range(-(-size // chunk)) for size, chunk in zip(self.shape[1:], self.chunks[1:], strict=True)]
        for index in itertools.product(*spans):
            lows = [i * chunk for i, chunk in zip(index, self.chunks, strict=True)]
            begins = [max(lows[0], start), *lows[1:]]
            ends = [
                min(low + chunk, size)
                for low, chunk, size in zip(lows, self.chunks, (stop, *self.shape[1:]), strict=True)
            ]
            target = (slice(begins[0] - start, ends[0] - start), *map(slice, begins[1:], ends[1:]))
            inside = tuple(slice(b - low, e - low) for b, e, low in zip(begins, ends, lows, strict=True))
            out[target] = self._chunk(self.separator.join(map(str, index)))[inside]
        return out

    def _chunk(self, name: str) -> np.ndarray:
        """One chunk, in full size; one that is not stored holds the fill value."""
        if self._last is None or self._last[0] != name:
            self._last = (name, self._load(name))
        return self._last[1]

    def _load(self, name: str) -> np.ndarray:
        """Read and unpack one chunk."""
        field = f"{self.key}/{name}"
        size = math.prod(self.chunks) * self.dtype.itemsize
        try:
            packed = self.store.read(field)
            if packed is None:
                return np.broadcast_to(self.fill, self.chunks)
            data = self.decode(packed, size)
        except (*DAMAGED_ZIP, lzma.LZMAError, MemoryError) as error:
            raise DatasetError(self.path, field, f"cannot be unpacked ({str(error)[:160]})") from None
        if len(data) != size:
            raise DatasetError(self.path, field, f"unpacks to {len(data)} bytes; {size} are declared")
        return np.frombuffer(data, self.dtype).reshape(self.chunks, order=self.order)

    def _meta(self) -> dict[str, Any]:
        """The array's .zarray."""
        try:
            text = self.store.read(f"{self.key}/.zarray")
            meta = json.loads(text[:MOST_META_BYTES]) if text is not None else None
        except (*DAMAGED_ZIP, RecursionError) as error:
            raise self._error(f"has no readable .zarray ({str(error)[:160]})") from None
        if not isinstance(meta, dict) or meta.get("zarr_format") != 2:
            raise self._error("is no array of zarr format 2; save it with zarr_format=2")
        return meta

    def _sizes(self, meta: dict[str, Any], name: str, least: int) -> tuple[int, ...]:
        """A list of sizes of .zarray."""
        found = meta.get(name)
        listed: list[Any] = found if isinstance(found, list) else [None]
        sizes = [size for size in listed if isinstance(size, int) and not isinstance(size, bool)]
        if len(sizes) != len(listed) or len(sizes) > 8 or any(not least <= size < 2**48 for size in sizes):
            raise self._error(f"declares the {name} {found!r:.100}; up to eight sizes of {least} or more are needed")
        return tuple(sizes)

    def _dtype(self, text: object) -> np.dtype:
        """The type of one entry."""
        try:
            dtype = np.dtype(text) if isinstance(text, str) else None
        except (TypeError, ValueError, SyntaxError):
            dtype = None
        if dtype is None or dtype.kind not in "biuf":
            raise self._error(f"has the type {text!r:.60}; only plain numbers are read")
        return dtype

    def _decoder(self, compressor: object) -> Callable[[bytes, int], bytes]:
        """The function that unpacks a chunk to a known size."""
        name = compressor.get("id") if isinstance(compressor, dict) else compressor
        if name is not None and (not isinstance(name, str) or name not in DECODERS):
            raise self._error(f"is packed with {name!r:.60}; known are {', '.join(DECODERS)}")
        return _as_is if name is None else DECODERS[name]

    def _fill(self, value: object) -> np.ndarray:
        """The value of chunks that are not stored."""
        try:
            number = float(value) if isinstance(value, int | float | str) else 0.0
            with np.errstate(all="ignore"):
                return np.asarray(number).astype(self.dtype)
        except (ValueError, OverflowError):
            raise self._error(f"has the fill value {value!r:.60}; a number is needed") from None

    def _error(self, reason: str) -> DatasetError:
        """An error that names this array."""
        return DatasetError(self.path, self.key, reason)


def _as_is(packed: bytes, size: int) -> bytes:
    return packed


def _zlib(packed: bytes, size: int) -> bytes:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(packed, size + 1)


def _bz2(packed: bytes, size: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(packed, size + 1)


def _lzma(packed: bytes, size: int) -> bytes:
    return lzma.LZMADecompressor().decompress(packed, size + 1)


def _blosc(packed: bytes, size: int) -> bytes:
    """Blosc says the unpacked and packed sizes in bytes 4 to 7 and 12 to 15 of its header."""
    from numcodecs.blosc import decompress

    sizes = int.from_bytes(packed[4:8], "little"), int.from_bytes(packed[12:16], "little")
    if len(packed) < 16 or sizes != (size, len(packed)):
        raise ValueError(f"its header says {sizes}; {(size, len(packed))} are needed")
    return bytes(decompress(packed))


def _lz4(packed: bytes, size: int) -> bytes:
    """What numcodecs writes has the unpacked size before the data, 4 bytes."""
    from numcodecs.lz4 import decompress

    if int.from_bytes(packed[:4], "little") != size:
        raise ValueError("its header says another size than declared")
    return bytes(decompress(packed))


def _zstd(packed: bytes, size: int) -> bytes:
    from numcodecs.zstd import decompress

    out = bytearray(size)
    decompress(packed, out)
    return bytes(out)


DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "blosc": _blosc,
    "zstd": _zstd,
    "lz4": _lz4,
    "zlib": _zlib,
    "gzip": _zlib,
    "bz2": _bz2,
    "lzma": _lzma,
}
