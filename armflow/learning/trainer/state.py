"""Everything that a training carries from step to step, in memory and in `trainer.safetensors`."""

import copy
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from armflow.learning.checkpoint import read_tensors, save_checkpoint, write_tensors
from armflow.learning.trainer.config import Objective, TrainConfig
from armflow.learning.trainer.team import Team
from armflow.robot.errors import FormatError, StackError

__all__ = ["FILE", "Counters", "ResumeError", "State"]

FILE = "trainer.safetensors"
FREE = ("evaluate_every", "save_every", "log_every")  # settings that change no weight
GENERATORS = ("rng/noise", "rng/torch", "rng/cuda")


class ResumeError(StackError):
    """A training cannot go on from what the folder holds, or would overwrite it."""


@dataclass(slots=True)
class Counters:
    """Numbers that go on counting when a training is resumed."""

    step: int = 0
    samples: int = 0
    skipped: int = 0
    skipped_in_row: int = 0
    seconds: float = 0.0
    seconds_total: float = 0.0
    loss: float = 0.0  # the last finite one
    loss_sum: float = 0.0
    loss_count: int = 0
    evaluated: int = 0  # the step of the last evaluation
    scores: dict[str, float] = field(default_factory=dict)


class State:
    """Weights, their average, the optimiser, the random generators and the counters of one training.

    Attributes:
        module: The network, trained in place.
        average: A copy of it with the averaged weights, in evaluation mode.
        optimizer: AdamW.
        rng: Draws batches; the same in every process.
        generator: Draws noise; another in every process.
        counters: Steps, samples, seconds.
    """

    def __init__(self, objective: Objective, config: TrainConfig, team: Team) -> None:
        """Start from the objective's weights, those of the leading process where there are several."""
        self.objective, self.config, self.device = objective, config, team.device
        self.module = objective.module.to(team.device).train()
        with torch.no_grad():
            team.start_from([*self.module.parameters(), *self.module.buffers()])
        self.average = copy.deepcopy(self.module).eval().requires_grad_(False)
        self.parameters: list[Tensor] = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        # Fused: 3.6 ms for 2.8 M parameters on one thread of an AVX2 processor, where one kernel for each takes 20 ms.
        self.optimizer = torch.optim.AdamW(
            _groups(self.module, config.weight_decay), lr=config.learning_rate, betas=config.betas, fused=True
        )
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator(team.device)
        self.counters = Counters()
        self.seed(team.rank)

    def seed(self, rank: int) -> None:
        """Give this process noise of its own; it depends on the step, so that a resumed helper does not repeat any."""
        words = np.random.SeedSequence([self.config.seed, rank, self.counters.step]).generate_state(2, np.uint64)
        self.generator.manual_seed(int(words[0] >> np.uint64(1)))
        torch.manual_seed(int(words[1] >> np.uint64(1)))

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the weights; its memory grows from nothing with the steps done."""
        done = self.counters.step - self.counters.skipped
        memory = min(self.config.ema_decay, (1 + done) / (10 + done)) if self.config.ema_decay else 0.0
        average: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self.module.parameters())
        torch._foreach_lerp_(average, weights, 1.0 - memory)  # pyright: ignore[reportPrivateImportUsage]
        for kept, now in zip(self.average.buffers(), self.module.buffers(), strict=True):
            kept.copy_(now)

    def save(self, folder: Path) -> None:
        """Write the averaged model, and beside it what resuming needs, each file at once.

        Raises:
            WriteError: The place is full or read-only; the files there stay as they were.
        """
        tensors = {f"module/{name}": tensor for name, tensor in self.module.state_dict().items()}
        tensors |= {f"average/{name}": tensor for name, tensor in self.average.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in moments.items()}
        tensors |= dict(zip(GENERATORS, self._generators(), strict=False))
        facts = {
            "counters": asdict(self.counters),
            "rng": self.rng.bit_generator.state,
            "train": asdict(self.config),
            "objective": self.objective.config(),
        }
        write_tensors(folder / FILE, tensors, facts)  # the larger file first: what does not fit fails here
        save_checkpoint(folder, self.average.state_dict(), self.objective.config())

    def load(self, folder: Path) -> None:
        """Go on from a folder, bit for bit on one thread.

        Raises:
            ResumeError: A setting differs; names it.
            FormatError: The file is broken.
        """
        path = folder / FILE
        tensors, facts = read_tensors(path)
        try:
            self._check_same(folder, facts)
            self.module.load_state_dict(_part(tensors, "module/"))
            self.average.load_state_dict(_part(tensors, "average/"))
            self._load_optimizer(_part(tensors, "optimizer/"))
            self._set_generators(tensors)
            self.rng.bit_generator.state = facts["rng"]
            self.counters = Counters(**facts["counters"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FormatError(path, "file", f"does not hold this training: {error}") from error

    def _check_same(self, folder: Path, facts: dict[str, Any]) -> None:
        now = json.loads(json.dumps({"train": asdict(self.config), "objective": self.objective.config()}))
        before = {"train": facts["train"], "objective": facts["objective"]}
        free = [*FREE, "steps"] if self.config.decay == "constant" else FREE
        for name in free:
            now["train"].pop(name)
            before["train"].pop(name)
        different = sorted(_difference(before, now))
        if different:
            name, was, is_now = different[0]
            raise ResumeError(
                f"cannot resume {folder}: {name} was {was} and is {is_now} now; "
                f"give it as it was, or train into another --out"
            )

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            index, moment = name.split("/")
            moments.setdefault(int(index), {})[moment] = tensor
        self.optimizer.load_state_dict({"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]})

    def _generators(self) -> list[Tensor]:
        states = [self.generator.get_state(), torch.get_rng_state()]
        return [*states, torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else states

    def _set_generators(self, tensors: dict[str, Tensor]) -> None:
        self.generator.set_state(tensors[GENERATORS[0]])
        torch.set_rng_state(tensors[GENERATORS[1]])
        if self.device.type == "cuda" and GENERATORS[2] in tensors:
            torch.cuda.set_rng_state(tensors[GENERATORS[2]], self.device)


def _groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices named `…weight` decay; gains, offsets, embeddings and places do not."""
    embeddings = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    decayed, free = [], []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            matrix = name.endswith("weight") and parameter.ndim >= 2 and id(parameter) not in embeddings
            (decayed if matrix else free).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _difference(before: Any, now: Any, name: str = "") -> list[tuple[str, str, str]]:
    """Every leaf in which two JSON values differ: its dotted name, then and now."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for key in sorted({*before, *now}):
            found += _difference(before.get(key), now.get(key), f"{name}.{key}" if name else key)
        return found
    return [] if before == now else [(name, json.dumps(before), json.dumps(now))]
