"""`armflow play record`: episodes of play, scripted or by hand, as a dataset."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tyro.conf import Positional

from armflow.launch.choices import arm_for, pick
from armflow.launch.cluster import ClusterOption, job_runner
from armflow.launch.play_tasks import PLAY_ARMS, SOFT_PLAY
from armflow.robot.errors import StackError, ValueRangeError

if TYPE_CHECKING:
    from armflow.launch.keyboard import Keys
    from armflow.launch.play_episode import Played, PlaySpec
    from armflow.learning.store import DatasetWriter

__all__ = ["Play", "Record", "in_order", "record_by_hand"]

SOURCES = ("scripted", "keyboard")
SIMULATORS = ("mujoco", "pybullet")
PICTURE_EVERY = 2  # actions


@dataclass(frozen=True)
class Record:
    """What to record, and where."""

    task: str = "PlayTable"
    """One of BlockPush, PlayTable, RopeShape, ClothLift, ClothFold, PlushPlace, BoxClose."""
    arm: str = "auto"
    """The arm; each task brings its own: xarm6_pusher for BlockPush, panda for PlayTable."""
    episodes: int = 20
    """How many episodes the dataset shall hold in the end; those that are there already count."""
    source: str = "scripted"
    """Who plays: scripted, or keyboard."""
    seed: int = 0
    """Seed of the first episode; the others count up from it."""
    workers: int = 2
    """Processes, each on one thread; the dataset does not depend on it."""
    cluster: ClusterOption = None
    """Play scripted episodes on Ray: auto joins the one that runs here, local starts one, or HOST:PORT."""
    images: bool = False
    """Also record colour and depth from the camera on the bench."""
    views: int = 1
    """Cameras of --images about a thing that bends, 1 to 4: bench, left, right, top."""
    simulator: str = "mujoco"
    """What moves a thing that bends: mujoco; for RopeShape also pybullet, which shows how learned motion transfers."""
    material: tuple[float, float] = (0.0, 1.0)
    """Part of their ranges that stiffness, friction and mass of a thing that bends are drawn from; above 1 for what
    training never saw."""
    size: tuple[float, float] = (0.0, 1.0)
    """The same for its size."""
    camera_size: tuple[int, int] = (96, 96)
    """Width and height of its pictures, px."""
    out: Path = field(default_factory=lambda: Path("data") / time.strftime("play-%Y%m%d-%H%M%S"))
    """Folder of the dataset; a dataset that is there is continued."""

    def run(self) -> int:
        """Record what is missing; after Ctrl-C the episodes that had ended are kept."""
        from armflow.launch.play_episode import close_environments, dataset_schema
        from armflow.launch.threads import use_one_thread
        from armflow.learning.store import DatasetWriter, open_dataset

        use_one_thread()
        first = self._spec(self.seed)
        try:
            with DatasetWriter(self.out, dataset_schema(first)) as writer:
                held = len(open_dataset(self.out).episodes)
                if held:
                    print(f"{held} of {self.episodes} episodes are in {self.out} already")
                self._record(writer, held)
        finally:
            close_environments()
        return 0

    def _spec(self, seed: int) -> "PlaySpec":
        """One episode asked for.

        Raises:
            ChoiceError: An unknown task, arm or source.
            ValueRangeError: A number out of its range.
            ClusterError: A cluster, without Ray.
        """
        from armflow.launch.evaluate import check_counts
        from armflow.launch.play_episode import PlaySpec

        task = pick("task to play", self.task, (*PLAY_ARMS, *SOFT_PLAY))
        arm_for(task, self.arm)
        pick("source", self.source, SOURCES)
        check_counts(self.episodes, self.seed, self.camera_size, 1.0)
        if self.workers < 1:
            raise ValueRangeError("--workers", self.workers, "at least 1")
        job_runner(self.cluster)
        self._check_soft(task)
        return PlaySpec(task, seed, self.images, self.camera_size, self.views, self.simulator, self.material, self.size)

    def _check_soft(self, task: str) -> None:
        """Refuse options that another kind of task would not heed."""
        if task in SOFT_PLAY:
            if self.source != "scripted":
                raise ValueRangeError("--source", self.source, f"scripted for {task}: its hand has no arm to steer")
            pick("simulator", self.simulator, SIMULATORS if SOFT_PLAY[task] == "rope" else SIMULATORS[:1])
            if self.images and self.simulator != "mujoco":
                raise ValueRangeError("--images", self.images, "left out with pybullet, which records points only")
            return
        for name in ("views", "simulator", "material", "size"):
            usual = getattr(type(self), name)
            if getattr(self, name) != usual:
                words = f"left at {usual} for {task}; it is for {', '.join(SOFT_PLAY)}"
                raise ValueRangeError(f"--{name}", getattr(self, name), words)

    def _record(self, writer: "DatasetWriter", held: int) -> None:
        specs = [self._spec(seed) for seed in range(self.seed + held, self.seed + self.episodes)]
        if pick("source", self.source, SOURCES) == "scripted":
            from armflow.launch.play_episode import broken, play_one

            results = job_runner(self.cluster)(play_one, specs, self.workers, broken)
            _record_script(writer, specs, results, str(self.out))
            return
        from armflow.launch.keyboard import open_terminal

        with open_terminal() as keys:
            kept = record_by_hand(writer, specs, keys, time.sleep, _show if sys.stdout.isatty() else None)
        print(f"{kept} episodes recorded in {self.out}")


@dataclass(frozen=True, kw_only=True)
class Play(Record):
    """Record play as a dataset: `armflow play record --task PlayTable --episodes 20 --out data/play`."""

    PARTS: ClassVar[dict[str, type]] = {"record": Record}

    what: Positional[Literal["record"]]
    """What to do: record."""


def _record_script(writer: "DatasetWriter", specs: list["PlaySpec"], results: Iterable["Played"], out: str) -> None:
    """Record scripted episodes in order of their specs; prints what came of them, also after Ctrl-C."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    tally = _Tally(specs[0].task if specs else "")
    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, TextColumn("left"), TimeRemainingColumn(), rate)
    try:
        with bars, closing(in_order(results, specs)) as ordered:
            bar = bars.add_task("episodes", total=len(specs), rate="")
            for played in ordered:
                if played.recording is None:
                    bars.console.print(f"[red]✗[/] seed {played.spec.seed}: {played.failure}", highlight=False)
                else:
                    writer.add(played.recording)
                tally.add(played)
                bars.update(bar, advance=1, rate=tally.rate)
    finally:
        tally.tell(out)


