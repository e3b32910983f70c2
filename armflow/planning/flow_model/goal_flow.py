"""`GoalFlow`: the rigid motion that brings an object into the relation that the instruction asks for.

Every relation ("place", "push", "insert", "hang", "pour", "open") is one function from the scene to key
poses of the target's frame. The first key is the observed pose; the rest follow from geometry alone. The learned flow
model answers the same call, `predict`, with points that need not move rigidly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.perception.detection import Detection
from armflow.perception.flow import Flow3D
from armflow.perception.instruction import Command
from armflow.planning.flow_model.paths import as_transforms, carry_flow, interpolate_poses, pose, shifted, turned_about
from armflow.planning.scene import Candidate, Scene
from armflow.robot.errors import StackError

__all__ = ["FlowError", "FlowModel", "GoalFlow", "GoalFlowConfig"]

_UP = np.array([0.0, 0.0, 1.0])


class FlowError(StackError):
    """No flow can be made for this scene and command; says what is missing."""


class FlowModel(Protocol):
    """Predicts how the target's points move so that the command comes true."""

    def predict(self, scene: Scene, command: Command, *, rng: np.random.Generator) -> list[Candidate]:
        """Return candidates, best first; an empty list when nothing fits."""
        ...


@dataclass(frozen=True, slots=True)
class GoalFlowConfig:
    """Margins of the geometric flows.

    Attributes:
        clearance: Free height above everything that is passed, m.
        spacing: Path length between rows, m.
        most_rows: Upper bound on the rows T of a flow.
        speed: Pace that turns path length into the time step of the flow, m/s.
        pull: How far a drawer is pulled, m.
        tilt: Angle that empties a cup, rad.
        lip_offset: How far before the middle of the other cup the lip stays, m.
        most_candidates: Upper bound on the candidates returned.
    """

    clearance: float = 0.04
    spacing: float = 0.02
    most_rows: int = 32
    speed: float = 0.15
    pull: float = 0.155
    tilt: float = 2.2
    lip_offset: float = 0.012
    most_candidates: int = 20


@dataclass(frozen=True, slots=True)
class _Motion:
    """Key poses [K, 4, 4] of the target's frame with a preference (larger is better)."""

    keys: np.ndarray
    score: float


def _matrix(detection: Detection) -> np.ndarray:
    return detection.T_world_object.as_matrix()


def _reference(scene: Scene) -> Detection:
    if scene.reference is None:
        raise FlowError("the instruction names no second object, and this motion needs one")
    return scene.reference


def _top(detection: Detection, scene: Scene) -> float:
    """Height of an object's highest observed part above the table, m."""
    heights = scene.table.height(detection.state.points_world)
    return float(np.percentile(heights, 98))


def _bottom(detection: Detection, scene: Scene) -> float:
    """Height of an object's lowest observed part above the table, m."""
    return float(np.percentile(scene.table.height(detection.state.points_world), 2))


def _table_height(scene: Scene, position: np.ndarray) -> float:
    """World z of the table below a position [3], m."""
    n = scene.table.normal
    return float((scene.table.offset - n[:2] @ position[:2]) / n[2])


def _carry_height(scene: Scene, config: GoalFlowConfig, below: float) -> float:
    """World z that an object's frame must keep so that its lowest point, `below` m under it, passes over everything."""
    tops = [_top(item, scene) for item in (*scene.others, scene.reference) if item is not None and item.kind != "rack"]
    passed = max(tops, default=0.0)
    return _table_height(scene, scene.target.T_world_object.translation) + passed + config.clearance + below


def _place(scene: Scene, config: GoalFlowConfig) -> list[_Motion]:
    """Lift, carry level, lower onto the reference; a few turns about the vertical are tried."""
    start, goal = _matrix(scene.target), _reference(scene).T_world_object.translation
    half = scene.target.size[2] / 2
    height = max(_carry_height(scene, config, half), start[2, 3] + 0.05)
    motions = []
    for turn in (0.0, np.pi / 4, -np.pi / 4, np.pi / 2, -np.pi / 2):
        turned = pose(Rotation.from_rotvec(turn * _UP).as_matrix() @ start[:3, :3], goal + (half + 0.004) * _UP)
        lifted = shifted(start, (height - start[2, 3]) * _UP)
        above = shifted(turned, (height - turned[2, 3]) * _UP)
        motions.append(_Motion(np.stack([start, lifted, above, turned]), 1.0 - 0.1 * abs(turn)))
    return motions


def _push(scene: Scene, config: GoalFlowConfig) -> list[_Motion]:
    """Slide along a straight line on the table until the centres meet."""
    del config
    start, goal = _matrix(scene.target), _reference(scene).T_world_object.translation
    end = shifted(start, np.append(goal[:2] - start[:2, 3], 0.0))
    return [_Motion(np.stack([start, end]), 1.0)]


