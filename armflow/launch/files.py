"""Results on disk: whole files, as `learning.files` writes them, and lines of JSON."""

import json
import os
from pathlib import Path

from armflow.learning.files import WriteError, make_folder, write_bytes, write_json

__all__ = ["WriteError", "append_line", "make_folder", "write_bytes", "write_json", "write_text"]


def write_text(path: str | Path, text: str) -> None:
    """Replace a text file at once, in UTF-8.

    Raises:
        WriteError: The folder does not exist or is not writable, or the disk is full.
    """
    write_bytes(path, text.encode())


def append_line(path: str | Path, value: object) -> None:
    """Append one JSON line in a single write, so that a stop in between leaves whole lines."""
    line = (json.dumps(value, allow_nan=False) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