def in_order(results: Iterable["Played"], specs: list["PlaySpec"]) -> Generator["Played", None, None]:
    """Yield results in the order of their specs; one that ended before an earlier one waits for it."""
    waiting: dict[PlaySpec, Played] = {}
    following = 0
    try:
        for played in results:
            waiting[played.spec] = played
            while following < len(specs) and specs[following] in waiting:
                yield waiting.pop(specs[following])
                following += 1
    finally:
        close: Callable[[], None] | None = getattr(results, "close", None)
        if close is not None:
            close()


class _Tally:
    """Counts of what was recorded."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.episodes = self.frames = self.solved = self.broken = 0
        self.tried: Counter[int] = Counter()
        self.reached: Counter[int] = Counter()

    def add(self, played: "Played") -> None:
        """Count one episode."""
        if played.recording is None:
            self.broken += 1
            return
        self.episodes += 1
        self.frames += played.recording.length
        self.solved += played.success
        for kind, reached in played.behaviours:
            self.tried[kind] += 1
            self.reached[kind] += reached

    @property
    def rate(self) -> str:
        """The share that worked, in a few words."""
        if self.tried:
            return f"{self.reached.total()}/{self.tried.total()} behaviours"
        return "" if self.task in SOFT_PLAY else f"{self.solved}/{self.episodes} solved"

    def tell(self, out: str) -> None:
        """Print the counts."""
        from armflow.launch.play_tasks import find_play_task

        if not self.episodes:
            return
        words = [f"{self.episodes} episodes", f"{self.frames} frames", self.rate, f"{self.broken} broken; in {out}"]
        print(", ".join(word for word in words if word))
        for index, name in enumerate(find_play_task(self.task).behaviours):
            print(f"  {name}: {self.reached[index]} of {self.tried[index]}")


def record_by_hand(
    writer: "DatasetWriter",
    specs: Iterable["PlaySpec"],
    keys: "Keys",
    sleep: Callable[[float], None],
    show: Callable[[Any], None] | None,
) -> int:
    """Record episodes that somebody plays with keys, in real time.

    Args:
        writer: Takes each episode when it is kept.
        specs: Episodes to play.
        keys: Where keys come from.
        sleep: Waits so many seconds.
        show: Shows the environment now and then; None for nothing.

    Returns:
        How many episodes were kept.
    """
    from armflow.launch.keyboard import HELP

    print(HELP)
    kept = 0
    for spec in specs:
        while (end := _play_by_hand(writer, spec, keys, sleep, show)) == "x":
            print("thrown away; once more")
        if end == "q":
            break
        kept += 1
    return kept


def _play_by_hand(
    writer: "DatasetWriter",
    spec: "PlaySpec",
    keys: "Keys",
    sleep: Callable[[float], None],
    show: Callable[[Any], None] | None,
) -> str:
    """Play one episode; returns "enter" when it was kept, "x" when it was thrown away, "q" to end."""
    from armflow.launch.keyboard import Steering
    from armflow.launch.play_episode import Tape, open_environment
    from armflow.launch.play_tasks import find_play_task

    environment, steering = open_environment(spec), Steering(spec.task)
    observation, info = environment.reset(seed=spec.seed)
    print(f"seed {spec.seed}: {info.get('instruction', 'play')}")
    tape, period = Tape(environment, find_play_task(spec.task), spec.images), 1 / environment.metadata["render_fps"]
    while True:
        started = time.perf_counter()
        action = steering.action(keys.pressed())
        if steering.command in ("x", "q"):
            return steering.command
        if steering.command == "enter" and tape.length:
            writer.add(tape.recording())
            return "enter"
        tape.add(observation, action)
        observation, _, over, _, info = environment.step(action)
        if info["failure"]:
            raise StackError(f"seed {spec.seed}: {info['failure']}")
        if over:
            writer.add(tape.recording())
            return "enter"
        if show is not None and tape.length % PICTURE_EVERY == 0:
            show(environment)
        sleep(max(0.0, period - (time.perf_counter() - started)))


def _show(environment: Any) -> None:
    """Draw the camera's view at the top of the terminal, and the keys below it."""
    from armflow.launch.keyboard import HELP, picture_text

    sys.stdout.write(f"\x1b[H{picture_text(environment._episode.view(96, 72).rgb)}\n{HELP}\x1b[J\n")
    sys.stdout.flush()
