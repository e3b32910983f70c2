"""Recorded interaction with things that bend: a free hand plays with one, and all material points are taken down."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.launch.play_deformable_script import Move, draw_moves

if TYPE_CHECKING:
    from armflow.launch.play_episode import Played, PlaySpec
    from armflow.learning.store import Schema

__all__ = ["POINTS", "SOFT_PLAY", "play_soft", "soft_schema"]

SOFT_PLAY = {"RopeShape": "rope"}
"""Tasks whose play is interaction, with the category of their object."""
POINTS = 400
STATE_NAMES = ("x", "y", "z", "qw", "qx", "qy", "qz", "opening")
MATERIAL_NAMES = ("stiffness", "size", "friction", "mass")
PLACE = (0.42, 0.0)  # m, middle of the workspace
SPREAD = 0.08  # m, how far from it the object starts
SECONDS = (6.0, 10.0)  # of an episode
_WORLDS: dict[str, Any] = {}  # of this process


def soft_schema(spec: "PlaySpec") -> "Schema":
    """Describe the recordings of interaction.

    Raises:
        ValueRangeError: Pictures were asked for, which this recording has not.
    """
    from armflow.learning.store import Feature, Schema
    from armflow.robot.errors import ValueRangeError

    if spec.images:
        raise ValueRangeError("--images", spec.images, f"left out for {spec.task}, which records points only")
    features = {
        "observation.state": Feature("float32", (8,), STATE_NAMES),
        "action": Feature("float32", (8,), STATE_NAMES),
        "tracks": Feature("float32", (POINTS, 3)),
        "material": Feature("float32", (4,), MATERIAL_NAMES),
    }
    world = _world()
    extra = {
        "environment": spec.task,
        "category": SOFT_PLAY[spec.task],
        "tool_radius": world.arm.gripper.finger_thickness,
        "ground": 0.0,
        "cameras": {},
    }
    return Schema(30, features, "xarm6", extra)


def play_soft(spec: "PlaySpec") -> "Played":
    """Play one episode of interaction; the same spec gives the same recording, bit for bit."""
    from armflow.envs.deformable.rope import rope
    from armflow.envs.deformable.tracks import draw_track_points
    from armflow.launch.play_episode import Played
    from armflow.launch.play_tasks import find_play_task
    from armflow.learning.store import Recording

    rng = np.random.default_rng([spec.seed, 2])
    world = _world()
    world.load(rope(np.asarray(PLACE) + rng.uniform(-SPREAD, SPREAD, 2), rng=rng))
    points = draw_track_points(world.vertices(), world.body.faces, POINTS, rng=rng)
    material = np.array([world.body.material[name] for name in MATERIAL_NAMES], np.float32)
    hand, frames = _Floating(world), round(rng.uniform(*SECONDS) * 30)
    columns: dict[str, list[np.ndarray]] = {"observation.state": [], "action": [], "tracks": []}
    moves: list[Move] = []
    while len(columns["action"]) < frames and world.poisoned is None:
        if not moves:
            moves = draw_moves(hand.command, world.particles(points), PLACE, rng=rng)
        command = moves[0].advance(hand.command)
        if moves[0].over:
            moves.pop(0)
        for name, row in (("observation.state", hand.state()), ("action", command)):
            columns[name].append(row.astype(np.float32))
        columns["tracks"].append(world.particles(points).astype(np.float32))
        hand.step(command)
    if world.poisoned is not None:
        return Played(spec, None, failure=world.poisoned)
    arrays = {name: np.stack(rows) for name, rows in columns.items()}
    arrays["material"] = np.tile(material, (frames, 1))
    return Played(spec, Recording(arrays, np.arange(frames) / 30, find_play_task(spec.task).words))


@dataclass(slots=True)
class _Floating:
    """The hand of a world without its arm; poses are those of the point between the fingertips."""

    world: Any
    command: np.ndarray

    def __init__(self, world: Any) -> None:
        self.world = world
        self.command = np.array([PLACE[0], PLACE[1], 0.15, *_down(0.0), 1.0])
        world.hand.put(self._tool(self.command), 1.0)
        mujoco.mj_forward(world.model, world.data)

    def _tool(self, pose: np.ndarray) -> RigidTransform:
        turn = Rotation.from_quat(pose[3:7], scalar_first=True)
        place = pose[:3] - turn.apply([0.0, 0.0, self.world.arm.gripper.tip])
        return RigidTransform.from_components(place, turn)

    def state(self) -> np.ndarray:
        """Measured pose of the fingertips and opening [8]."""
        pose = self.world.hand.pose7()
        pose[:3] += Rotation.from_quat(pose[3:], scalar_first=True).apply([0.0, 0.0, self.world.arm.gripper.tip])
        return np.append(pose, self.world.hand.opening())

    def step(self, command: np.ndarray) -> None:
        """Go evenly to a commanded pose [8] within one frame."""
        substeps = self.world.physics.substeps
        for k in range(1, substeps + 1):
            between = self.command + k / substeps * (command - self.command)
            between[3:7] /= np.linalg.norm(between[3:7])
            self.world.hand.aim(self._tool(between), between[7])
            mujoco.mj_step(self.world.model, self.world.data)
        self.command = command
        self.world.steps += 1
        self.world._check()


def _down(yaw: float) -> np.ndarray:
    return (Rotation.from_euler("z", yaw) * Rotation.from_euler("x", np.pi)).as_quat(scalar_first=True)


def _world() -> Any:
    if "soft" not in _WORLDS:
        from armflow.envs.deformable.world import SoftWorld
        from armflow.robot.embodiments import load_arm

        _WORLDS["soft"] = SoftWorld(load_arm("xarm6"))
    return _WORLDS["soft"]
