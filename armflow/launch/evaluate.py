"""`armflow eval`: many seeds in parallel processes, and a report of what came of them."""

import json
import sys
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from armflow.launch.choices import (
    ALL_TASKS,
    CONTROLLER_NAMES,
    PLANNERS,
    SOLVERS,
    TASKS,
    arm_for,
    arm_names,
    pick,
    pick_many,
)
from armflow.launch.cluster import ClusterOption, job_runner
from armflow.launch.files import append_line, make_folder, write_json
from armflow.launch.policy_options import PolicyOptions
from armflow.robot.errors import ValueRangeError

if TYPE_CHECKING:
    from armflow.launch.episode import EpisodeSpec
    from armflow.launch.runner import EpisodeResult

__all__ = ["Evaluate", "check_counts"]


@dataclass(frozen=True)
class Evaluate:
    """Run many seeds of tasks on arms, and write report.html, report.json and videos."""

    task: tuple[str, ...] = ("all",)
    """Any of Push, PickPlace, InsertPen, HangMug, Pour, OpenDrawer, or all of these; BlockPush, PlayTable; RopeShape,
    ClothLift, ClothFold, PlushPlace, BoxClose."""
    arm: tuple[str, ...] = ("auto",)
    """Any of panda, iiwa, xarm6, xarm7, ur5, so101, or all; YAML files that describe arms; or auto, the task's own."""
    controller: str = "flow"
    """What drives the arm: flow, oracle (flow with the truth as eyes), random, hold, beso, policy (any --checkpoint);
    for things that bend: mppi, scripted, mppi-simulator (the true simulator as model)."""
    episodes: int = 20
    """Episodes of each task on each arm; their seeds count up from --seed."""
    seed: int = 0
    """First seed."""
    jobs: int = 2
    """Processes, each on one thread; results do not depend on it."""
    cluster: ClusterOption = None
    """Run episodes on Ray: auto joins the one that runs here, local starts one, or HOST:PORT; films are made here."""
    policy: Annotated[PolicyOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PolicyOptions)
    solver: str = "banded"
    """Trajectory solver: banded, or cvxpy (the slow reference)."""
    planner: str = "full"
    """How much mppi searches: full, quick, or random (as many samples as full, but none learns from another)."""
    camera_size: tuple[int, int] = (320, 240)
    """Width and height of the controller's camera, px."""
    no_noise: bool = False
    """Perfect depth instead of a real sensor's."""
    max_seconds: float = 60.0
    """Longest episode, in the world's time, s."""
    videos: int = 2
    """Failures filmed for each task and arm, by playing them again; 0 for none."""
    out: Path = field(default_factory=lambda: Path("runs") / time.strftime("eval-%Y%m%d-%H%M%S"))
    """Folder of the run; results that it already holds are kept, and only what is missing is run."""

    def specs(self) -> list["EpisodeSpec"]:
        """Every episode asked for, in order.

        Raises:
            ChoiceError: An unknown task, arm, controller, solver or planner.
            ValueRangeError: Not one episode, or not one process.
            ClusterError: A cluster, without Ray.
        """
        from armflow.launch.episode import EpisodeSpec

        check_counts(self.episodes, self.seed, self.camera_size, self.max_seconds)
        if self.jobs < 1:
            raise ValueRangeError("--jobs", self.jobs, "at least 1")
        job_runner(self.cluster)
        arms = arm_names() if "all" in self.arm else self.arm
        controller = pick("controller", self.controller, CONTROLLER_NAMES)
        solver = pick("solver", self.solver, SOLVERS)
        planner = pick("planner", self.planner, PLANNERS)
        return [
            EpisodeSpec(
                task,
                arm_for(task, arm),
                controller,
                seed,
                solver,
                self.camera_size,
                not self.no_noise,
                self.max_seconds,
                planner=planner,
                policy=self.policy,
            )
            for task in pick_many("task", self.task, ALL_TASKS, TASKS)
            for arm in arms
            for seed in range(self.seed, self.seed + self.episodes)
        ]

    def run(self) -> int:
        """Run what is missing and write the report, also after Ctrl-C."""
        from armflow.launch.report import write_report

        specs = self.specs()
        folder = make_folder(self.out)
        _check_same_settings(folder, self)
        results = _known(folder, specs)
        if results:
            print(f"{len(results)} of {len(specs)} episodes are in {folder} already")
        try:
            self._run_missing(specs, results, folder)
            if self.videos:
                _film(specs, results, folder, self)
        finally:
            if results:
                ordered = [results[spec] for spec in specs if spec in results]
                write_report(ordered, folder, command=" ".join(["armflow", *sys.argv[1:]]))
                print(f"{len(results)} of {len(specs)} episodes; open {folder / 'report.html'}")
        return 0

    def _run_missing(
        self, specs: list["EpisodeSpec"], results: dict["EpisodeSpec", "EpisodeResult"], folder: Path
    ) -> None:
        from armflow.launch.episode import to_json
        from armflow.launch.progress import Progress

        missing = [spec for spec in specs if spec not in results]
        with Progress(specs, results) as progress, closing(run_specs(missing, self.jobs, self.cluster)) as ended:
            for spec, result in ended:
                append_line(folder / "episodes.jsonl", to_json(result))
                results[spec] = result
                progress.add(result)


