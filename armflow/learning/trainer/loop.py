"""The training loop, the same for every learned model."""

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from armflow.learning.files import make_folder
from armflow.learning.trainer.config import (
    Listener,
    Objective,
    Progress,
    Rollouts,
    TrainConfig,
    TrainRecord,
    learning_rate,
)
from armflow.learning.trainer.metrics import Metrics
from armflow.learning.trainer.precision import pick_precision
from armflow.learning.trainer.state import FILE, ResumeError, State
from armflow.learning.trainer.stop import Stop
from armflow.learning.trainer.team import Team, join
from armflow.robot.errors import StackError

__all__ = ["DivergedError", "check_folder", "train"]

MOST_SKIPPED = 10  # steps in a row
_log = logging.getLogger(__name__)


class DivergedError(StackError):
    """The loss or the gradient stayed not finite; the last checkpoint is kept."""

    def __init__(self, step: int, folder: Path) -> None:
        self.step = step
        has = (folder / FILE).exists()
        kept = f"the last good checkpoint is kept in {folder}" if has else "no checkpoint had been written yet"
        super().__init__(
            f"{MOST_SKIPPED} steps in a row up to step {step} had a loss or gradient that was not finite; {kept}; "
            f"try a lower --learning-rate, or --precision fp32"
        )


