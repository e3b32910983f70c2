"""Files that are whole or absent: written beside their place, then moved into it."""

import json
import os
from pathlib import Path

from armflow.robot.errors import StackError

__all__ = ["OutputError", "append_line", "make_folder", "write_bytes", "write_json", "write_text"]


class OutputError(StackError):
    """A result cannot be written where the user asked for it."""

    def __init__(self, path: object, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"cannot write {path}: {problem}")


def make_folder(path: str | Path) -> Path:
    """Make a folder and its parents, and return it.

    Raises:
        OutputError: A file is in the way or the place is not writable.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(path, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK):
        raise OutputError(path, "no permission")
    return folder


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replace a file at once; a reader sees the old one or the new one, never half of it.

    Raises:
        OutputError: The folder does not exist or is not writable.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise OutputError(path, error.strerror or str(error)) from error


def write_text(path: str | Path, text: str) -> None:
    """Replace a text file at once, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: object) -> None:
    """Replace a JSON file at once."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def append_line(path: str | Path, value: object) -> None:
    """Append one JSON line in a single write, so that a stop in between leaves whole lines."""
    line = (json.dumps(value, allow_nan=False) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
