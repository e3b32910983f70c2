"""`armflow sim`: a few episodes of one task, told as they go, with a video and a report."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from armflow.launch.choices import ALL_TASKS, CONTROLLER_NAMES, PLANNERS, SOLVERS, arm_for, pick
from armflow.launch.evaluate import check_counts
from armflow.launch.files import make_folder
from armflow.launch.policy_options import PolicyOptions

if TYPE_CHECKING:
    from armflow.launch.episode import EpisodeSpec
    from armflow.launch.runner import EpisodeResult

__all__ = ["Sim", "play_and_tell"]


@dataclass(frozen=True)
class Sim:
    """Run a few episodes of one task in simulation, with a video of each and a report."""

    task: str = "PickPlace"
    """One of Push, PickPlace, InsertPen, HangMug, Pour, OpenDrawer; BlockPush, PlayTable; for things that bend:
    RopeShape, ClothLift, ClothFold, PlushPlace, BoxClose."""
    arm: str = "auto"
    """One of panda, iiwa, xarm6, xarm7, ur5, so101, a YAML file that describes an arm, or auto (the task's own)."""
    controller: str = "flow"
    """What drives the arm: flow, oracle (flow with the truth as eyes), random, hold, beso, policy (any --checkpoint);
    for things that bend: mppi, scripted, mppi-simulator (the true simulator as model)."""
    seed: int = 0
    """Seed of the first episode; the others count up from it."""
    episodes: int = 1
    """How many episodes."""
    gui: bool = False
    """Open pybullet's window."""
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
    out: Path = field(default_factory=lambda: Path("runs") / time.strftime("sim-%Y%m%d-%H%M%S"))
    """Folder for video and report."""

    def specs(self) -> list["EpisodeSpec"]:
        """Every episode asked for, in order.

        Raises:
            ChoiceError: An unknown task, arm, controller, solver or planner.
            ValueRangeError: A number out of its range.
        """
        from armflow.launch.episode import EpisodeSpec

        check_counts(self.episodes, self.seed, self.camera_size, self.max_seconds)
        task = pick("task", self.task, ALL_TASKS)
        return [
            EpisodeSpec(
                task=task,
                arm=arm_for(task, self.arm),
                controller=pick("controller", self.controller, CONTROLLER_NAMES),
                seed=seed,
                solver=pick("solver", self.solver, SOLVERS),
                camera=self.camera_size,
                noise=not self.no_noise,
                max_seconds=self.max_seconds,
                gui=self.gui,
                planner=pick("planner", self.planner, PLANNERS),
                policy=self.policy,
            )
            for seed in range(self.seed, self.seed + self.episodes)
        ]

    def run(self) -> int:
        """Play them; what is done is in the report, also after Ctrl-C."""
        play_and_tell(self.specs(), self.out)
        return 0


def play_and_tell(specs: list["EpisodeSpec"], out: str | Path) -> list["EpisodeResult"]:
    """Play episodes one after another with a video each, tell how they go, and write the report."""
    from armflow.launch.episode import play, to_json, video_of
    from armflow.launch.files import append_line
    from armflow.launch.report import write_report
    from armflow.launch.threads import use_one_thread

    use_one_thread()
    folder = make_folder(out)
    videos = make_folder(folder / "videos")
    results: list[EpisodeResult] = []
    try:
        for spec in specs:
            print(f"{spec.title}: ", end="", flush=True)
            results.append(play(spec, video=videos / video_of(spec), tell=_tell))
            append_line(folder / "episodes.jsonl", to_json(results[-1]))
            _tell_result(results[-1])
    finally:
        if results:
            write_report(results, folder, command=" ".join(["armflow", *sys.argv[1:]]))
            print(f"open {folder / 'report.html'}; videos in {videos}")
    return results


def _tell(sentence: str) -> None:
    print(sentence, flush=True)


def _tell_result(result: "EpisodeResult") -> None:
    outcome = result.outcome
    word = "success" if outcome.success else f"failure: {outcome.reason}"
    print(f"  {word} ({outcome.seconds_sim:.1f} s in the world, {outcome.seconds_wall:.1f} s on the clock)")