def train(
    objective: Objective,
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    listener: Listener | None = None,
    rollouts: Rollouts | None = None,
) -> TrainRecord:
    """Train a model into a folder: `model.safetensors`, `config.json`, `trainer.safetensors`, `metrics.jsonl`.

    Every process of `config.devices` x `config.nodes` calls this; `out` is a folder that all of them see.

    Args:
        objective: The model and its data.
        config: Settings.
        out: Folder of the run.
        resume: Go on from what `out` holds.
        listener: Follows along, in the leading process.
        rollouts: Scores of the averaged weights in a world, taken beside `objective.evaluate`.

    Raises:
        ResumeError: `out` holds a training and `resume` is false, or none, or one with other settings.
        DivergedError: Ten steps in a row were not finite.
        WriteError: The folder is full or read-only; the checkpoint there stays as it was.
        KeyboardInterrupt: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    folder = make_folder(out)
    check_folder(folder, resume=resume)
    team = join(config)
    gpus = [team.device] if team.device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus), Stop() as stop:
        state = State(objective, config, team)
        if resume:
            state.load(folder)
            if team.rank:
                state.seed(team.rank)
        return _Loop(state, team, folder, stop, listener, rollouts).run()


def check_folder(folder: Path, *, resume: bool) -> None:
    """Refuse to overwrite a training, and to go on where there is none.

    Raises:
        ResumeError: Says which.
    """
    there = (folder / FILE).exists()
    if there and not resume:
        raise ResumeError(f"{folder} holds a training already; add --resume to go on with it, or choose another --out")
    if resume and not there:
        raise ResumeError(f"nothing to resume in {folder}: no {FILE}; leave --resume away to start")


@dataclass(slots=True)
class _Loop:
    state: State
    team: Team
    folder: Path
    stop: Stop
    listener: Listener | None
    rollouts: Rollouts | None
    precision: str = ""
    metrics: Metrics | None = None
    norm: float = 0.0
    logged: tuple[int, float] = (0, 0.0)  # samples and seconds at the last line
    whole: bool = True  # weights, optimiser and counters belong together
    agreed: bool = False  # every process knows that this step was the last

    def run(self) -> TrainRecord:
        state, counters = self.state, self.state.counters
        self.precision = pick_precision(state.config.precision, state.device)
        if self.team.rank == 0:
            self.metrics = Metrics(self.folder, counters.step, counters.evaluated)
        self.logged = counters.samples, counters.seconds
        self._be_patient(False)
        try:
            self._steps()
            self._save()
        except KeyboardInterrupt:
            self._stopped()
            raise
        finally:
            if self.metrics is not None:
                self.metrics.close()
        return self._record()

    def _steps(self) -> None:
        counters, config = self.state.counters, self.state.config
        if counters.step % config.evaluate_every == 0 and counters.evaluated < counters.step:
            self._evaluate()  # it was cut short
        while counters.step < config.steps:
            self._step()
            self._after_step()
        if counters.evaluated < counters.step:
            self._evaluate()

    def _stopped(self) -> None:
        """Leave a checkpoint, unless a second Ctrl-C cut a step in two."""
        if self.whole:
            self._save()
            _log.info("stopped after step %d; --resume goes on from there", self.state.counters.step)
        if self.agreed:
            self.team.wait()  # a helper that ends first would end the leader while it writes

    def _step(self) -> None:
        """One step; Ctrl-C waits for its end."""
        state, config, counters = self.state, self.state.config, self.state.counters
        self._be_patient(True)
        self.whole = False
        with self._clock():
            for group in state.optimizer.param_groups:
                group["lr"] = learning_rate(counters.step, config)
            loss, asked = self._gradients()
            self.norm = float(torch.nn.utils.clip_grad_norm_(state.parameters, config.clip_norm))
            counters.step += 1
            counters.samples += config.batch
            if math.isfinite(loss) and math.isfinite(self.norm):
                state.optimizer.step()
                counters.skipped_in_row = 0
                counters.loss = loss
                counters.loss_sum += loss
                counters.loss_count += 1
                state.follow()
            else:
                counters.skipped += 1
                counters.skipped_in_row += 1
        self.whole = True
        self._be_patient(False)
        if counters.skipped_in_row >= MOST_SKIPPED:
            raise DivergedError(counters.step, self.folder)
        self.agreed = asked
        if asked or (self.team.size == 1 and self.stop.asked):
            raise KeyboardInterrupt

    def _be_patient(self, patient: bool) -> None:
        """Let Ctrl-C wait; with several processes it always does, until all have heard of it."""
        self.stop.patient = patient or self.team.size > 1

    def _gradients(self) -> tuple[float, bool]:
        """Compute this process's gradients and average them; returns the loss and whether anyone asked to stop."""
        state, team = self.state, self.team
        batch = state.objective.batch(state.config.batch, rng=state.rng)
        batch = {name: _share(tensor, team).to(state.device, non_blocking=True) for name, tensor in batch.items()}
        state.optimizer.zero_grad()
        with torch.autocast(state.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            loss = state.objective.loss(state.module, batch, generator=state.generator)
        loss.backward()
        if team.size == 1:
            return float(loss.detach()), False
        return _averaged(state.parameters, loss, self.stop.asked, team)

    def _after_step(self) -> None:
        config, counters = self.state.config, self.state.counters
        if self.listener is not None and self.team.rank == 0:
            self.listener.stepped(
                Progress(
                    counters.step, config.steps, counters.samples, counters.seconds, counters.loss, counters.skipped
                )
            )
        if counters.step % config.log_every == 0:
            self._log_line()
        if counters.step % config.save_every == 0:
            self._save()
        if counters.step % config.evaluate_every == 0:
            self._evaluate()

    def _log_line(self) -> None:
        counters, config = self.state.counters, self.state.config
        self._add(
            {
                "loss": counters.loss_sum / counters.loss_count if counters.loss_count else math.nan,
                "learning_rate": learning_rate(counters.step - 1, config),
                "gradient_norm": self.norm,
                "samples_per_second": (counters.samples - self.logged[0])
                / max(counters.seconds - self.logged[1], 1e-9),
                "skipped": counters.skipped,
            }
        )
        counters.loss_sum, counters.loss_count = 0.0, 0
        self.logged = counters.samples, counters.seconds

    def _evaluate(self) -> None:
        """Score the averaged weights, always with the same noise and without touching the training's."""
        state, counters = self.state, self.state.counters
        start = time.perf_counter()
        if self.team.rank == 0:
            gpus = [state.device] if state.device.type == "cuda" else []
            with torch.random.fork_rng(devices=gpus), torch.no_grad():
                torch.manual_seed(state.config.seed)
                scores = {
                    f"validation/{name}": score for name, score in state.objective.evaluate(state.average).items()
                }
                if self.rollouts is not None:
                    found = self.rollouts(state.average, counters.step)
                    scores |= {f"rollouts/{name}": score for name, score in found.items()}
            counters.scores = {name: float(score) for name, score in scores.items() if math.isfinite(score)}
        self.team.wait()
        counters.seconds_total += time.perf_counter() - start
        counters.evaluated = counters.step
        self._add(counters.scores)

    def _add(self, values: dict[str, float]) -> None:
        if self.metrics is None:
            return
        counters = self.state.counters
        place = {
            "step": counters.step,
            "samples": counters.samples,
            "seconds": round(counters.seconds, 3),
            "seconds_total": round(counters.seconds_total, 3),
        }
        line = self.metrics.append({**place, **values})
        if self.listener is not None:
            self.listener.measured(line)

    def _save(self) -> None:
        if self.team.rank:
            return
        self._be_patient(True)
        start = time.perf_counter()
        self.state.save(self.folder)
        self.state.counters.seconds_total += time.perf_counter() - start
        self._be_patient(False)

    @contextlib.contextmanager
    def _clock(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.state.counters.seconds += seconds
        self.state.counters.seconds_total += seconds

    def _record(self) -> TrainRecord:
        counters, team = self.state.counters, self.team
        device = team.device.type if team.size == 1 else f"{team.device.type}, {team.size} processes"
        return TrainRecord(
            steps=counters.step,
            samples=counters.samples,
            seconds=round(counters.seconds, 3),
            seconds_total=round(counters.seconds_total, 3),
            skipped=counters.skipped,
            loss=counters.loss,
            scores=counters.scores,
            parameters=sum(parameter.numel() for parameter in self.state.parameters),
            precision=self.precision,
            device=device,
        )


def _share(tensor: Tensor, team: Team) -> Tensor:
    """The rows of a batch that belong to this process; every process draws the same batch."""
    size = len(tensor) // team.size
    return tensor[size * team.rank : size * (team.rank + 1)] if team.size > 1 else tensor


def _averaged(parameters: list[Tensor], loss: Tensor, asked: bool, team: Team) -> tuple[float, bool]:
    """Average gradients over the processes, in one message with the loss and the wish to stop."""
    grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
    facts = loss.new_tensor([float(loss.detach()), float(asked)], dtype=torch.float32)
    message = team.mean(torch.cat([*(grad.flatten() for grad in grads), facts]))
    for one, part in zip(parameters, message[:-2].split([one.numel() for one in parameters]), strict=True):
        one.grad = part.view_as(one)
    return float(message[-2]), bool(message[-1] > 0)
