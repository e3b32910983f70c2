"""One episode: camera and encoders in, chunks out, until the task is done, given up or out of time."""

import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.launch.controllers import hold_chunk
from armflow.perception.frame import Camera, RGBDFrame
from armflow.perception.observation import Observation
from armflow.policies.policy import Controller
from armflow.robot.arm import Arm
from armflow.robot.chunk import ActionChunk
from armflow.robot.errors import StackError
from armflow.robot.stopwatch import timed

__all__ = ["EpisodeResult", "Listener", "Outcome", "World", "observe", "run_episode"]

SETTLE_SECONDS = 2.0  # long enough for "stays 1 s after release" to be judged
HOLD_STEPS = 5
NO_FRAME = RGBDFrame(np.zeros((1, 1, 3), np.uint8), np.full((1, 1), np.nan), np.eye(3), RigidTransform.identity(), 0.0)


class World(Protocol):
    """A task in a world that can be started again and can say whether the task is done."""

    instruction: str
    camera: Camera
    arm: Arm
    time: float

    def reset(self, rng: np.random.Generator) -> object:
        """Lay the task out anew."""
        ...

    def is_success(self) -> bool:
        """Whether the task is done now."""
        ...

    def failure(self) -> str | None:
        """Why the episode cannot go on (a poisoned simulation), or None."""
        ...


class Listener(Protocol):
    """Somebody who watches an episode, such as a video recorder."""

    def start(self, world: World, controller: Controller) -> None:
        """The world is laid out and nothing has moved."""
        ...

    def finish(self, outcome: "Outcome") -> None:
        """The episode is over."""
        ...


@dataclass(slots=True)
class Outcome:
    """What came of one episode, filled in while it runs.

    Attributes:
        success: Whether the world says that the task is done at the end.
        reason: One sentence; "done" after a success.
        seconds_sim: Length of the episode in the world's time, s.
        seconds_wall: The same on the clock, s.
        latency: Stage -> how long it took each time, ms.
        chunks: Chunks executed.
        replans: Times the controller threw its plan away.
        rejected: Commands that the limiter refused.
        facts: What else the task tells about the episode, a few words each.
    """

    success: bool = False
    reason: str = ""
    seconds_sim: float = 0.0
    seconds_wall: float = 0.0
    latency: dict[str, list[float]] = field(default_factory=dict)
    chunks: int = 0
    replans: int = 0
    rejected: int = 0
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """An outcome with the names needed to repeat it."""

    task: str
    arm: str
    controller: str
    seed: int
    instruction: str
    outcome: Outcome


def run_episode(
    world: World, controller: Controller, *, max_seconds: float, listener: Listener | None = None
) -> Outcome:
    """Run one episode in a world that has just been reset.

    The loop knows neither which controller it runs nor which world: observation, `act`, `execute`, until the
    controller returns None (the arm then holds for two seconds, and the world judges), the time is over, the world
    says that it cannot go on, or something refuses with a `StackError`, which then is the reason.

    Args:
        world: Freshly reset.
        controller: Anything with `reset`, `act` and `status`.
        max_seconds: Longest time in the world, s.
        listener: Told of start and end.
    """
    outcome, started = Outcome(), time.perf_counter()
    controller.reset(world.instruction)
    if listener is not None:
        listener.start(world, controller)
    try:
        try:
            ended = _loop(world, controller, outcome, max_seconds)
        except StackError as error:
            ended = f"error: {error}"
        outcome.success = world.failure() is None and bool(world.is_success())
        outcome.reason = "done" if outcome.success else ended
    finally:
        outcome.seconds_sim = float(world.time)
        outcome.seconds_wall = time.perf_counter() - started
        _collect(world.arm, controller, outcome)
        outcome.facts = dict(getattr(world, "facts", dict)())
        if listener is not None:
            listener.finish(outcome)
    return outcome


def _loop(world: World, controller: Controller, outcome: Outcome, max_seconds: float) -> str:
    """Run until something ends the episode, and say what it was."""
    gripper = world.arm.read_gripper()
    while world.failure() is None:
        if world.time >= max_seconds:
            return f"out of time after {max_seconds:.0f} s: {controller.status()}"
        chunk = _decide(world, controller, outcome)
        if chunk is None:
            _settle(world, gripper)
            break
        with timed(outcome.latency, "execute"):
            sent = world.arm.execute(chunk)
        gripper = float(sent.gripper[-1])
        outcome.chunks += 1
        if _is_over(world):
            break
    failure = world.failure()
    return f"stopped: {failure}" if failure else f"ended without success: {controller.status()}"


def _decide(world: World, controller: Controller, outcome: Outcome) -> ActionChunk | None:
    frame = NO_FRAME
    if getattr(controller, "needs_frame", True):
        with timed(outcome.latency, "camera"):
            frame = world.camera.read()
    observation = observe(world, frame)
    with timed(outcome.latency, "act"):
        return controller.act(observation)


def observe(world: World, frame: RGBDFrame) -> Observation:
    """What a controller may see of a world now: a picture, the encoders, and what the task itself tells in numbers."""
    arm = world.arm
    state, goal, points = (_offered(world, name) for name in ("policy_state", "policy_goal", "goal_points"))
    return Observation(frame, arm.read_q(), arm.read_gripper(), float(world.time), state, goal, points)


def _offered(world: World, name: str) -> np.ndarray | None:
    """What the world's task tells in numbers; most worlds tell none."""
    return getattr(world, name)() if hasattr(world, name) else None


def _is_over(world: World) -> bool:
    """Whether the task's benchmark ends the episode here; most worlds leave that to the controller."""
    return bool(getattr(world, "is_over", bool)())


def _settle(world: World, gripper: float) -> None:
    """Hold still, so that what was let go comes to rest before it is judged."""
    q, end = world.arm.read_q(), world.time + SETTLE_SECONDS
    while world.time < end and world.failure() is None:
        before = world.time
        world.arm.execute(hold_chunk(q, gripper, HOLD_STEPS, before))
        if world.time <= before:
            return  # a world whose clock stands still would hold for ever


def _collect(arm: Arm, controller: Controller, outcome: Outcome) -> None:
    """Add what a controller and an arm may count about themselves; neither has to."""
    for stage, values in dict(getattr(controller, "timings", {})).items():
        if stage not in ("camera", "act", "execute"):
            outcome.latency[stage] = [float(value) for value in values]
    outcome.replans = int(getattr(controller, "replans", 0))
    outcome.rejected = int(getattr(arm, "rejected", 0))
