"""Rank grasps by whether the arm can reach them and then carry the object along its whole path, hitting nothing.

While a grasp holds, the object is the end of the chain: its frame hangs on the tool by the constant T_tool_object, and
the inverse kinematics is solved for the object's own poses. Where the object looks the same after a turn about one of
its axes (a cup about its height, a pen about its length) that turn is left free, which gives every arm one more joint
and lets an arm of five joints follow poses at all.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from armflow.perception.detection import Detection
from armflow.planning.distance import DistanceField, build_field, field_distance
from armflow.planning.grasp.hand import Grasp, finger_boxes
from armflow.planning.reach import LOOSE, NO_FREE_AXIS, POSITION_ONLY, Chain, chain_of, follow_kernel, solve_pose
from armflow.planning.scene import Candidate, Scene
from armflow.robot.capsules import capsule_ends, segment_distance
from armflow.robot.kinematics import chain_frames, chain_tool
from armflow.robot.model import RobotModel

__all__ = ["RankResult", "RankedGrasp", "free_axis_of", "rank_grasps"]

_BACK = np.array([0.08, 0.05])  # m from the pregrasp to the grasp: wanted, and the least
_BACK_STEPS = 4
_MAX_JUMP = 0.7  # rad between neighbouring poses
_ARM_GAP = 0.005  # m between the arm and the scene
_HAND_GAP = 0.001  # m between the fingers and the scene
_HANDLE_SPACE = 0.012  # m around a handle's bar that the fingers may enter
_SWIVEL = 0.6  # rad that a hand may be turned against a bar
_NOD_AXES = np.stack([NO_FREE_AXIS, np.eye(3)[1], np.eye(3)[2], POSITION_ONLY])  # tool axes left free on the way back
_NODS = np.repeat(_NOD_AXES[:, None], _BACK_STEPS + 1, axis=1)
_FAILURES = ("", "out of reach", "hit something", "leave the workspace", "have no room to approach or retreat")
_REACH, _HIT, _OUTSIDE, _BLOCKED = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class RankedGrasp:
    """A grasp that works, with the joint path that proves it.

    Attributes:
        grasp: The grasp as proposed. With a free axis the hand may come turned about it: `Ts_world_tool` tells.
        q_approach: [A, D] from the pregrasp to the grasp, rad.
        q_path: [T, D] at each pose of the object, row 0 the grasp, rad.
        q_retreat: [A, D] from the last pose back along the approach where the candidate releases, else only that
            pose, rad.
        Ts_world_tool: [T, 4, 4] tool poses along the path, m.
        Ts_world_object: [T, 4, 4] object poses that follow from them, m.
        reason: One sentence.
    """

    grasp: Grasp
    q_approach: np.ndarray
    q_path: np.ndarray
    q_retreat: np.ndarray
    Ts_world_tool: np.ndarray
    Ts_world_object: np.ndarray
    reason: str


@dataclass(frozen=True, slots=True)
class RankResult:
    """The grasps that work, best first, and in one sentence what became of the rest."""

    ranked: list[RankedGrasp]
    tried: int
    reason: str


def free_axis_of(detection: Detection, arm: RobotModel, contact: str) -> np.ndarray:
    """Unit axis [3] of the object frame about which a turn of the object does not matter on its way; zeros for none.

    Cups and pens are round. An arm of fewer than six joints cannot keep a full pose, so it may also turn a block about
    the vertical, and a drawer's bar may turn in its fingers at will (`POSITION_ONLY`).
    """
    if contact == "push":
        return NO_FREE_AXIS
    axis = {"cup": 2, "holder": 2, "disc": 2, "pen": 0}.get(detection.kind)
    if axis is None and arm.dof < 6:
        if contact == "pull":
            return POSITION_ONLY
        axis = {"block": 2, "unknown": 2}.get(detection.kind)
    return NO_FREE_AXIS if axis is None else np.eye(3)[axis]


def _axes_along(detection: Detection, arm: RobotModel, contact: str, rows: int) -> np.ndarray:
    """Free axis of each row of the path, [T, 3].

    The grasp itself is taken as proposed where the arm can. An arm of five joints that holds a block or a pen keeps the
    orientation between the grasp and the goal only as well as it can.
    """
    axes = np.tile(free_axis_of(detection, arm, contact), (rows, 1))
    if arm.dof >= 6 or detection.kind in ("block", "unknown"):
        axes[0] = NO_FREE_AXIS
    elif contact == "pull":
        axes[0] = np.eye(3)[2]  # the yaw of a hand on a bar follows from where the arm stands; `_SWIVEL` bounds it
    if arm.dof < 6 and contact == "grasp" and detection.kind in ("block", "unknown", "pen"):
        axes[1:-1] = LOOSE
    return axes


def rank_grasps(
    grasps: list[Grasp],
    candidate: Candidate,
    scene: Scene,
    arm: RobotModel,
    *,
    rng: np.random.Generator,
    field: DistanceField | None = None,
    enough: int = 3,
) -> RankResult:
    """Find the first `enough` grasps, best score first, that allow the whole motion.

    A grasp passes when pregrasp, approach, every pose of the path and (where the candidate releases) the retreat are
    reachable without a joint jumping, and arm and hand stay clear of the table, the scene and the arm itself. The
    start and end of the path are tried first: most grasps that fail, fail there.

    Args:
        grasps: Proposals.
        candidate: The motion that shall follow.
        scene: The world; its q is where the arm is now.
        arm: The arm.
        rng: Draws further starts for the inverse kinematics.
        field: Distance field of the scene, if there is one already.
        enough: When to stop.
    """
    if field is None or candidate.contact == "pull":
        field = build_field(_obstacles(scene, candidate), scene.table, arm.workspace)
    seeds = [arm.home, scene.q, rng.uniform(arm.q_min, arm.q_max)]
    axes = _axes_along(scene.target, arm, candidate.contact, len(candidate.flow.points_world))
    tester = _Tester(arm, field, candidate, seeds)
    ranked: list[RankedGrasp] = []
    failures: Counter[str] = Counter()
    for grasp in sorted(grasps, key=lambda grasp: -grasp.score):
        answer = tester.test(grasp, axes)
        if isinstance(answer, int):
            failures[_FAILURES[answer]] += 1
            continue
        ranked.append(answer)
        if len(ranked) >= enough:
            break
    tried = len(ranked) + failures.total()
    counts = ", ".join(f"{count} {name}" for name, count in failures.most_common())
    tail = f" ({counts})" if counts else ""
    return RankResult(ranked, tried, f"{len(ranked)} of {tried} grasps tried allow the whole motion{tail}")


def _obstacles(scene: Scene, candidate: Candidate) -> np.ndarray:
    """Points [M, 3] that the arm must not touch, m: with a handle, also the front that it is fixed to."""
    if candidate.contact != "pull":
        return scene.obstacles_world
    points, target = scene.target.state.points_world, scene.target
    beyond = np.abs(target.T_world_object.inv().apply(points)) > target.size / 2 + _HANDLE_SPACE
    return np.concatenate([scene.obstacles_world, points[beyond.any(axis=1)]])


class _World(NamedTuple):
    """What the kernels need to know about one motion.

    Attributes:
        path: [T, 4, 4] object poses, m.
        free_axes: [T, 3] axis of the object frame whose turns do not matter, as `solve_pose` takes it.
        release: Whether the hand lets go at the end.
        workspace: [2, 3] allowed tool positions, m.
        frame: [C] as in `Capsules`, without fingers, base and first link.
        a: [C, 3] m.
        b: [C, 3] m.
        radius: [C] m.
        pairs: [P, 2] capsules that may hit each other.
        field: Distance to the scene.
    """

    path: np.ndarray
    free_axes: np.ndarray
    release: bool
    workspace: np.ndarray
    frame: np.ndarray
    a: np.ndarray
    b: np.ndarray
    radius: np.ndarray
    pairs: np.ndarray
    field: DistanceField


class _Hold(NamedTuple):
    """What the kernels need to know about one grasp.

    Attributes:
        tool: Chain that ends at the tool.
        object: Chain that ends at the held object.
        approach: [3] unit direction of approach in the tool frame.
        fingers_open: [P, 3] points on the open fingers in the tool frame, m.
        fingers_held: [P, 3] the same when closed on the object, m.
    """

    tool: Chain
    object: Chain
    approach: np.ndarray
    fingers_open: np.ndarray
    fingers_held: np.ndarray


class _Rows(NamedTuple):
    """Where the kernels write: joint positions of approach (from the grasp back), path and retreat, rad."""

    approach: np.ndarray
    path: np.ndarray
    retreat: np.ndarray


class _Tester:
    """Everything about one motion that its grasps share."""

    def __init__(self, arm: RobotModel, field: DistanceField, candidate: Candidate, seeds: list[np.ndarray]) -> None:
        capsules = arm.capsules
        # What is at the table when the arm rests is part of its foot.
        ends = np.stack(arm.capsule_ends(arm.home))
        height = (ends @ field.normal - field.offset).min(axis=0) - capsules.radius
        moving = (capsules.side == 0) & (capsules.frame > 0) & (capsules.frame <= arm.dof) & (height > 2 * _ARM_GAP)
        index = np.full(len(moving), -1)
        index[moving] = np.arange(moving.sum())
        pairs = index[arm.self_pairs.astype(int)]
        pairs = np.ascontiguousarray(pairs[(pairs >= 0).all(axis=1)])
        parts = (x[moving] for x in (capsules.frame, capsules.a, capsules.b, capsules.radius))
        self._arm, self._field, self._pairs, self._parts = arm, field, pairs, tuple(parts)
        self._path = np.ascontiguousarray(candidate.Ts_world_object.as_matrix().reshape(-1, 4, 4))
        self._release, self._seeds = candidate.release, np.stack(seeds).astype(float)
        self._fingers: dict[float, np.ndarray] = {}

    def test(self, grasp: Grasp, free_axes: np.ndarray) -> RankedGrasp | int:
        """Follow the motion with one grasp; a number tells which of `_FAILURES` stands against it."""
        arm = self._arm
        world = _World(
            self._path,
            free_axes,
            self._release,
            arm.workspace,
            *self._parts,
            pairs=self._pairs,
            field=self._field,
        )
        approach = grasp.T_world_tool[:3, :3].T @ grasp.approach
        fingers = self._points(grasp.opening), self._points(grasp.width)
        hold = _Hold(chain_of(arm), chain_of(arm, grasp.T_tool_object), approach, *fingers)
        rows = _Rows(*(np.zeros((count, arm.dof)) for count in (_BACK_STEPS + 1, len(self._path), _BACK_STEPS + 1)))
        code = _try_seeds(world, hold, self._seeds, rows)
        if code:
            return code
        tools = np.stack([chain_tool(arm.placements, arm.axes, q) for q in rows.path])
        if grasp.kind == "handle" and tools[0, :3, 0] @ grasp.T_world_tool[:3, 0] < np.cos(_SWIVEL):
            return _REACH
        q_retreat = rows.retreat if self._release else rows.path[-1:]
        reason = f"reaches all {len(self._path)} poses clear of everything"
        objects = tools @ grasp.T_tool_object
        return RankedGrasp(grasp, rows.approach[::-1].copy(), rows.path, q_retreat, tools, objects, reason)

    def _points(self, opening: float) -> np.ndarray:
        """Points on the fingers at an opening, kept for the next grasp."""
        if opening not in self._fingers:
            self._fingers[opening] = _finger_points(self._arm, opening)
        return self._fingers[opening]


def _finger_points(arm: RobotModel, opening: float) -> np.ndarray:
    """Points [P, 3] on both fingers in the tool frame, m: a lattice of 3 x 2 x 4 on each."""
    low, high = finger_boxes(arm.gripper, opening)
    points = [
        np.stack(np.meshgrid(*(np.linspace(a[i], b[i], n) for i, n in enumerate((3, 2, 4)))), axis=-1).reshape(-1, 3)
        for a, b in zip(low, high, strict=True)
    ]
    return np.concatenate(points)


@njit(cache=True)
def _fingers_hit(tool: np.ndarray, points: np.ndarray, field: DistanceField) -> bool:
    """True when a point [P, 3] of the fingers, carried by the tool [4, 4], touches the scene."""
    place, gradient = np.empty(3), np.empty(3)
    for p in range(len(points)):
        for a in range(3):
            place[a] = tool[a, 3]
            for k in range(3):
                place[a] += tool[a, k] * points[p, k]
        if field_distance(field, place, gradient) < _HAND_GAP:
            return True
    return False


@njit(cache=True)
def _capsule_hits(a: np.ndarray, b: np.ndarray, radius: float, field: DistanceField) -> bool:
    """True when the capsule from a to b ([3], m) comes closer than the gap to the scene."""
    place, gradient = np.empty(3), np.empty(3)
    steps = int(np.sqrt(((b - a) ** 2).sum()) / radius) + 2
    # The field knows nothing beyond its reach: whatever it puts there is free.
    limit = min(radius + _ARM_GAP, field.reach - 1e-6)
    for s in range(steps):
        share = s / (steps - 1)
        for i in range(3):
            place[i] = a[i] + share * (b[i] - a[i])
        if field_distance(field, place, gradient) < limit:
            return True
    return False


@njit(cache=True)
def _hits(world: _World, hold: _Hold, q: np.ndarray, fingers: np.ndarray) -> bool:
    """True when q [D] brings fingers or arm into contact with the scene, or the arm with itself."""
    frames = chain_frames(hold.tool.placements, hold.tool.axes, q)
    if _fingers_hit(frames[len(frames) - 1], fingers, world.field):
        return True
    a, b = capsule_ends(frames, world.frame, world.a, world.b)
    for c in range(len(world.radius)):
        if _capsule_hits(a[c], b[c], world.radius[c], world.field):
            return True
    for i in range(len(world.pairs)):
        c, d = world.pairs[i, 0], world.pairs[i, 1]
        if segment_distance(a[c], b[c], a[d], b[d]) < world.radius[c] + world.radius[d]:
            return True
    return False


@njit(cache=True)
def _row_hits(world: _World, hold: _Hold, rows: np.ndarray, fingers: np.ndarray) -> bool:
    """True when any of the rows [T, D] hits."""
    hit = False
    for t in range(len(rows)):
        hit = hit or _hits(world, hold, rows[t], fingers)
    return hit


@njit(cache=True)
def _leaves(world: _World, hold: _Hold, rows: np.ndarray) -> bool:
    """True when any of the rows [T, D] puts the tool outside the workspace."""
    for t in range(len(rows)):
        tool = chain_tool(hold.tool.placements, hold.tool.axes, rows[t])
        for a in range(3):
            if tool[a, 3] < world.workspace[0, a] or tool[a, 3] > world.workspace[1, a]:
                return True
    return False


@njit(cache=True)
def _back_off(world: _World, hold: _Hold, q: np.ndarray, rows: np.ndarray) -> int:
    """Write joint positions [A, D] from q straight back against the approach; 0 when that works."""
    tool = chain_tool(hold.tool.placements, hold.tool.axes, q)
    targets = np.empty((len(rows), 4, 4))
    # An arm of five joints may have to nod or to turn on the way; a short way is better than none.
    for k in range(2 if len(q) >= 6 else 2 * len(_NODS)):
        for s in range(len(rows)):
            targets[s] = tool
            for a in range(3):
                back = tool[a, 0] * hold.approach[0] + tool[a, 1] * hold.approach[1] + tool[a, 2] * hold.approach[2]
                targets[s, a, 3] -= s / (len(rows) - 1) * _BACK[k % 2] * back
        rows[0] = q
        if follow_kernel(hold.tool, targets, _NODS[k // 2], rows, _MAX_JUMP) >= 0 or _leaves(world, hold, rows):
            continue
        if not _row_hits(world, hold, rows, hold.fingers_open):
            return 0
    return _BLOCKED


@njit(cache=True)
def _try_ends(world: _World, hold: _Hold, seed: np.ndarray, rows: _Rows) -> int:
    """Solve the last and the first pose, where most grasps that fail do fail; the first goes to row 0 of the path."""
    last = len(world.path) - 1
    rows.path[last] = seed
    if not solve_pose(hold.object, world.path[last], world.free_axes[last], hold.tool.home, rows.path[last], 60):
        return _REACH
    # With a turn left free the path may end otherwise than this, so only reach counts.
    if not world.free_axes[last].any() and _hits(world, hold, rows.path[last], hold.fingers_held):
        return _HIT
    rows.path[0] = seed
    if not solve_pose(hold.object, world.path[0], world.free_axes[0], hold.tool.home, rows.path[0], 60):
        return _REACH
    return _HIT if _hits(world, hold, rows.path[0], hold.fingers_open) else 0


@njit(cache=True)
def _try_seed(world: _World, hold: _Hold, seed: np.ndarray, rows: _Rows) -> int:
    """Follow the whole motion from one start of the inverse kinematics; 0 when it works."""
    code = _try_ends(world, hold, seed, rows)
    if code:
        return code
    code = _back_off(world, hold, rows.path[0], rows.approach)
    if code:
        return code
    if follow_kernel(hold.object, world.path, world.free_axes, rows.path, _MAX_JUMP) >= 0:
        return _REACH
    if _leaves(world, hold, rows.path):
        return _OUTSIDE
    if _row_hits(world, hold, rows.path, hold.fingers_held):
        return _HIT
    return _back_off(world, hold, rows.path[-1], rows.retreat) if world.release else 0


@njit(cache=True)
def _try_seeds(world: _World, hold: _Hold, seeds: np.ndarray, rows: _Rows) -> int:
    """Try the seeds [K, D] in turn; 0, or the code of the one that got furthest."""
    furthest = 0
    for k in range(len(seeds)):
        code = _try_seed(world, hold, seeds[k], rows)
        if code == 0:
            return 0
        furthest = max(furthest, code)
    return furthest
