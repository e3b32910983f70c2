"""`armflow demo`: two tasks, solved from RGB-D images alone, in under a minute."""

from dataclasses import dataclass
from pathlib import Path

from armflow.launch.choices import CONTROLLER_NAMES, TASKS, pick, pick_arm, pick_many

__all__ = ["Demo"]


@dataclass(frozen=True)
class Demo:
    """Solve two tasks from noisy RGB-D images and leave two videos and a report."""

    task: tuple[str, ...] = ("PickPlace", "HangMug")
    """Any of Push, PickPlace, InsertPen, HangMug, Pour, OpenDrawer; one episode each."""
    arm: str = "panda"
    """One of panda, iiwa, xarm6, xarm7, ur5, so101."""
    controller: str = "flow"
    """What drives the arm: flow, oracle (reads the simulator's truth), random, hold."""
    seed: int = 0
    """Seed of every episode."""
    out: Path = Path("runs/demo")
    """Folder for videos and report."""
    media: Path | None = None
    """Also write the picture of the README into this folder."""

    def run(self) -> int:
        """Play them; the exit code is 1 when one failed."""
        from armflow.launch.episode import EpisodeSpec
        from armflow.launch.sim import play_and_tell

        arm, controller = pick_arm(self.arm), pick("controller", self.controller, CONTROLLER_NAMES)
        specs = [EpisodeSpec(task, arm, controller, self.seed) for task in pick_many("task", self.task, TASKS)]
        results = play_and_tell(specs, self.out)
        if self.media is not None:
            from armflow.launch.media import write_media

            write_media(specs, self.out / "videos", self.media)
        return 0 if all(result.outcome.success for result in results) else 1
