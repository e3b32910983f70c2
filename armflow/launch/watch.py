"""Following a training: the bar on the terminal, `training.json` and `report.html`."""

import json
import logging
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from armflow import __version__
from armflow.launch.curves import write_training_page
from armflow.launch.doctor import hardware, versions
from armflow.launch.files import write_json
from armflow.learning.trainer import Progress, ResumeError, TrainRecord, read_metrics

__all__ = ["FILE", "Watch", "merge_facts"]

FILE = "training.json"
SHOWN = ("validation/", "rollouts/")


def merge_facts(folder: Path, facts: Mapping[str, Any], *, resume: bool) -> dict[str, Any]:
    """Put versions and hardware beside the facts of a training, and keep how it first began when it is resumed.

    Args:
        folder: Of the run.
        facts: "command", "method", "preset", "data", "train" and more, as JSON.
        resume: Whether the training goes on from what the folder holds.

    Raises:
        ResumeError: The data are not those that the training began with.
    """
    now = {
        **facts,
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "resumed": [],
        "versions": {"armflow": __version__, "python": platform.python_version(), **versions()},
        "hardware": hardware(),
    }
    path = folder / FILE
    if not resume or not path.exists():
        return now
    before = json.loads(path.read_text(encoding="utf-8"))
    for name, value in before["data"].items():
        if name != "name" and now["data"].get(name) != value:
            raise ResumeError(
                f"cannot resume {folder}: the data's {name} was {value} and is {now['data'].get(name)} now; "
                f"give the same --data, or train into another --out"
            )
    resumed = [*before["resumed"], {"command": now["command"], "time": now["started"]}]
    return {**now, "command": before["command"], "started": before["started"], "resumed": resumed}


class Watch:
    """Shows a training while it runs, and leaves its record and its page behind, also when it is stopped."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Follow a training in `folder`; `facts` come from `merge_facts`."""
        self._folder, self._facts = folder, facts
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[words]}"),
            speed_estimate_period=120,
        )
        self._bar = self._bars.add_task(str(facts["method"]), total=int(facts["train"]["steps"]), words="")
        self._seen: tuple[int, float] | None = None  # samples and seconds at the last look
        self._rate = 0.0
        self._loss: float | None = None
        self._handler = _ToConsole(self._bars)
        self._record: TrainRecord | None = None

    def stepped(self, progress: Progress) -> None:
        """Move the bar; loss and speed are smoothed, for single steps jump."""
        self._loss = progress.loss if self._loss is None else 0.98 * self._loss + 0.02 * progress.loss
        if self._seen is None or progress.seconds < self._seen[1]:
            self._seen = progress.samples, progress.seconds
        elif progress.seconds - self._seen[1] > 1.0:
            self._rate = (progress.samples - self._seen[0]) / (progress.seconds - self._seen[1])
            self._seen = progress.samples, progress.seconds
        rate = self._rate or progress.samples / max(progress.seconds, 1e-9)
        skipped = f"  {progress.skipped} skipped" if progress.skipped else ""
        words = f"loss {self._loss:.4g}  {rate:,.0f} samples/s{skipped}"
        self._bars.update(self._bar, completed=progress.step, words=words)

    def measured(self, line: Mapping[str, Any]) -> None:
        """Tell an evaluation, and bring record and page up to date."""
        found = {name: value for name, value in line.items() if name.startswith(SHOWN) and value is not None}
        if found:
            words = "  ".join(f"{name} {value:.4g}" for name, value in found.items())
            place = f"step {line['step']:,} · {line['samples']:,} samples · {line['seconds'] / 60:.1f} min"
            self._bars.console.print(f"{place}: {words}", highlight=False, soft_wrap=True)
            self._write("running")

    def finished(self, record: TrainRecord) -> None:
        """Take what came of the training."""
        self._record = record

    def _write(self, status: str) -> None:
        lines = read_metrics(self._folder)
        last = lines[-1] if lines else {}
        result = {name: last.get(name) for name in ("step", "samples", "seconds", "seconds_total")}
        scores = {name: value for line in lines for name, value in line.items() if name.startswith(SHOWN)}
        result |= {"scores": scores} | (asdict(self._record) if self._record else {})
        facts = {**self._facts, "status": status, "result": result, "evaluations": _evaluations(lines)}
        write_json(self._folder / FILE, facts)
        write_training_page(self._folder, facts)

    def __enter__(self) -> "Watch":
        self._bars.start()
        _log().addHandler(self._handler)
        _log().setLevel(logging.INFO)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _log().removeHandler(self._handler)
        self._bars.stop()
        if error is None:
            self._write("finished")
        elif self._loss is not None:  # else it was refused before a step was made, and nothing has changed
            self._write("stopped" if isinstance(error, KeyboardInterrupt) else f"ended: {error}")


class _ToConsole(logging.Handler):
    """Prints what the trainer logs above the bar."""

    def __init__(self, bars: Bars) -> None:
        super().__init__(logging.INFO)
        self._console = bars.console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        self._console.print(record.getMessage(), highlight=False, markup=False, soft_wrap=True)


def _log() -> logging.Logger:
    return logging.getLogger("armflow.learning")


def _evaluations(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if any(name.startswith(SHOWN) for name in line)]
