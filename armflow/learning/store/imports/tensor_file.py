"""One tensor out of a .pth file, without torch and without running what a pickle asks for.

A .pth file is a .zip with data.pkl, which names tensors, and data/<key>, which holds their numbers. Three names are
known to the unpickler here and none of them is code of the file's choice. Called in the sandbox, since pickles can ask
for much memory.
"""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from armflow.learning.store.errors import READ_FAULTS, DatasetError
from armflow.learning.store.imports.arrays import DAMAGED_ZIP, array_bytes

__all__ = ["read_tensor"]

STORAGES = {
    **{"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BoolStorage": "?"},
    **{"LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "ByteStorage": "u1", "CharStorage": "i1"},
}


def read_tensor(path: Path, field: str) -> np.ndarray:
    """Read a .pth file that holds one plain tensor.

    Args:
        path: The file.
        field: What to call the tensor in errors.

    Raises:
        DatasetError: The file is damaged or holds anything but one tensor.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            with archive.open(names[0]) as stream:
                found = _TensorUnpickler(stream, archive, names[0].removesuffix("data.pkl"), path, field).load()
    except (*DAMAGED_ZIP, *READ_FAULTS, pickle.UnpicklingError, struct.error) as error:
        raise DatasetError(path, field, f"is no tensor ({str(error)[:160]})") from None
    if not isinstance(found, np.ndarray):
        raise DatasetError(path, field, f"is {type(found).__name__}; one tensor is needed")
    return found


class _TensorUnpickler(pickle.Unpickler):
    """An unpickler that knows tensors and nothing else."""

    def __init__(self, stream: Any, archive: zipfile.ZipFile, root: str, path: Path, field: str) -> None:
        super().__init__(stream)
        self._archive, self._root, self._path, self._field = archive, root, path, field

    def find_class(self, module: str, name: str) -> Any:
        """Our own stand-ins for the names in a tensor's pickle."""
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if module == "torch" and name in STORAGES:
            return np.dtype(STORAGES[name])
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a tensor")

    def persistent_load(self, pid: Any) -> np.ndarray:
        """The numbers of a storage: ("storage", type, key, device, count)."""
        _, dtype, key, _, count = pid
        if not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError("a storage has no type")
        size = array_bytes((count,), dtype, self._path, self._field)
        with self._archive.open(f"{self._root}data/{key}") as stream:
            return np.frombuffer(stream.read(size), dtype)

    def _rebuild(self, storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> np.ndarray:
        """A tensor of a storage; it must lie within."""
        if not isinstance(storage, np.ndarray) or storage.ndim != 1:
            raise pickle.UnpicklingError("a tensor has no storage")
        array_bytes(shape, storage.dtype, self._path, self._field)
        array_bytes(strides, storage.dtype, self._path, self._field)
        steps = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if offset < 0 or 0 in shape or offset + steps >= len(storage):
            raise pickle.UnpicklingError("a tensor is larger than its storage")
        size = storage.dtype.itemsize
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, [stride * size for stride in strides]).copy()
