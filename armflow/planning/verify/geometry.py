"""`GeometricVerifier`: is a candidate motion possible for a rigid body in this scene, with this arm?"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation, Slerp

from armflow.planning.reach import ChainArm, chain_of, follow
from armflow.planning.rigid import DegenerateFitError, rigid_path
from armflow.planning.scene import Candidate, Scene, Verdict
from armflow.planning.solid import body_points, solid_of, thin
from armflow.robot.errors import ValueRangeError

__all__ = ["Choice", "GeometricVerifier", "GeometryLimits"]

_SUBJECTS = {
    "finite": "are not finite",
    "rigid": "bend the object",
    "step": "jump",
    "table": "enter the table",
    "scene": "enter other objects",
    "support": "leave the object without support",
    "workspace": "leave the workspace",
    "reach": "are out of the arm's reach",
}


class _ArmModel(ChainArm, Protocol):
    """The part of `robot.model.RobotModel` that is needed here."""

    @property
    def workspace(self) -> np.ndarray:
        """Lowest and highest tool position [2, 3], m."""
        ...


@dataclass(frozen=True, slots=True)
class GeometryLimits:
    """Bounds of the geometric checks, all in m unless said otherwise."""

    rigidity: float = 0.003
    """Largest distance of a point from the best rigid motion of all points."""
    step: float = 0.15
    """Largest way of a point from one row of the flow to the next."""
    penetration: float = 0.005
    """How deep the object may sink into the table or into the scene's points."""
    contact_penetration: float = 0.012
    """The same for the reference object near the end of the flow, where contact is the purpose."""
    contact_zone: float = 0.06
    """Length of the last stretch of the flow in which contact with the reference is allowed."""
    support_gap: float = 0.02
    """How far below the released object its support may be."""
    lift: float = 0.012
    """How far a pushed object may leave the table's plane."""
    workspace_margin: float = 0.10
    """How far the object's centre may be outside the box of allowed tool positions."""
    max_joint_jump: float = 0.6
    """Largest joint motion from one row to the next, rad."""

    def __post_init__(self) -> None:
        """Refuse limits that are not positive.

        Raises:
            ValueRangeError: A limit is zero, negative or not finite.
        """
        for name in self.__slots__:
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueRangeError(name, getattr(self, name), "positive and finite")


@dataclass(frozen=True, slots=True)
class Choice:
    """The best candidate that passed, or None with the counted reasons."""

    candidate: Candidate | None
    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Motion:
    """The object's motion, worked out once for all checks."""

    scene: Scene
    candidate: Candidate
    rotations: np.ndarray  # [S, 3, 3] world-to-world, from the start pose, dense in time
    shifts: np.ndarray  # [S, 3] m
    rows: np.ndarray  # [S] row of the flow, fractional
    residual: float
    body_world: np.ndarray  # [B, 3] completed surface at the start, m
    figures: dict[str, float] = field(default_factory=dict)

    def body_at(self, s: int) -> np.ndarray:
        """Completed surface [B, 3] at dense step s, m."""
        return self.body_world @ self.rotations[s].T + self.shifts[s]


_Check = Callable[[_Motion], str]


