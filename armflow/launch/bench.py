"""`armflow bench`: every speed that the project promises, measured here, beside its bar and a reference."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from armflow.launch.choices import pick_many
from armflow.launch.files import write_json
from armflow.robot.errors import StackError

__all__ = ["BENCHMARKS", "Bench", "BenchmarkError"]

# Name -> module of `armflow.launch.benchmarks` and function; each returns a list of rows
# dict(name, value, unit, bar, better = "lower" | "higher", reference, ok).
BENCHMARKS = {
    "ik": ("robot", "ik_rows"),
    "limiter": ("robot", "limiter_rows"),
    "render": ("render", "render_rows"),
    "envs": ("envs", "env_rows"),
    "optimize": ("optimize", "optimize_rows"),
    "perception": ("perception", "perception_rows"),
    "splat": ("splat", "splat_rows"),
    "policies": ("policies", "policy_rows"),
    "dynamics": ("dynamics", "dynamics_rows"),
    "mppi": ("mppi", "mppi_rows"),
}
COLUMNS = ("name", "value", "unit", "bar", "reference", "ok")


class BenchmarkError(StackError):
    """A file for the results cannot be used."""


@dataclass(frozen=True)
class Bench:
    """Measure every speed that the project promises and print it beside its bar."""

    only: tuple[str, ...] = ("all",)
    """Any of ik, limiter, render, envs, optimize, perception, splat, policies, dynamics, mppi, or all."""
    json: Path | None = None
    """Also write the rows to this file."""

    def run(self) -> int:
        """Measure and print; the exit code is 1 when a bar is missed."""
        names = pick_many("benchmark", self.only, BENCHMARKS)
        if self.json is not None and not self.json.absolute().parent.is_dir():
            raise BenchmarkError(f"no folder {self.json.absolute().parent} to write {self.json.name} into")
        from rich.console import Console

        from armflow.launch.doctor import hardware
        from armflow.launch.threads import use_one_thread

        use_one_thread()
        console = Console()
        machine = hardware()
        console.print(f"{machine['processor']}, one thread, python {machine['python']}")
        rows: list[dict[str, Any]] = []
        try:
            for name in names:
                with console.status(f"measuring {name}"):
                    rows += _measure(name)
        finally:
            console.print(_table(rows))
            if self.json is not None:
                write_json(self.json, [{column: row[column] for column in COLUMNS} for row in rows])
        return 0 if all(row["ok"] for row in rows) else 1


def _measure(name: str) -> list[dict[str, Any]]:
    module, function = BENCHMARKS[name]
    importlib.import_module("armflow.envs.world")  # before the benchmarks: it keeps pybullet from saying hello
    rows = getattr(importlib.import_module(f"armflow.launch.benchmarks.{module}"), function)()
    return [{**row, "value": float(row["value"]), "ok": bool(row["ok"])} for row in rows]


def _table(rows: list[dict[str, Any]]) -> object:
    from rich.table import Table

    table = Table("what", "measured", "bar", "reference", "")
    for row in rows:
        sign = "≤" if row["better"] == "lower" else "≥"
        bar = "" if row["bar"] is None else f"{sign} {row['bar']:g} {row['unit']}"
        mark = "[green]✓[/]" if row["ok"] else "[red]✗[/]"
        table.add_row(row["name"], f"{row['value']:.4g} {row['unit']}", bar, str(row["reference"] or ""), mark)
    return table
