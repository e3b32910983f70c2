"""The running success rate of an evaluation, on the terminal."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from armflow.launch.runner import EpisodeResult

__all__ = ["Progress"]


class Progress:
    """One bar for all episodes, with the time left and the success rate so far of each task and arm."""

    def __init__(self, specs: Iterable[Any], results: Mapping[Any, EpisodeResult]) -> None:
        """Count the episodes of `specs`, of which `results` are there already."""
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        total = len(list(specs))
        self._bar = self._bars.add_task("episodes", total=total, completed=len(results), rate="")
        self._counts: dict[tuple[str, str], list[int]] = {}
        for result in results.values():
            self._count(result)

    def add(self, result: EpisodeResult) -> None:
        """Count one more result; a failure is also printed with its reason."""
        self._count(result)
        if not result.outcome.success:
            name = f"{result.task} · {result.arm} · seed {result.seed}"
            self._bars.console.print(f"[red]✗[/] {name}: {result.outcome.reason}", highlight=False)
        rates = (f"{name[0]}/{name[1]} {done}/{of}" for name, (done, of) in list(self._counts.items())[-2:])
        self._bars.update(self._bar, advance=1, rate="  ".join(rates))

    def _count(self, result: EpisodeResult) -> None:
        count = self._counts.setdefault((result.task, result.arm), [0, 0])
        count[0] += result.outcome.success
        count[1] += 1

    def __enter__(self) -> "Progress":
        self._bars.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()
