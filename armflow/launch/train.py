"""`armflow train`: learn a policy from recorded play, or dynamics from recorded interaction."""

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from armflow.launch.choices import pick
from armflow.launch.files import make_folder
from armflow.launch.train_dynamics import DYNAMICS, prepare
from armflow.robot.errors import StackError, ValueRangeError

if TYPE_CHECKING:
    from armflow.learning.store import EpisodeTable, Schema
    from armflow.learning.trainer import Objective, Rollouts, TrainConfig

__all__ = ["METHODS", "Train", "TrainOptionsError"]

FIRST_SEED = 100_000  # of rollouts while training: apart from those of recordings and of evaluations
EXTRA_COLUMNS = ("action.valid",)  # read where the data have them


class TrainOptionsError(StackError):
    """Options that do not go together."""


def _beso(table: "EpisodeTable", schema: "Schema", preset: str, seed: int) -> "Objective":
    from armflow.policies.beso.objective import make_objective

    return make_objective(table, schema, preset, seed=seed)


def _baseline(method: str) -> "Maker":
    def make(table: "EpisodeTable", schema: "Schema", preset: str, seed: int) -> "Objective":
        from armflow.policies.baselines import PRESETS, make_objective

        return make_objective(table, schema, PRESETS[pick("preset", preset, PRESETS)], method=method, seed=seed)

    return make


Maker = Callable[["EpisodeTable", "Schema", str, int], "Objective"]

METHODS: dict[str, Maker] = {
    "beso": _beso,
    "bc-mlp": _baseline("bc_mlp"),
    "bc-transformer": _baseline("bc_transformer"),
    "cbet": _baseline("cbet"),
}
"""Method -> function of episodes, schema, preset and seed that makes what is learned."""


