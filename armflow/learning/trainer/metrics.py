"""The metrics of a training, line by line: `metrics.jsonl`, and TensorBoard where it is installed."""

import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from armflow.learning.files import WriteError, write_bytes

__all__ = ["Metrics", "read_metrics"]

FILE = "metrics.jsonl"
_log = logging.getLogger(__name__)


def read_metrics(directory: str | Path) -> list[dict[str, Any]]:
    """Return the whole lines of a run's metrics; a last line cut short by a full disk is left out."""
    path = Path(directory) / FILE
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            _log.warning("%s: line %d is not whole and was left out", path, len(lines) + 1)
    return lines


class Metrics:
    """Appends lines; numbers go to TensorBoard as well."""

    def __init__(self, directory: Path, step: int, evaluated: int) -> None:
        """Open the metrics of a run; lines beyond its step or its last evaluation are dropped: they come again."""
        self._path = directory / FILE
        lines = read_metrics(directory)
        kept = [line for line in lines if line["step"] <= (step if "loss" in line else evaluated)]
        write_bytes(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._board = _tensorboard(directory, step)

    def append(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Add one line and return it as written: what is not finite becomes None, as JSON asks.

        Raises:
            WriteError: The file cannot be written; the lines before are whole.
        """
        line = {name: value if math.isfinite(value) else None for name, value in line.items()}
        _append(self._path, (json.dumps(line) + "\n").encode())
        if self._board is not None:
            for name, value in line.items():
                if name != "step" and value is not None:
                    self._board.add_scalar(name if "/" in name else f"train/{name}", value, line["step"])
            self._board.flush()
        return line

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def _append(path: Path, line: bytes) -> None:
    """Append in a single write, and take back what a full disk cut short."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, line) < len(line):
                os.ftruncate(descriptor, before)
                raise WriteError(path, "no space left")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise WriteError(path, error.strerror or str(error)) from error


def _tensorboard(directory: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _log.info("no TensorBoard files: pip install 'armflow[tensorboard]' brings them")
        return None
    return SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)
