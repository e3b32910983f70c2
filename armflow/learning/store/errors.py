"""The one error of everything that is read from a dataset."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from av.error import FFmpegError

from armflow.robot.errors import FormatError, StackError

__all__ = ["READ_FAULTS", "DatasetError", "reading"]

# All that a damaged file makes json, numpy, pyarrow and PyAV raise.
READ_FAULTS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    RecursionError,
)
READ_FAULTS = (*READ_FAULTS, EOFError, pa.ArrowException, FFmpegError)


class DatasetError(FormatError):
    """A dataset, or a file to import, does not hold what its format asks for; names the file and the field."""

    def __init__(self, path: object, field: str, reason: str) -> None:
        self.reason = reason
        super().__init__(path, field, reason)


@contextmanager
def reading(path: object, field: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a library raise into one `DatasetError`.

    Raises:
        DatasetError: The block raised anything that damaged files cause.
    """
    try:
        yield
    except StackError:
        raise
    except READ_FAULTS as error:
        lines = str(error).split("\n")
        raise DatasetError(path, field, (lines[0] or type(error).__name__)[:300]) from error
