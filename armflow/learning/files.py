"""Files that are whole or absent: written beside their place, then moved into it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from armflow.robot.errors import StackError

__all__ = ["WriteError", "make_folder", "replacing", "sync", "write_bytes", "write_json"]


class WriteError(StackError):
    """Something cannot be written where it was asked for; what was there before is untouched."""

    def __init__(self, path: object, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"cannot write {path}: {problem}")


def make_folder(path: str | Path) -> Path:
    """Make a folder and its parents, and return it.

    Raises:
        WriteError: A file is in the way or the place is not writable.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(path, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK):
        raise WriteError(path, "no permission")
    return folder


def sync(path: str | Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk and not only in memory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the place of `path` when the block ends without an error.

    A reader sees the old file or the new one, never half of it, also when the power fails.

    Raises:
        WriteError: The disk is full, the folder does not exist or is not writable; the old file is intact.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        sync(part)
        part.replace(path)
        sync(path.parent)
    except OSError as error:
        raise WriteError(path, error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replace a file at once.

    Raises:
        WriteError: The folder does not exist or is not writable, or the disk is full.
    """
    with replacing(path) as part:
        part.write_bytes(data)


def write_json(path: str | Path, value: object) -> None:
    """Replace a JSON file at once.

    Raises:
        WriteError: The folder does not exist or is not writable, or the disk is full.
    """
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())
