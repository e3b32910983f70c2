"""From names and a seed to one finished episode; what `sim`, `demo` and `eval` share."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from armflow.launch.controllers import ControllerOptions, make_controller
from armflow.launch.film import film_camera
from armflow.launch.page import video_name
from armflow.launch.policy_options import PolicyOptions, PolicyOptionsError, held_out_episode
from armflow.launch.recorder import Recorder
from armflow.launch.runner import EpisodeResult, Outcome, World, run_episode

__all__ = ["EpisodeSpec", "failed", "from_json", "make_world", "play", "to_json", "video_of"]


@dataclass(frozen=True, slots=True)
class EpisodeSpec:
    """All that decides how an episode goes; the same spec gives the same episode.

    Attributes:
        task: Name of the task.
        arm: Name of the arm, or a YAML file.
        controller: Name of the controller.
        seed: Seed of the layout, of the camera's noise and of the controller.
        solver: "banded" or "cvxpy".
        camera: Width and height of the controller's camera, px.
        noise: Whether depth is as noisy as a real sensor's.
        max_seconds: Longest time in the world, s.
        gui: Whether to open pybullet's window.
        planner: How much `mppi` searches.
        policy: Checkpoint, sampler and goals of a learned policy.
    """

    task: str
    arm: str
    controller: str
    seed: int
    solver: str = "banded"
    camera: tuple[int, int] = (320, 240)
    noise: bool = True
    max_seconds: float = 60.0
    gui: bool = False
    planner: str = "full"
    policy: PolicyOptions = field(default_factory=PolicyOptions)

    @property
    def title(self) -> str:
        """Who does what, in a few words."""
        return f"{self.task} · {Path(self.arm).stem} · {self.controller} · seed {self.seed}"


def make_world(spec: EpisodeSpec) -> Any:
    """Make the world of one task and arm; close it after use."""
    from armflow.launch.choices import SOFT_ARMS

    if spec.task in SOFT_ARMS:
        from armflow.envs.deformable.episode import SoftTaskWorld

        return SoftTaskWorld(spec.task, spec.arm, camera_size=spec.camera, noise=spec.noise)
    from armflow.envs.episode import TaskWorld

    return TaskWorld(spec.task, spec.arm, camera_size=spec.camera, noise=spec.noise, gui=spec.gui)


def play(
    spec: EpisodeSpec, world: Any = None, video: str | Path | None = None, tell: Callable[[str], None] | None = None
) -> EpisodeResult:
    """Run one episode and return what came of it.

    Args:
        spec: What to run.
        world: A world made for the same task, arm and camera, to be used again; None makes one.
        video: Where to write an MP4; None for no video.
        tell: Called with the instruction once it is known.
    """
    own = world is None
    world = make_world(spec) if own else world
    period = world.world.physics.period
    recorder = Recorder(video, spec.title, film_camera(world), period=period) if video is not None else None
    try:
        if spec.policy.goals:
            _ask_for_held_out(world.task, spec)
        world.reset(np.random.default_rng(spec.seed))
        if tell is not None:
            tell(world.instruction)
        return _play_in(world, spec, recorder)
    finally:
        if own:
            world.close()


def _ask_for_held_out(task: Any, spec: EpisodeSpec) -> None:
    if not hasattr(task, "ask"):
        raise PolicyOptionsError(f"{spec.task} cannot begin as a recorded episode; leave --goals away")
    task.ask(*held_out_episode(spec.policy.goals, spec.task, spec.seed))


def _play_in(world: World, spec: EpisodeSpec, recorder: Recorder | None) -> EpisodeResult:
    options = ControllerOptions(solver=spec.solver, planner=spec.planner, policy=spec.policy)
    controller = make_controller(spec.controller, world, options, rng=np.random.default_rng([spec.seed, 1]))
    max_seconds = min(spec.max_seconds, getattr(world, "max_seconds", spec.max_seconds))
    outcome = run_episode(world, controller, max_seconds=max_seconds, listener=recorder)
    return EpisodeResult(spec.task, Path(spec.arm).stem, spec.controller, spec.seed, world.instruction, outcome)


def video_of(spec: EpisodeSpec) -> str:
    """File name of an episode's video."""
    return video_name(spec.task, Path(spec.arm).stem, spec.controller, spec.seed)


def failed(spec: EpisodeSpec, reason: str) -> EpisodeResult:
    """The result of an episode that broke before it could say anything itself."""
    return EpisodeResult(spec.task, Path(spec.arm).stem, spec.controller, spec.seed, "", Outcome(reason=reason))


def to_json(result: EpisodeResult) -> dict[str, Any]:
    """One flat JSON object, as `episodes.jsonl` holds it."""
    record = asdict(result)
    return {**{key: value for key, value in record.items() if key != "outcome"}, **_rounded(record["outcome"])}


def from_json(record: Mapping[str, Any]) -> EpisodeResult:
    """The inverse of `to_json`."""
    names = ("task", "arm", "controller", "seed", "instruction")
    rest = {key: value for key, value in record.items() if key not in names}
    return EpisodeResult(**{name: record[name] for name in names}, outcome=Outcome(**rest))


def _rounded(outcome: dict[str, Any]) -> dict[str, Any]:
    outcome["latency"] = {stage: [round(value, 4) for value in values] for stage, values in outcome["latency"].items()}
    return {
        **outcome,
        "seconds_sim": round(outcome["seconds_sim"], 4),
        "seconds_wall": round(outcome["seconds_wall"], 3),
    }
