"""Keep C libraries that write to the process's standard output quiet while a robot is loaded."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silent_stdout"]


@contextmanager
def silent_stdout() -> Iterator[None]:
    """Send file descriptor 1 to nowhere for the length of a `with` block."""
    sys.stdout.flush()
    saved = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nowhere)
