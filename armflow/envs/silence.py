"""Keep C libraries that write to the process's standard streams quiet while they load."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silent_stderr", "silent_stdout"]


@contextmanager
def silent_stdout() -> Iterator[None]:
    """Send file descriptor 1 to nowhere for the length of a `with` block."""
    sys.stdout.flush()
    with _silent(1):
        yield


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere for the length of a `with` block; exceptions are not lost."""
    sys.stderr.flush()
    with _silent(2):
        yield


@contextmanager
def _silent(descriptor: int) -> Iterator[None]:
    saved = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)
        os.close(nowhere)
