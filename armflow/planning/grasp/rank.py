"""Rank grasps by whether the arm can reach them and then carry the object along its whole path, hitting nothing.

While a grasp holds, the object is the end of the chain: its frame hangs on the tool by the constant T_tool_object, and
the inverse kinematics is solved for the object's own poses. Where the object looks the same after a turn about one of
its axes (a cup about its height, a pen about its length) that turn is left free, which gives every arm one more joint
and lets an arm of five joints follow poses at all.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numba import njit

from armflow.perception.detection import Detection
from armflow.planning.distance import DistanceField, build_field, field_distance
from armflow.planning.grasp.hand import Grasp, finger_boxes
from armflow.planning.reach import NO_FREE_AXIS, follow_kernel
from armflow.planning.scene import Candidate, Scene
from armflow.robot.capsules import capsule_ends, segment_distance
from armflow.robot.kinematics import chain_frames
from armflow.robot.model import RobotModel

__all__ = ["RankResult", "RankedGrasp", "free_axis_of", "rank_grasps"]

_BACK = 0.08  # m from the pregrasp to the grasp
_BACK_STEPS = 4
_MAX_JUMP = 0.7  # rad between neighbouring poses
_ARM_GAP = 0.005  # m between the arm and the scene
_HAND_GAP = 0.001  # m between the fingers and the scene


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
    """Unit axis [3] of the object frame about which a turn of the object does not matter; zeros for none.

    Cups and pens are round. An arm of fewer than six joints cannot keep a full pose, so it may also turn a block about
    the vertical and swivel about a drawer's bar.
    """
    if contact == "push":
        return NO_FREE_AXIS
    axis = {"cup": 2, "holder": 2, "disc": 2, "pen": 0}.get(detection.kind)
    if axis is None and arm.dof < 6:
        axis = {"block": 2, "unknown": 2, "drawer": 1}.get(detection.kind)
    return NO_FREE_AXIS if axis is None else np.eye(3)[axis]


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
    field = field or build_field(scene.obstacles_world, scene.table, arm.workspace)
    path = np.ascontiguousarray(candidate.Ts_world_object.as_matrix().reshape(-1, 4, 4))
    free_axis = free_axis_of(scene.target, arm, candidate.contact)
    tester = _Tester(arm, field, path, free_axis, candidate.release)
    seeds = [scene.q, arm.home, rng.uniform(arm.q_min, arm.q_max)]
    ranked: list[RankedGrasp] = []
    failures: Counter[str] = Counter()
    tried = 0
    for grasp in sorted(grasps, key=lambda grasp: -grasp.score):
        tried += 1
        answer = tester.test(grasp, seeds)
        if isinstance(answer, str):
            failures[answer] += 1
            continue
        ranked.append(answer)
        if len(ranked) >= enough:
            break
    counts = ", ".join(f"{count} {name}" for name, count in failures.most_common())
    tail = f" ({counts})" if counts else ""
    return RankResult(ranked, tried, f"{len(ranked)} of {tried} grasps tried allow the whole motion{tail}")


class _Tester:
    """Everything about one motion that its grasps share."""

    def __init__(
        self, arm: RobotModel, field: DistanceField, path: np.ndarray, free_axis: np.ndarray, release: bool
    ) -> None:
        self._arm, self._field, self._path = arm, field, path
        self._free_axis, self._release = np.asarray(free_axis, dtype=float), release
        capsules = arm.capsules
        moving = (capsules.side == 0) & (capsules.frame > 0) & (capsules.frame <= arm.dof)
        self._capsules = tuple(np.ascontiguousarray(x[moving]) for x in (capsules.frame, capsules.a, capsules.b))
        self._radius = np.ascontiguousarray(capsules.radius[moving])
        index = np.full(len(moving), -1)
        index[moving] = np.arange(moving.sum())
        pairs = index[arm.self_pairs]
        self._pairs = np.ascontiguousarray(pairs[(pairs >= 0).all(axis=1)])

    def test(self, grasp: Grasp, seeds: list[np.ndarray]) -> RankedGrasp | str:
        """Follow the motion with one grasp; a string says in two words what stands against it."""
        arm = self._arm
        tools = self._path @ np.linalg.inv(grasp.T_tool_object)
        outside = np.maximum(arm.workspace[0] - tools[:, :3, 3], tools[:, :3, 3] - arm.workspace[1]).max()
        if outside > 0 and not self._free_axis.any():
            return "leave the workspace"
        chain = self._chain(grasp.T_tool_object)
        answer = "out of reach"
        for seed in seeds:
            q_path = np.tile(seed, (len(self._path), 1))
            if follow_kernel(chain, self._path, self._free_axis, q_path, _MAX_JUMP) >= 0:
                continue
            answer = self._finish(grasp, q_path)
            if not isinstance(answer, str):
                return answer
        return answer

    def _chain(self, T_tool_end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The arm's chain, made longer by a frame that hangs on the tool."""
        placements = self._arm.placements.copy()
        placements[-1] = placements[-1] @ T_tool_end
        return placements, self._arm.axes, self._arm.q_min, self._arm.q_max

    def _finish(self, grasp: Grasp, q_path: np.ndarray) -> RankedGrasp | str:
        """Add approach and retreat to a path that is in reach, and check all of it for collisions."""
        arm = self._arm
        tools = np.stack([chain_frames(arm.placements, arm.axes, q)[-1] for q in q_path])
        if (np.maximum(arm.workspace[0] - tools[:, :3, 3], tools[:, :3, 3] - arm.workspace[1]) > 0.01).any():
            return "leave the workspace"
        approach_tool = grasp.T_world_tool[:3, :3].T @ grasp.approach
        q_back = self._back_off(tools[0], approach_tool, q_path[0])
        if q_back is None:
            return "no approach"
        q_retreat = q_path[-1:]
        if self._release:
            away = self._back_off(tools[-1], approach_tool, q_path[-1])
            if away is None:
                return "no retreat"
            q_retreat = away
        for q_part, opening in ((q_back, grasp.opening), (q_path, grasp.width), (q_retreat, grasp.opening)):
            if self._collides(q_part, opening):
                return "hit something"
        objects = tools @ grasp.T_tool_object
        reason = f"reaches all {len(q_path)} poses clear of everything"
        return RankedGrasp(grasp, q_back[::-1].copy(), q_path, q_retreat, tools, objects, reason)

    def _back_off(self, T_world_tool: np.ndarray, approach_tool: np.ndarray, q: np.ndarray) -> np.ndarray | None:
        """Joint path [A, D] from q straight back against the approach direction (tool frame), or None."""
        targets = np.tile(T_world_tool, (_BACK_STEPS + 1, 1, 1))
        back = T_world_tool[:3, :3] @ approach_tool
        targets[:, :3, 3] -= np.linspace(0, _BACK, _BACK_STEPS + 1)[:, None] * back
        q_path = np.tile(q, (len(targets), 1))
        return None if follow_kernel(self._chain(np.eye(4)), targets, NO_FREE_AXIS, q_path, _MAX_JUMP) >= 0 else q_path

    def _collides(self, q_path: np.ndarray, opening: float) -> bool:
        """Look for contact of arm or hand with the scene or the arm itself."""
        points = _finger_points(self._arm, opening)
        chain = (self._arm.placements, self._arm.axes)
        return _hits(q_path, chain, self._capsules, self._radius, self._pairs, points, self._field)


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
    for s in range(steps):
        share = s / (steps - 1)
        for i in range(3):
            place[i] = a[i] + share * (b[i] - a[i])
        if field_distance(field, place, gradient) < radius + _ARM_GAP:
            return True
    return False


@njit(cache=True)
def _hits(
    q_path: np.ndarray,
    chain: tuple[np.ndarray, np.ndarray],
    capsules: tuple[np.ndarray, np.ndarray, np.ndarray],
    radius: np.ndarray,
    pairs: np.ndarray,
    finger_points: np.ndarray,
    field: DistanceField,
) -> bool:
    """True when any row of q_path [T, D] brings arm or fingers into contact."""
    for t in range(len(q_path)):
        frames = chain_frames(chain[0], chain[1], q_path[t])
        if _fingers_hit(frames[len(frames) - 1], finger_points, field):
            return True
        a_world, b_world = capsule_ends(frames, capsules[0], capsules[1], capsules[2])
        for c in range(len(radius)):
            if _capsule_hits(a_world[c], b_world[c], radius[c], field):
                return True
        for i in range(len(pairs)):
            c, d = pairs[i, 0], pairs[i, 1]
            if segment_distance(a_world[c], b_world[c], a_world[d], b_world[d]) < radius[c] + radius[d]:
                return True
    return False
