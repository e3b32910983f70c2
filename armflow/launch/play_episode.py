"""One played episode: an environment, a player, and the recording that comes of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from armflow.launch.play_tasks import SOFT_PLAY, PlayTask, find_play_task

if TYPE_CHECKING:
    from armflow.learning.store import Recording, Schema

__all__ = [
    "CAMERA",
    "DEPTH_SCALE",
    "PlaySpec",
    "Played",
    "Tape",
    "broken",
    "close_environments",
    "dataset_schema",
    "open_environment",
    "play_one",
]

CAMERA = "bench"
DEPTH_SCALE = 0.001  # m of one unit of depth: 12 bits reach 4.1 m
MOST_FRAMES = 5000  # of an episode that neither player nor environment ends
_ENVIRONMENTS: dict[tuple, Any] = {}  # of this process: making one takes longer than starting it again


@dataclass(frozen=True, slots=True)
class PlaySpec:
    """What decides how a scripted episode goes.

    Attributes:
        task: Its name.
        seed: Of everything random.
        images: Whether to take pictures.
        camera: Their width and height, px.
        views: Cameras that take them.
        simulator: Which one moves a thing that bends.
        material, size: Least and greatest share of the ranges that a thing that bends is drawn from.
    """

    task: str
    seed: int
    images: bool = False
    camera: tuple[int, int] = (96, 96)
    views: int = 1
    simulator: str = "mujoco"
    material: tuple[float, float] = (0.0, 1.0)
    size: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one episode.

    Attributes:
        spec: What was played.
        recording: The frames; None when the episode broke.
        behaviours: Index of each behaviour tried, and whether it got there.
        success: Whether the environment's own goal was met at the end.
        failure: Why it broke, or "".
    """

    spec: PlaySpec
    recording: "Recording | None"
    behaviours: tuple[tuple[int, bool], ...] = ()
    success: bool = False
    failure: str = ""


class Tape:
    """Collects the frames of one episode."""

    def __init__(self, environment: Any, task: PlayTask, images: bool) -> None:
        self._environment, self._task, self._images = environment, task, images
        self._columns: dict[str, list[np.ndarray]] = {}

    @property
    def length(self) -> int:
        """Frames so far."""
        return len(self._columns.get("action", ()))

    def add(self, observation: dict[str, np.ndarray], action: np.ndarray) -> None:
        """Take down what was seen before an action, and the action."""
        frame = {
            "observation.state": np.asarray(observation["observation"], np.float32),
            "action": np.asarray(action, np.float32),
        }
        if self._images:
            frame |= _pictures(self._environment)
        for name, value in frame.items():
            self._columns.setdefault(name, []).append(value)

    def recording(self, behaviours: tuple[Any, ...] = ()) -> "Recording":
        """Return what was taken down; behaviours are `Done` records of the player."""
        from armflow.learning.store import Recording

        arrays = {name: np.stack(values) for name, values in self._columns.items()}
        if self._task.behaviours:
            label, reached = np.full((self.length, 1), -1, np.int64), np.zeros((self.length, 1), bool)
            for one in behaviours:
                label[one.start : one.end] = self._task.behaviours.index(one.kind)
                reached[one.start : one.end] = one.reached
            arrays |= {"behaviour": label, "behaviour_reached": reached}
        stamps = np.arange(self.length) / self._environment.metadata["render_fps"]
        return Recording(arrays, stamps, self._task.words)


def _pictures(environment: Any) -> dict[str, np.ndarray]:
    from armflow.learning.store import encode_depth

    frame = environment.camera.read()
    depth = encode_depth(frame.depth, DEPTH_SCALE)
    return {f"observation.images.{CAMERA}": frame.rgb, f"observation.depth.{CAMERA}": depth}


def open_environment(spec: PlaySpec) -> Any:
    """Return this process's environment for a task and a size of camera."""
    import gymnasium

    import armflow.envs  # noqa: F401 - registers the environments

    key = (spec.task, spec.camera)
    if key not in _ENVIRONMENTS:
        close_environments()
        name, options = f"armflow/{spec.task}-v0", find_play_task(spec.task).options
        made = gymnasium.make(name, camera_size=spec.camera, disable_env_checker=True, **options)
        _ENVIRONMENTS[key] = made.unwrapped  # play has no time limit but the player's own
    return _ENVIRONMENTS[key]


def close_environments() -> None:
    """Close what `open_environment` has opened."""
    while _ENVIRONMENTS:
        _ENVIRONMENTS.popitem()[1].close()


def dataset_schema(spec: PlaySpec) -> "Schema":
    """Describe the recordings that a spec leads to."""
    from armflow.learning.store import Feature, Schema

    if spec.task in SOFT_PLAY:
        from armflow.launch.play_deformable import soft_schema

        return soft_schema(spec)
    task, environment = find_play_task(spec.task), open_environment(spec)
    features = {
        "observation.state": Feature("float32", (len(task.state),), task.state),
        "action": Feature("float32", (len(task.action),), task.action),
    }
    extra = dict(task.extra)
    if task.behaviours:
        features |= {"behaviour": Feature("int64", (1,)), "behaviour_reached": Feature("bool", (1,))}
    if spec.images:
        width, height = spec.camera
        features[f"observation.images.{CAMERA}"] = Feature("video", (height, width, 3))
        features[f"observation.depth.{CAMERA}"] = Feature("depth", (height, width))
        camera = environment.camera.spec
        extra["cameras"] = {
            CAMERA: {
                "intrinsics": camera.K.tolist(),
                "extrinsics": camera.T_world_camera.as_matrix().tolist(),
                "depth_scale": DEPTH_SCALE,
                "serial": "simulated",
            }
        }
    return Schema(environment.metadata["render_fps"], features, task.robot, extra)


def play_one(spec: PlaySpec) -> Played:
    """Let the scripted player play one episode; the same spec gives the same recording, bit for bit."""
    from armflow.envs.scripted import make_demonstrator

    if spec.task in SOFT_PLAY:
        from armflow.launch.play_deformable import play_soft

        return play_soft(spec)
    environment, player = open_environment(spec), make_demonstrator(spec.task)
    observation, info = environment.reset(seed=spec.seed)
    player.reset(observation, rng=np.random.default_rng([spec.seed, 1]))
    tape = Tape(environment, find_play_task(spec.task), spec.images)
    over = False
    while not over and tape.length < MOST_FRAMES and (action := player.act(observation)) is not None:
        tape.add(observation, action)
        observation, _, over, _, info = environment.step(action)
    return _played(spec, tape, player, info)


def _played(spec: PlaySpec, tape: Tape, player: Any, info: dict[str, Any]) -> Played:
    if info["failure"] or not tape.length:
        return Played(spec, None, failure=info["failure"] or "the player did nothing")
    done = tuple(getattr(player, "done", ()))
    names = find_play_task(spec.task).behaviours
    tried = tuple((names.index(one.kind), bool(one.reached)) for one in done if not one.gave_up)
    return Played(spec, tape.recording(done), tried, bool(info["is_success"]))


def broken(spec: PlaySpec, why: str) -> Played:
    """The result of an episode that ended in an exception or with its process."""
    return Played(spec, None, failure=why)