def _insert(scene: Scene, config: GoalFlowConfig) -> list[_Motion]:
    """Lift the pen, set it upright over the holder, lower it; either end first, any turn about the vertical.

    The score prefers poses in which the pen's upper side of the start, where a hand holds it from above, comes to
    face the robot: the hand then reaches outward.
    """
    start, holder = _matrix(scene.target), _reference(scene)
    length, center = scene.target.size[0], holder.T_world_object.translation
    rim = _top(holder, scene)
    table = _table_height(scene, center)
    back = -np.append(center[:2], 0.0) / np.linalg.norm(center[:2])
    motions = []
    for end in (1.0, -1.0):
        tipped = _upright(start[:3, :3], -end)
        facing = tipped[:3, 2]
        base = np.arctan2(back[1], back[0]) - np.arctan2(facing[1], facing[0])
        for turn in np.deg2rad([0.0, 20.0, -20.0, 45.0, -45.0, 70.0, -70.0]):
            upright = Rotation.from_rotvec((base + turn) * _UP).as_matrix() @ tipped
            for depth in (0.015, 0.035, 0.05):
                foot = np.append(center[:2], table + depth)
                final = _leaning(pose(upright, foot + length / 2 * _UP), foot)
                above = pose(upright, np.append(center[:2], table + rim + config.clearance / 2 + length / 2))
                lifted = shifted(start, (above[2, 3] - start[2, 3]) * _UP)
                keys = np.stack([start, lifted, above, final])
                motions.append(_Motion(keys, 1.0 - 0.3 * abs(turn) - 6.0 * depth))
    return motions


def _upright(rotation: np.ndarray, way: float) -> np.ndarray:
    """Turn a frame [3, 3] by the shortest way until its x points up (way 1) or down (way -1)."""
    axis = np.cross(rotation[:, 0], way * _UP)
    sine, cosine = np.linalg.norm(axis), way * rotation[2, 0]
    axis = axis / sine if sine > 1e-6 else rotation[:, 1]
    return Rotation.from_rotvec(np.arctan2(sine, cosine) * axis).as_matrix() @ rotation


def _leaning(upright: np.ndarray, foot: np.ndarray) -> np.ndarray:
    """The upright pen leant a little about its foot, away from the hand that comes along -z of its frame.

    A pen set down exactly upright stands for seconds before it falls to one side.
    """
    lean = 0.1 * np.sign(np.cross(upright[:3, 1], upright[:3, 2])[2] or 1.0)
    return turned_about(upright, foot, lean * upright[:3, 1])


def _hang(scene: Scene, config: GoalFlowConfig) -> list[_Motion]:
    """Bring the handle's opening before the peg's tip, slide it on along the peg, let it down."""
    start, rack = _matrix(scene.target), _reference(scene)
    root, peg = rack.T_world_object.translation, rack.T_world_object.rotation.as_matrix()[:, 0]
    tip = root + rack.size[0] * peg
    opening = _handle_opening(scene.target)
    motions = []
    for side in (1.0, -1.0):
        level = side * (peg - peg[2] * _UP) / np.linalg.norm(peg[:2])
        upright = np.column_stack([np.cross(level, _UP), level, _UP])
        for lean in np.deg2rad([0.0, 30.0, 60.0]):
            rotation = Rotation.from_rotvec(-lean * level).as_matrix() @ upright
            ready, inside = (
                pose(rotation, point - rotation @ opening)
                for point in (tip + 0.035 * peg, tip - 0.55 * rack.size[0] * peg)
            )
            down = shifted(inside, -0.012 * _UP)
            height = max(ready[2, 3], start[2, 3] + 0.10)
            lifted = shifted(start, (height - start[2, 3]) * _UP)
            motions.append(_Motion(np.stack([start, lifted, ready, inside, down]), 1.0 - 0.3 * lean))
    return motions


def _handle_opening(mug: Detection) -> np.ndarray:
    """Centre of the handle's opening in the mug's frame [3], m: outside the body, half way up."""
    local = mug.T_world_object.inv().apply(mug.state.points_world)
    reach = float(np.percentile(local[:, 0], 99))
    body = mug.size[1] / 2
    return np.array([(body + reach) / 2 - 0.002, 0.0, mug.size[2] / 2])