def check_counts(episodes: int, seed: int, size: tuple[int, int], max_seconds: float) -> None:
    """Refuse numbers that cannot be meant, among them a picture too small to see anything in.

    Raises:
        ValueRangeError: No episode, a negative seed, a side outside 64 to 1920 px, or no time.
    """
    if episodes < 1:
        raise ValueRangeError("--episodes", episodes, "at least 1")
    if seed < 0:
        raise ValueRangeError("--seed", seed, "at least 0")
    if not all(64 <= side <= 1920 for side in size):
        raise ValueRangeError("--camera-size", size, "two sides of 64 to 1920 px")
    if not max_seconds > 0:
        raise ValueRangeError("--max-seconds", max_seconds, "above 0 s")


def run_specs(
    specs: list["EpisodeSpec"], jobs: int, cluster: str | None = None
) -> Generator[tuple["EpisodeSpec", "EpisodeResult"], None, None]:
    """Yield every spec with its result as they finish, from `jobs` processes of one thread each, here or on Ray."""
    from armflow.launch.episode import failed
    from armflow.launch.threads import use_one_thread

    use_one_thread()
    run_jobs = job_runner(cluster)
    yield from run_jobs(_work, ((spec, None) for spec in specs), jobs, lambda job, why: (job[0], failed(job[0], why)))


_WORLDS: dict[object, object] = {}  # of this process: making one takes longer than starting it again


def _work(job: tuple["EpisodeSpec", str | None]) -> tuple["EpisodeSpec", "EpisodeResult"]:
    """Play one episode in this process, filming it when the job names a file."""
    from dataclasses import replace

    from armflow.launch.episode import make_world, play
    from armflow.launch.threads import use_one_thread

    use_one_thread()
    spec, video = job
    key = replace(spec, seed=0)
    if key not in _WORLDS:
        for world in _WORLDS.values():
            world.close()  # type: ignore[attr-defined]
        _WORLDS.clear()
        _WORLDS[key] = make_world(spec)
    world = _WORLDS.pop(key)  # back only after a clean end: a world that raised is not used again
    result = play(spec, world, video)
    _WORLDS[key] = world
    return spec, result


def _film(
    specs: list["EpisodeSpec"], results: dict["EpisodeSpec", "EpisodeResult"], folder: Path, options: Evaluate
) -> None:
    """Play a few episodes again with the camera on; the same seed gives the same episode."""
    from armflow.launch.episode import video_of
    from armflow.launch.pool import run_jobs

    videos = make_folder(folder / "videos")
    jobs = []
    for group in _groups(specs):
        lost = [spec for spec in group if not results[spec].outcome.success and results[spec].instruction]
        jobs += [(spec, str(videos / video_of(spec))) for spec in lost[: options.videos]]
    jobs = [job for job in jobs if not Path(job[1]).exists()]
    if jobs:
        print(f"filming {len(jobs)} of them again")
    for _ in run_jobs(_work, jobs, options.jobs, lambda job, why: (job[0], None)):
        pass


def _groups(specs: list["EpisodeSpec"]) -> list[list["EpisodeSpec"]]:
    groups: dict[tuple[str, str], list[EpisodeSpec]] = {}
    for spec in specs:
        groups.setdefault((spec.task, spec.arm), []).append(spec)
    return list(groups.values())


def _known(folder: Path, specs: list["EpisodeSpec"]) -> dict["EpisodeSpec", "EpisodeResult"]:
    """Results that an earlier, perhaps interrupted, call left in the folder."""
    from armflow.launch.episode import from_json

    path = folder / "episodes.jsonl"
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text().splitlines():
        result = from_json(json.loads(line))
        found[(result.task, result.arm, result.controller, result.seed)] = result
    keys = {spec: (spec.task, Path(spec.arm).stem, spec.controller, spec.seed) for spec in specs}
    return {spec: found[key] for spec, key in keys.items() if key in found}


def _check_same_settings(folder: Path, options: Evaluate) -> None:
    """Refuse to mix results of different settings in one folder.

    Raises:
        ValueRangeError: The folder holds a run with another solver, planner, camera, noise or time.
    """
    names = ("solver", "planner", "camera_size", "no_noise", "max_seconds", "policy")
    wanted = json.loads(json.dumps({name: asdict(options)[name] for name in names}))
    path = folder / "settings.json"
    if path.exists():
        before = json.loads(path.read_text())
        if before != wanted:
            raise ValueRangeError("--out", folder, f"a new folder: this one holds a run with {before}")
    write_json(path, wanted)
