"""`armflow predict`: how well learned dynamics foretell recorded interaction, beside what needs no learning."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from armflow.launch.files import make_folder, write_json, write_text
from armflow.launch.train_dynamics import load_scenes
from armflow.robot.errors import StackError, ValueRangeError

if TYPE_CHECKING:
    from armflow.planning.dynamics.data import Scene
    from armflow.planning.dynamics.types import DynamicsModel

__all__ = ["Predict", "PredictOptionsError"]

BASELINES = {"no motion": "still", "constant velocity": "constant_velocity", "move with tool": "move_with_tool"}
MOVED = 0.01  # m; windows in which less happens say nothing about a model


class PredictOptionsError(StackError):
    """Options that do not go together."""


@dataclass(frozen=True)
class Predict:
    """Judge dynamics on recorded interaction over 3 s; leaves report.json and report.html in a folder."""

    checkpoint: tyro.conf.UseAppendAction[tuple[Path, ...]]
    """Folder of a trained model; several are compared, each behind its own --checkpoint."""
    data: tyro.conf.UseAppendAction[tuple[str, ...]]
    """A dataset of interaction, or NAME=DIR to call its split NAME in the report: unseen-material=data/rope_b."""
    seen: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=DIR: on split NAME start from what `armflow track` saw of it, in DIR, and judge by the recorded truth."""
    seconds: float = 3.0
    """How far ahead, s."""
    particles: int = 200
    """Particles of an object."""
    windows: Annotated[int, tyro.conf.arg(name="windows")] = 64
    """Most windows of a split, spread over its scenes."""
    adapt: int = 0
    """Scenes of each split on which a model also adapts its material code to the first half; 0 for none."""
    seed: int = 0
    """Picks windows and particles."""
    threads: int = 1
    """Threads of torch."""
    out: Path = field(default_factory=lambda: Path("runs") / time.strftime("predict-%Y%m%d-%H%M%S"))
    """Folder of the report."""

    def run(self) -> int:
        """Judge every model on every split.

        Raises:
            PredictOptionsError: Nothing to judge, or two of one name.
            ValueRangeError: A number out of its range.
            StackError: A checkpoint or a dataset cannot be used; names it.
        """
        splits = self._check()
        import torch

        from armflow.launch.doctor import hardware, versions
        from armflow.launch.predict_page import render_prediction
        from armflow.launch.predict_split import judge_split

        torch.set_num_threads(self.threads)
        models = self._models()
        scenes = self._scenes(splits)
        folder = make_folder(self.out)
        report: dict[str, Any] = {
            "command": " ".join(["armflow", *sys.argv[1:]]),
            "seconds": self.seconds,
            "particles": self.particles,
            "moved": MOVED,
            "splits": [],
            "hardware": hardware(),
            "versions": versions(),
        }
        for name, (found, facts) in scenes.items():
            split = judge_split(models, found, self, moved=MOVED)
            report["splits"].append({"name": name, "data": facts, **split})
            _tell(name, split)
        write_json(folder / "report.json", report)
        write_text(folder / "report.html", render_prediction(report))
        print(f"open {folder / 'report.html'}")
        return 0

    def _check(self) -> dict[str, Path]:
        """Split name -> folder."""
        if not self.checkpoint or not self.data:
            raise PredictOptionsError("--checkpoint and --data are needed: the folders of a model and of a dataset")
        for name, low in (("particles", 2), ("windows", 1), ("threads", 1), ("adapt", 0), ("seed", 0)):
            if getattr(self, name) < low:
                raise ValueRangeError(f"--{name}", getattr(self, name), f"at least {low}")
        if not 0.1 <= self.seconds <= 60:
            raise ValueRangeError("--seconds", self.seconds, "0.1 to 60 s")
        splits = _named(self.data, "--data")
        for name in _named(self.seen, "--seen"):
            if name not in splits:
                raise PredictOptionsError(f"--seen {name}: no such split; --data names {', '.join(splits)}")
        return splits

    def _scenes(self, splits: dict[str, Path]) -> dict[str, tuple[list["Scene"], dict[str, Any]]]:
        """Split name -> its scenes and the facts of its data."""
        from armflow.planning.dynamics.data import show_tracks

        found = {name: load_scenes(path) for name, path in splits.items()}
        for name, path in _named(self.seen, "--seen").items():
            truth, facts = found[name]
            seen, more = load_scenes(path)
            if len(seen) != len(truth):
                raise PredictOptionsError(f"--seen {name}: {len(seen)} episodes, where --data has {len(truth)}")
            shown = [show_tracks(*pair) for pair in zip(truth, seen, strict=True)]
            found[name] = shown, {**facts, "seen": more}
        return found

    def _models(self) -> dict[str, "DynamicsModel"]:
        from armflow.learning.checkpoint import load_checkpoint
        from armflow.planning.dynamics import load_dynamics, make_dynamics

        models: dict[str, DynamicsModel] = {}
        methods = [str(load_checkpoint(path).config["method"]) for path in self.checkpoint]
        for path, method in zip(self.checkpoint, methods, strict=True):
            name = method if methods.count(method) == 1 else f"{method} {path.name}"
            if name in models:
                raise PredictOptionsError(f"two checkpoints are called {name}; give folders of different names")
            models[name] = load_dynamics(path)
        return {**models, **{name: make_dynamics(kind) for name, kind in BASELINES.items()}}


def _named(given: tuple[str, ...], option: str) -> dict[str, Path]:
    """NAME=DIR, or DIR named after its last part."""
    parts = (words.partition("=") for words in given)
    pairs = [(name, rest) if rest else (Path(name).name, name) for name, _, rest in parts]
    if len(dict(pairs)) < len(pairs):
        raise PredictOptionsError(f"two datasets of one name; call them apart: {option} NAME=DIR")
    return {name: Path(path) for name, path in pairs}


def _tell(name: str, split: dict[str, Any]) -> None:
    print(f"{name}: {split['windows']} windows of {split['scenes']} scenes; mean over the horizon, mm")
    for model, found in split["models"].items():
        mean = {metric: 1000 * value for metric, value in found["mean"].items()}
        print(f"  {model:18s} point {mean['point']:6.1f}  Chamfer {mean['chamfer']:6.1f}  EMD {mean['emd']:6.1f}")
