"""A process of its own for libraries that a damaged file can crash, hang, or make swallow all memory.

The child (`child.py`) reads and sends plain numbers with a JSON header; nothing it says is unpickled. When it dies or
falls silent, the file is refused and the caller lives on.
"""

import json
import os
import select
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.arrays import array_bytes
from armflow.learning.store.imports.layout import Source
from armflow.learning.store.schema import Feature, Recording, Schema

__all__ = ["Limits", "Sandbox"]

MOST_HEADER_BYTES = 8 << 20
CHILD = ("-m", "armflow.learning.store.imports.child")
QUIET = {"OMP_NUM_THREADS": "1", "BLOSC_NTHREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
"""One thread, and no plug-ins that a file could ask HDF5 to load."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may cost."""

    memory: int = 12 << 30
    """Address space of the process, bytes."""
    seconds: float = 120.0
    """Longest silence between two pieces of data, s."""


class Sandbox:
    """A child process that reads one file after another, started when needed and again after a crash."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize | None = None
        self._busy = False
        self._turn = 0

    def read(self, layout: str, path: Path) -> Source:
        """Read a file or folder as `LAYOUTS[layout].read` would, in the child.

        Raises:
            DatasetError: The file is refused, or reading it crashed, took too long or too much memory.
        """
        self._request(layout, path)
        schema = _to_schema(self._expect("schema", path))
        return self._recordings(schema, path), schema

    def close(self) -> None:
        """End the child, if there is one."""
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None
        self._busy = False

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a child that waits for requests."""
        command = [sys.executable, *CHILD, str(self.limits.memory)]
        paths = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        environment = os.environ | QUIET | {"PYTHONPATH": paths}
        pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet, env=environment, bufsize=0)
        self._process, self._finalizer = process, weakref.finalize(self, _end, process)
        return process

    def _request(self, layout: str, path: Path) -> None:
        """Ask for a file; a child that is in the middle of another one, or has died, is replaced."""
        if self._busy or (self._process is not None and self._process.poll() is not None):
            self.close()
        process = self._process or self._start()
        line = json.dumps({"layout": layout, "path": str(path.absolute())}) + "\n"
        try:
            assert process.stdin is not None
            process.stdin.write(line.encode())
            self._busy, self._turn = True, self._turn + 1
        except OSError as error:
            self.close()
            raise DatasetError(path, "reader", f"could not be started: {error}") from None

    def _recordings(self, schema: Schema, path: Path) -> Iterator[Recording]:
        """The episodes that the child sends; the child is ended when the caller stops before the last one."""
        turn = self._turn
        try:
            while (header := self._expect("recording", path))["kind"] != "end":
                arrays = {name: self._array(name, dtype, shape, path) for name, dtype, shape in header["arrays"]}
                yield Recording(arrays, arrays.pop("stamps"), header["task"])
                if turn != self._turn:
                    raise DatasetError(path, "reader", "was given another file meanwhile; use a sandbox of its own")
        finally:
            if self._busy and turn == self._turn:
                self.close()

    def _expect(self, kind: str, path: Path) -> dict[str, Any]:
        """The next header: of the kind, or the end.

        Raises:
            DatasetError: The child refuses the file, or died.
        """
        size = int.from_bytes(self._receive(8, path), "little")
        header = json.loads(self._receive(min(size, MOST_HEADER_BYTES), path))
        self._busy = header["kind"] == kind
        if header["kind"] == "error":
            raise DatasetError(header["path"], header["field"], header["reason"])
        assert header["kind"] in (kind, "end"), header["kind"]
        return header

    def _array(self, name: str, dtype: str, shape: list[int], path: Path) -> np.ndarray:
        """The numbers of one array."""
        size = array_bytes(shape, np.dtype(dtype), path, name)
        return np.frombuffer(self._receive(size, path), dtype).reshape(shape)

    def _receive(self, size: int, path: Path) -> bytearray:
        """Exactly `size` bytes, each piece of them within the time limit."""
        assert self._process is not None
        assert self._process.stdout is not None
        data, have = bytearray(size), 0
        descriptor, view = self._process.stdout.fileno(), memoryview(data)
        while have < size:
            ready, _, _ = select.select([descriptor], [], [], self.limits.seconds)
            count = os.readv(descriptor, [view[have:]]) if ready else 0
            if not count:
                raise DatasetError(path, "file", self._post_mortem(answering=bool(ready)))
            have += count
        return data

    def _post_mortem(self, *, answering: bool) -> str:
        """Why the child stopped sending; it is ended."""
        process = self._process
        assert process is not None
        code = process.wait() if answering else None
        self.close()
        if code is None:
            return f"is damaged: reading it took over {self.limits.seconds:g} s without progress"
        return f"is damaged: reading it crashed ({f'signal {-code}' if code < 0 else f'exit code {code}'})"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a child at once and close its pipes."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _to_schema(header: dict[str, Any]) -> Schema:
    """The schema that the child describes."""
    features = {
        name: Feature(dtype, tuple(shape), None if names is None else tuple(names))
        for name, (dtype, shape, names) in header["features"].items()
    }
    return Schema(header["fps"], features, header["robot"], header["extra"])