class GeometricVerifier:
    """Checks a whole flow: finite, rigid, continuous, free of penetration, supported, within reach."""

    def __init__(self, limits: GeometryLimits | None = None) -> None:
        """Take the limits, or the default ones."""
        self._limits = limits or GeometryLimits()

    def judge(
        self, scene: Scene, candidate: Candidate, arm: _ArmModel, *, Ts_world_tool: np.ndarray | None = None
    ) -> Verdict:
        """Judge one candidate; the first check that fails gives the reason.

        Args:
            scene: What is known of the world.
            candidate: The proposed motion.
            arm: The arm that shall carry it out.
            Ts_world_tool: [T, 4, 4] tool poses of a chosen grasp; with them the inverse kinematics is chained too.
        """
        points = candidate.flow.points_world
        if not np.isfinite(points).all():
            return _refusal("finite", "the flow has entries that are not finite", {})
        step = float(np.linalg.norm(np.diff(points, axis=0), axis=2).max(initial=0.0))
        if step > self._limits.step:
            reason = f"a point jumps {step:.3f} m in one step (limit {self._limits.step:.3f} m)"
            return _refusal("step", reason, {"step_m": step})
        try:
            motion = _motion_of(scene, candidate)
        except DegenerateFitError as error:
            return _refusal("rigid", str(error), {"step_m": step})
        motion.figures["step_m"] = step
        checks: dict[str, _Check] = {
            "rigid": self._check_rigid,
            "table": self._check_table,
            "scene": self._check_scene,
            "support": self._check_support,
            "workspace": lambda m: self._check_workspace(m, arm),
            "reach": lambda m: self._check_reach(m, arm, Ts_world_tool),
        }
        for name, check in checks.items():
            reason = check(motion)
            if reason:
                return _refusal(name, reason, motion.figures)
        return Verdict(
            True, "the motion is rigid, free, supported and within reach", {**motion.figures, "failed": -1.0}
        )

    @staticmethod
    def best(candidates: list[Candidate], verdicts: list[Verdict]) -> Choice:
        """Pick the passing candidate with the highest score; without one, count why none passes."""
        passing = [i for i, verdict in enumerate(verdicts) if verdict.ok]
        if passing:
            index = max(passing, key=lambda i: candidates[i].score)
            reason = (
                f"{len(passing)} of {len(candidates)} candidates pass; the best scores {candidates[index].score:.3g}"
            )
            return Choice(candidates[index], index, reason)
        if not candidates:
            return Choice(None, -1, "there is no candidate to choose from")
        names = tuple(_SUBJECTS)
        counts = Counter(names[int(verdict.figures["failed"])] for verdict in verdicts)
        parts = ", ".join(f"{count} {_SUBJECTS[name]}" for name, count in counts.most_common())
        example = verdicts[0].reason
        return Choice(None, -1, f"none of {len(candidates)} candidates passes: {parts} (first: {example})")

    def _check_rigid(self, motion: _Motion) -> str:
        """Compare all points with the best rigid motion."""
        motion.figures["rigidity_m"] = motion.residual
        if motion.residual <= self._limits.rigidity:
            return ""
        return f"points leave the rigid motion by {motion.residual:.4f} m (limit {self._limits.rigidity:.4f} m)"

    def _check_table(self, motion: _Motion) -> str:
        """Find the deepest point below the table; what perception already puts below it at the start is forgiven."""
        table = motion.scene.table
        ups = np.einsum("sij,i->sj", motion.rotations, table.normal)
        heights = (ups @ motion.body_world.T).min(axis=1) + table.height(motion.shifts)
        forgiven = min(max(-heights[0], 0.0), self._limits.penetration)
        depth = float(-heights.min() - forgiven)
        motion.figures["table_depth_m"] = max(depth, 0.0)
        if motion.candidate.contact == "push":
            lift = float(np.abs(heights - heights[0]).max())
            motion.figures["lift_m"] = lift
            if lift > self._limits.lift:
                return f"the pushed object leaves the table's plane by {lift:.3f} m (limit {self._limits.lift:.3f} m)"
        if depth <= self._limits.penetration or motion.candidate.contact == "pull":
            return ""
        row = motion.rows[int(heights.argmin())]
        return (
            f"the object sinks {depth:.3f} m into the table at row {row:.1f} (limit {self._limits.penetration:.3f} m)"
        )

    def _check_scene(self, motion: _Motion) -> str:
        """Find scene points deep inside the moving body; a few stray points are forgiven."""
        free, contact = _scene_depths(motion, self._limits.contact_zone)
        motion.figures["scene_depth_m"], motion.figures["contact_depth_m"] = free, contact
        if free > self._limits.penetration:
            return f"the object enters its surroundings by {free:.3f} m (limit {self._limits.penetration:.3f} m)"
        if contact > self._limits.contact_penetration:
            limit = self._limits.contact_penetration
            return f"the object enters its goal by {contact:.3f} m (limit {limit:.3f} m)"
        return ""

    def _check_support(self, motion: _Motion) -> str:
        """A released object must have the table, the reference or another object right under or around it."""
        if not motion.candidate.release or motion.candidate.contact != "grasp":
            return ""
        body = motion.body_at(-1)
        gap = float(max(motion.scene.table.height(body).min(), 0.0))
        supports = [motion.scene.obstacles_world]
        if motion.scene.reference is not None:
            supports.append(motion.scene.reference.state.points_world)
        support = np.concatenate(supports)
        if gap > self._limits.support_gap and len(support):
            # Only points that are not above the whole object can carry it.
            support = support[support[:, 2] <= body[:, 2].max()]
            if len(support):
                gap = min(gap, float(cKDTree(body).query(support)[0].min()))
        motion.figures["support_gap_m"] = gap
        if gap <= self._limits.support_gap:
            return ""
        return f"the object is released {gap:.3f} m from any support (limit {self._limits.support_gap:.3f} m)"

    def _check_workspace(self, motion: _Motion, arm: _ArmModel) -> str:
        """Keep the object's centre near the box of allowed tool positions."""
        centers = motion.rotations @ motion.body_world.mean(axis=0) + motion.shifts
        below, above = arm.workspace[0] - centers, centers - arm.workspace[1]
        excess = float(np.maximum(np.maximum(below, above), 0.0).max())
        motion.figures["workspace_excess_m"] = excess
        if excess <= self._limits.workspace_margin:
            return ""
        return f"the object goes {excess:.3f} m out of the workspace (limit {self._limits.workspace_margin:.3f} m)"

    def _check_reach(self, motion: _Motion, arm: _ArmModel, Ts_world_tool: np.ndarray | None) -> str:
        """Chain the inverse kinematics of the chosen grasp, if there is one."""
        if Ts_world_tool is None:
            return ""
        reach = follow(chain_of(arm), Ts_world_tool, motion.scene.q, max_jump=self._limits.max_joint_jump)
        motion.figures["reach_row"] = float(reach.row)
        return "" if reach.ok else f"tool {reach.reason}"