@dataclass(frozen=True)
class Train:
    """Train a policy on recorded play; leaves model, metrics, record and report.html in a folder."""

    method: Annotated[str, tyro.conf.Positional]
    """What is learned: beso, bc-mlp, bc-transformer or cbet; or dynamics, how objects move with a tool."""
    data: tyro.conf.UseAppendAction[tuple[Path, ...]]
    """A dataset, or anything that `armflow data import` reads; dynamics take several, each behind its own --data."""
    model: str = "fast"
    """Of dynamics: fast, pgnd (the published one) or gbnd (a graph network)."""
    preset: str = "quick"
    """quick, full, or another preset of the method: model size, steps, batch, learning rate."""
    out: Path | None = None
    """Folder of the run; runs/train-METHOD-TIME by default."""
    resume: bool = False
    """Go on from what --out holds."""
    steps: int | None = None
    """Steps in all; by default the preset's, as the next three."""
    batch: int | None = None
    """Examples of one step, over all processes together."""
    learning_rate: float | None = None
    """Highest learning rate."""
    evaluate_every: int | None = None
    """Steps between evaluations and between checkpoints."""
    rollouts: int | None = None
    """Episodes in the environment of the data at every evaluation; 0 for none."""
    precision: str = "auto"
    """fp32, bf16, or auto: what suits the preset, and for large models bf16 where the hardware has it."""
    seed: int = 0
    """Seed of weights, batches and noise."""
    threads: int = 0
    """Threads of a process; 0 leaves it to torch. One thread makes --resume exact to the bit."""
    devices: int = 1
    """Processes, or GPUs, on each machine."""
    nodes: int = 1
    """Machines; the same command is started on each."""
    images: str = ""
    """Camera whose pictures the policy sees instead of the objects' columns of the state; none by default."""
    observe: list[str] = field(default_factory=list)
    """Columns of the state that a policy sees, by name or number; by default what the data say, and only the robot's
    own beside pictures."""

    def run(self) -> int:
        """Train, follow, and leave the record, also after Ctrl-C.

        Raises:
            ChoiceError: An unknown method or preset.
            TrainOptionsError: Options that do not go together.
            StackError: The data, the folder or the training itself; says which.
        """
        method = pick("method", self.method, (*METHODS, DYNAMICS))
        self._check(method)
        folder = make_folder(self._folder(method))
        self._set_up_torch()
        from armflow.learning.trainer import leads

        if method == DYNAMICS:
            return self._train_dynamics(folder)
        table, schema = self._load()
        config, episodes = self._settings(schema)
        objective = METHODS[method](table, schema, self.preset, self.seed)
        rollouts = _rollouts(objective, schema, episodes)
        if not leads():
            return self._help(objective, config, folder)
        facts = {**self._facts(method), "data": _data_facts(self.data[0], table), "train": asdict(config)}
        self._lead(objective, config, folder, json.loads(json.dumps({**facts, "rollouts": episodes})), rollouts)
        return 0

    def _check(self, method: str) -> None:
        if not self.data:
            raise TrainOptionsError("--data is missing: the folder of a dataset")
        if method != DYNAMICS and len(self.data) > 1:
            raise TrainOptionsError(f"{method} learns from one dataset; --data was given {len(self.data)} times")
        if method != DYNAMICS and self.model != "fast":
            raise TrainOptionsError(f"--model belongs to `armflow train {DYNAMICS}`")
        if method == DYNAMICS and (self.images or self.observe or self.rollouts):
            raise TrainOptionsError("--images, --observe and --rollouts belong to policies, not to dynamics")

    def _train_dynamics(self, folder: Path) -> int:
        from armflow.learning.trainer import leads

        objective, config, data = prepare(self.data, self.model, self.preset, self._chosen())
        if not leads():
            return self._help(objective, config, folder)
        facts = {**self._facts(DYNAMICS), "model": self.model, "data": data, "train": asdict(config)}
        self._lead(objective, config, folder, json.loads(json.dumps(facts)), None)
        return 0

    def _load(self) -> tuple["EpisodeTable", "Schema"]:
        """Read the data, with pictures if they are asked for; the schema says what a policy sees of them."""
        from armflow.learning.store import load_table
        from armflow.policies.picture_data import add_pictures, choose_columns

        table, schema = load_table(self.data[0])
        columns = [name for name in EXTRA_COLUMNS if name in schema.features]
        if columns:
            table, schema = load_table(self.data[0], [*table.arrays, *columns])
        if self.images:
            return add_pictures(self.data[0], table, schema, self.images, observe=self.observe)
        return table, choose_columns(schema, self.observe) if self.observe else schema

    def _help(self, objective: "Objective", config: "TrainConfig", folder: Path) -> int:
        """Train beside the leading process, which tells of Ctrl-C and of a training that diverged."""
        from armflow.learning.trainer import DivergedError, train

        with contextlib.suppress(KeyboardInterrupt, DivergedError):
            train(objective, config, folder, resume=self.resume)
        return 0

    def _lead(
        self,
        objective: "Objective",
        config: "TrainConfig",
        folder: Path,
        facts: dict[str, Any],
        rollouts: "Rollouts | None",
    ) -> None:
        from armflow.launch.watch import Watch, merge_facts
        from armflow.learning.trainer import check_folder, train

        check_folder(folder, resume=self.resume)
        with Watch(folder, merge_facts(folder, facts, resume=self.resume)) as watch:
            watch.finished(train(objective, config, folder, resume=self.resume, listener=watch, rollouts=rollouts))
        print(f"trained {config.steps} steps; open {folder / 'report.html'}")

    def _folder(self, method: str) -> Path:
        if self.out is not None:
            return self.out
        if self.resume or self.devices * self.nodes > 1:
            raise TrainOptionsError("--resume, --devices and --nodes need --out, the folder of the run")
        return Path("runs") / time.strftime(f"train-{method}-%Y%m%d-%H%M%S")

    def _settings(self, schema: "Schema") -> tuple["TrainConfig", int]:
        """The trainer's settings, and the number of episodes played at every evaluation."""
        from armflow.learning.trainer import TrainConfig
        from armflow.policies.beso.config import PRESETS

        preset = dict(PRESETS[pick("preset", self.preset, PRESETS)])  # one budget for all methods
        can_play = bool(schema.extra.get("environment"))
        episodes = preset.pop("rollouts", 0) if self.rollouts is None and can_play else self.rollouts or 0
        preset.pop("rollouts", None)
        if episodes < 0:
            raise ValueRangeError("--rollouts", episodes, "at least 0")
        if episodes and not can_play:
            raise TrainOptionsError(f"{self.data[0]} names no environment to play in; leave --rollouts away")
        return TrainConfig(**{**preset, **self._chosen()}), episodes

    def _chosen(self) -> dict[str, Any]:
        """Settings of the trainer that were asked for."""
        every = self.evaluate_every
        asked = {"steps": self.steps, "batch": self.batch, "learning_rate": self.learning_rate}
        asked |= {"evaluate_every": every, "save_every": every}
        asked |= {"precision": None if self.precision == "auto" else self.precision}
        own = {"seed": self.seed, "devices": self.devices, "nodes": self.nodes}
        return {**own, **{name: value for name, value in asked.items() if value is not None}}

    def _set_up_torch(self) -> None:
        import torch

        if self.threads < 0:
            raise ValueRangeError("--threads", self.threads, "at least 0")
        if self.threads:
            torch.set_num_threads(self.threads)
        if torch.cuda.is_available():
            torch.set_float32_matmul_precision("high")

    def _facts(self, method: str) -> dict[str, Any]:
        import torch

        names = {"command": " ".join(["armflow", *sys.argv[1:]]), "method": method, "preset": self.preset}
        return {**names, "seed": self.seed, "threads": torch.get_num_threads()}


def _data_facts(path: Path, table: "EpisodeTable") -> dict[str, Any]:
    """What says whether two trainings had the same data."""
    digest = hashlib.sha256(table.starts.tobytes())
    for name in sorted(table.arrays):
        digest.update(name.encode() + table.arrays[name].tobytes())
    return {
        "name": path.name,
        "episodes": len(table.starts) - 1,
        "frames": int(table.starts[-1]),
        "sha256": digest.hexdigest()[:16],
    }


def _rollouts(objective: "Objective", schema: "Schema", episodes: int) -> "Rollouts | None":
    if not episodes:
        return None
    from armflow.launch.rollouts import evaluate_policy

    environment = schema.extra["environment"]

    def play(module: Any, step: int) -> dict[str, float]:
        found = evaluate_policy(module, objective.config(), environment, episodes, FIRST_SEED)
        return {**found, "episodes": episodes}

    return play