def _pour(scene: Scene, config: GoalFlowConfig) -> list[_Motion]:
    """Carry level over the other cup's edge, then tilt, the lip over its middle and as low as the walls allow."""
    start, cup = _matrix(scene.target), _reference(scene)
    center, rim = cup.T_world_object.translation, _top(cup, scene)
    radius, height = float(scene.target.size[:2].mean()) / 2, float(scene.target.size[2])
    rim_height, wide = _table_height(scene, center) + rim, float(cup.size[:2].mean()) / 2
    carry = max(rim_height + config.clearance, _carry_height(scene, config, 0.0))
    away = start[:2, 3] - center[:2]
    base = np.arctan2(away[1], away[0])
    motions = []
    turns = np.deg2rad([0.0, 25.0, -25.0, 50.0, -50.0, 80.0, -80.0, 120.0, -120.0])
    for turn, (less, higher) in product(turns, ((0.0, 0.0), (0.3, 0.03), (0.3, 0.06))):
        out = np.array([np.cos(base + turn), np.sin(base + turn), 0.0])
        foot = np.append(center[:2], 0.0) + (config.lip_offset + radius) * out
        level = pose(start[:3, :3], foot + carry * _UP)
        tilted = [
            _tilted(level, foot, angle, -out, (radius, height), rim_height + higher + clear)
            for angle, clear in (
                (a, _lip_clearance(a, wide, height)) for a in np.linspace(0.0, config.tilt - less, 7)[1:]
            )
        ]
        lifted = shifted(start, (carry - start[2, 3]) * _UP)
        motions.append(_Motion(np.stack([start, lifted, level, *tilted]), 1.0 - 0.2 * abs(turn) - 5.0 * higher))
    return motions


def _lip_clearance(angle: float, wide: float, height: float) -> float:
    """Height of the lip above the other cup's rim at which the tilted wall just passes over the rim, m.

    The wall runs back and down from the lip. It crosses the rim, `wide` m behind, by wide / tan(angle) below the lip,
    unless it ends before, height cos(angle) below.
    """
    if angle >= np.pi / 2:
        return 0.025
    return 0.025 + min(height * np.cos(angle), wide / np.tan(max(angle, 1e-3)))


def _tilted(
    level: np.ndarray, foot: np.ndarray, angle: float, towards: np.ndarray, size: tuple[float, float], lip_height: float
) -> np.ndarray:
    """The cup's pose [4, 4] tilted by an angle towards a horizontal direction, its lip at a height.

    Args:
        level: [4, 4] upright pose of the cup's frame (centre of its bottom).
        foot: [3] where the axis of the upright cup meets the table plane; the lip keeps its place in plan.
        angle: Tilt, rad.
        towards: [3] unit direction of pouring.
        size: Radius and height of the cup, m.
        lip_height: World z of the lip, m.
    """
    radius, height = size
    lip = np.append((foot + radius * towards)[:2], lip_height)
    upright = pose(level[:3, :3], lip - radius * towards - height * _UP)
    return turned_about(upright, lip, angle * np.cross(_UP, towards))


def _open(scene: Scene, config: GoalFlowConfig) -> list[_Motion]:
    """Pull the handle straight out along its frame's x."""
    start = _matrix(scene.target)
    return [_Motion(np.stack([start, shifted(start, config.pull * start[:3, 0])]), 1.0)]


@dataclass(frozen=True, slots=True)
class _Relation:
    """How one relation moves its target: the maker of motions, the contact, whether the hand lets go at the end."""

    motions: Callable[[Scene, GoalFlowConfig], list[_Motion]]
    contact: str
    release: bool


RELATIONS: dict[str, _Relation] = {
    "place": _Relation(_place, "grasp", release=True),
    "push": _Relation(_push, "push", release=False),
    "insert": _Relation(_insert, "grasp", release=True),
    "hang": _Relation(_hang, "grasp", release=True),
    "pour": _Relation(_pour, "grasp", release=False),
    "open": _Relation(_open, "pull", release=True),
}


class GoalFlow:
    """The geometric `FlowModel`: rigid motion to a goal relation, straight from the perceived poses."""

    def __init__(self, config: GoalFlowConfig | None = None) -> None:
        self._config = config or GoalFlowConfig()

    def predict(self, scene: Scene, command: Command, *, rng: np.random.Generator) -> list[Candidate]:
        """Return the best `most_candidates` motions, best first; deterministic, `rng` is left alone.

        Raises:
            FlowError: The relation is unknown or needs a reference that the scene lacks.
        """
        del rng
        relation = RELATIONS.get(command.relation)
        if relation is None:
            raise FlowError(f"no motion for {command.relation!r}; there are {', '.join(RELATIONS)}")
        motions = sorted(relation.motions(scene, self._config), key=lambda motion: -motion.score)
        return [self._candidate(scene, relation, motion) for motion in motions[: self._config.most_candidates]]

    def _candidate(self, scene: Scene, relation: _Relation, motion: _Motion) -> Candidate:
        config = self._config
        path = interpolate_poses(motion.keys, config.spacing, config.most_rows)
        points = carry_flow(scene.target.state.points_world, path)
        flow = Flow3D(points, np.ones(points.shape[:2], bool), config.spacing / config.speed)
        return Candidate(flow, as_transforms(path), relation.contact, relation.release, motion.score)