def _refusal(check: str, reason: str, figures: dict[str, float]) -> Verdict:
    """A verdict of no; the figure `failed` is the number of the check, for counting."""
    return Verdict(False, reason, {**figures, "failed": float(tuple(_SUBJECTS).index(check))})


def _motion_of(scene: Scene, candidate: Candidate) -> _Motion:
    """Fit the rigid motion, fill in steps of at most 1 cm, and complete the object's surface."""
    points = candidate.flow.points_world
    fits = rigid_path(candidate.flow).Ts_world
    rotations, shifts = fits[:, :3, :3], fits[:, :3, 3]
    off = points[0] @ rotations.transpose(0, 2, 1) + shifts[:, None] - points
    # A few mistracked points bend nothing.
    residual = float(np.percentile(np.linalg.norm(off, axis=2), 95, axis=1).max())
    rows = np.arange(len(points), dtype=float)
    if len(points) > 1:
        ways = np.linalg.norm(np.diff(points, axis=0), axis=2).max(axis=1)
        counts = np.clip(np.ceil(ways / 0.01).astype(int), 1, 20)
        rows = np.concatenate([np.linspace(t, t + 1, n, endpoint=False) for t, n in enumerate(counts)] + [[rows[-1]]])
        center = points[0].mean(axis=0)
        centers = rotations @ center + shifts
        rotations = Slerp(np.arange(len(points)), Rotation.from_matrix(rotations))(rows).as_matrix()
        dense = np.stack([np.interp(rows, np.arange(len(points)), centers[:, a]) for a in range(3)], axis=1)
        shifts = dense - rotations @ center
    body = candidate.Ts_world_object[0].apply(body_points(scene.target, spacing=0.006))
    return _Motion(scene, candidate, rotations, shifts, rows, residual, body)


def _scene_depths(motion: _Motion, contact_zone: float) -> tuple[float, float]:
    """Depth of the scene's points in the moving body: outside the goal contact, and within it, m.

    The third deepest point counts, so that two stray readings stop nothing. Points that are inside at the start
    (a neighbour that leans on the object, or beads in a cup) are left out.
    """
    scene = motion.scene
    points = thin(scene.obstacles_world, 0.005)
    points = points[scene.table.height(points) > 0.006]
    if len(points) == 0:
        return 0.0, 0.0
    at_goal = np.zeros(len(points), dtype=bool)
    if scene.reference is not None:
        at_goal = cKDTree(scene.reference.state.points_world).query(points, distance_upper_bound=0.005)[0] < 0.005
    depth_at = _depth_function(motion)
    kept = depth_at(points, 0) < 0.0
    points, at_goal = points[kept], at_goal[kept]
    centers = motion.rotations @ motion.body_world.mean(axis=0) + motion.shifts
    left = np.linalg.norm(np.diff(centers, axis=0), axis=1)[::-1].cumsum()[::-1]
    near_end = np.append(left, 0.0) <= contact_zone
    reach = np.linalg.norm(motion.body_world - motion.body_world.mean(axis=0), axis=1).max() + 0.01
    free = contact = 0.0
    for s in range(1, len(centers)):
        offsets = points - centers[s]
        close = np.einsum("mi,mi->m", offsets, offsets) < reach**2
        depths = depth_at(points[close], s)
        touching = at_goal[close] & near_end[s]
        free, contact = max(free, _third_largest(depths[~touching])), max(contact, _third_largest(depths[touching]))
    return free, contact


def _depth_function(motion: _Motion) -> Callable[[np.ndarray, int], np.ndarray]:
    """Depth in the moving body: from its solid where it has one, else from how close its points are."""
    solid = solid_of(motion.scene.target)
    T_object_world = motion.candidate.Ts_world_object[0].inv().as_matrix()
    tree, reach = cKDTree(motion.body_world), 0.008

    def depth_at(points: np.ndarray, s: int) -> np.ndarray:
        at_start = (points - motion.shifts[s]) @ motion.rotations[s]
        if solid is None:
            return reach - np.minimum(tree.query(at_start, distance_upper_bound=2 * reach)[0], 2 * reach)
        return -solid.signed_distance(at_start @ T_object_world[:3, :3].T + T_object_world[:3, 3])

    return depth_at


def _third_largest(values: np.ndarray) -> float:
    """Third largest of the values, at least 0; 0 when there are fewer than three."""
    return max(0.0, float(np.partition(values, -3)[-3])) if len(values) >= 3 else 0.0
