"""Recorded interaction with things that bend: a free hand plays with one, and all material points are taken down."""

from typing import TYPE_CHECKING, Any

import numpy as np

from armflow.launch.play_tasks import SOFT_PLAY, find_play_task

if TYPE_CHECKING:
    from armflow.envs.deformable.pybullet_rope import BulletRope
    from armflow.envs.deformable.world import SoftWorld
    from armflow.launch.play_episode import Played, PlaySpec
    from armflow.learning.store import Schema

__all__ = ["POINTS", "play_soft", "soft_schema"]

POINTS = 400
STATE_NAMES = ("x", "y", "z", "qw", "qx", "qy", "qz", "opening")
PLACE = (0.42, 0.0)  # m, middle of the workspace
SPREAD = 0.08  # m, how far from it the object starts
SECONDS = (6.0, 10.0)  # of an episode
_WORLDS: dict[str, Any] = {}  # of this process


def soft_schema(spec: "PlaySpec") -> "Schema":
    """Describe the recordings of interaction.

    Raises:
        ValueRangeError: More cameras than there are, or none; a range that things cannot be drawn from.
    """
    from armflow.envs.deformable.body import MATERIAL, Ranges
    from armflow.launch.play_deformable_views import view_facts, view_features
    from armflow.learning.store import Feature, Schema

    features = {
        "observation.state": Feature("float32", (8,), STATE_NAMES),
        "action": Feature("float32", (8,), STATE_NAMES),
        "tracks": Feature("float32", (POINTS, 3)),
        "material": Feature("float32", (4,), MATERIAL),
    }
    arm, ranges = _world().arm, Ranges(spec.material, spec.size)
    extra = {
        "environment": spec.task,
        "category": SOFT_PLAY[spec.task],
        "simulator": spec.simulator,
        "tool_radius": arm.gripper.finger_thickness,
        "ground": 0.0,
        "ranges": {"material": list(ranges.material), "size": list(ranges.size)},
        "cameras": {},
    }
    if spec.images:
        features |= view_features(spec, arm)
        extra["cameras"] = view_facts(spec, arm)
    return Schema(30, features, "xarm6", extra)


def play_soft(spec: "PlaySpec") -> "Played":
    """Play one episode of interaction; the same spec gives the same recording, bit for bit."""
    from armflow.envs.deformable.free_hand import FreeHand, hand_down
    from armflow.envs.deformable.touch import Touching
    from armflow.envs.deformable.tracks import draw_track_points
    from armflow.launch.play_deformable_views import Views
    from armflow.launch.play_episode import Played

    rng = np.random.default_rng([spec.seed, 2])
    world, faces, material = _start(spec, rng)
    points = draw_track_points(world.vertices(), faces, POINTS, rng=rng)
    hand = FreeHand(world, hand_down(np.array([*PLACE, 0.15]), 0.0, 1.0))
    frames = round(rng.uniform(*SECONDS) * 30)
    touching, views = Touching(PLACE, SOFT_PLAY[spec.task], rng=rng), Views(_world(), spec) if spec.images else None
    columns: dict[str, list[np.ndarray]] = {}
    for _ in range(frames):
        tracks = world.particles(points)
        command = touching.advance(hand.command, tracks)
        row = {"observation.state": hand.state(), "action": command, "tracks": tracks}
        if views is not None:
            row |= views.read()
        for name, value in row.items():
            columns.setdefault(name, []).append(value.astype(np.float32) if value.dtype == float else value)
        hand.step(command)
        if world.poisoned is not None:
            return Played(spec, None, failure=world.poisoned)
    return Played(spec, _recording(spec, columns, material))


def _recording(spec: "PlaySpec", columns: dict[str, list[np.ndarray]], material: dict[str, float]) -> Any:
    from armflow.envs.deformable.body import MATERIAL
    from armflow.learning.store import Recording

    arrays = {name: np.stack(rows) for name, rows in columns.items()}
    frames = len(arrays["action"])
    arrays["material"] = np.tile(np.array([material[name] for name in MATERIAL], np.float32), (frames, 1))
    return Recording(arrays, np.arange(frames) / 30, find_play_task(spec.task).words)


def _start(spec: "PlaySpec", rng: np.random.Generator) -> "tuple[SoftWorld | BulletRope, np.ndarray, dict[str, float]]":
    """Draw the object and lay it on the table: the world, the faces of its surface [F, 3], and its material."""
    from armflow.envs.deformable.body import Ranges
    from armflow.envs.deformable.box import lid_box
    from armflow.envs.deformable.cloth import cloth
    from armflow.envs.deformable.plush import plush
    from armflow.envs.deformable.rope import draw_cord, rope

    place, ranges = np.asarray(PLACE) + rng.uniform(-SPREAD, SPREAD, 2), Ranges(spec.material, spec.size)
    if spec.simulator == "pybullet":
        bullet = _bullet()
        bullet.load(draw_cord(place, rng=rng, ranges=ranges))
        return bullet, bullet.faces, bullet.material
    make = {"rope": rope, "cloth": cloth, "plush": plush, "box": lid_box}[SOFT_PLAY[spec.task]]
    world = _world()
    world.load(make(place, rng=rng, ranges=ranges))
    return world, world.body.faces, world.body.material


def _world() -> "SoftWorld":
    if "mujoco" not in _WORLDS:
        from armflow.envs.deformable.world import SoftWorld
        from armflow.robot.embodiments import load_arm

        _WORLDS["mujoco"] = SoftWorld(load_arm("xarm6"))
    return _WORLDS["mujoco"]


def _bullet() -> "BulletRope":
    if "pybullet" not in _WORLDS:
        from armflow.envs.deformable.pybullet_rope import BulletRope

        _WORLDS["pybullet"] = BulletRope(_world().arm)
    return _WORLDS["pybullet"]
