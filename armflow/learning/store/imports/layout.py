"""What an importer is: a name, a test of the content, and a reader of whole episodes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from armflow.learning.store.schema import Recording, Schema

__all__ = ["Layout", "Source"]

Source = tuple[Iterator[Recording], Schema]


@dataclass(frozen=True, slots=True)
class Layout:
    """One foreign layout of recorded play."""

    name: str
    """What the command line calls it."""
    summary: str
    """The files that it reads, one line."""
    detect: Callable[[Path], bool]
    """Whether a file or folder looks like it; opens nothing large and never raises."""
    read: Callable[[Path], Source]
    """Episodes, one by one, and what they hold. Raises DatasetError."""
    sandboxed: bool
    """Whether reading needs C libraries that damaged files can crash, and so happens in a process of its own."""
