"""`Planner`: from a scene and a command to segments of motion, or to the reason why there are none."""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from armflow.perception.flow import Flow3D
from armflow.perception.instruction import Command
from armflow.planning.distance import DistanceField, build_field
from armflow.planning.flow_model.goal_flow import FlowError, FlowModel
from armflow.planning.flow_model.paths import carry_flow, shifted
from armflow.planning.grasp import Grasp, RankedGrasp, handle_grasps, object_grasps, push_contacts, rank_grasps
from armflow.planning.look import VESSELS, vessel_points
from armflow.planning.motion import Segment, held, ramp
from armflow.planning.optimize import (
    OptimizeConfig,
    Trajectory,
    check_joint_path,
    line_poses,
    optimize,
    plan_joint_path,
    plan_pose_path,
)
from armflow.planning.scene import Candidate, Scene, Verdict
from armflow.planning.timing import retime
from armflow.planning.verify import GeometricVerifier
from armflow.robot.model import RobotModel
from armflow.robot.stopwatch import timed

__all__ = ["Plan", "Planner", "PlannerConfig", "Refusal"]


_RETREAT = 0.08  # m
_HOME_SLACK = 0.02  # rad


@dataclass(frozen=True, slots=True)
class PlannerConfig:
    """Speeds and waits of the motion.

    Attributes:
        dt: Control period, s.
        solver: "banded" or "cvxpy", as in `OptimizeConfig`.
        carry_speed: Most speed of the tool while it holds or touches the object, m/s.
        approach_speed: Most speed of the tool on its last way to the object and off it, m/s.
        free_speed: Most speed of the tool elsewhere, m/s.
        grip_time: How long the gripper closes or opens, s.
        settle_time: How long it then waits, s.
        empty_time: How long a tilted cup is held, s.
        back_off: How far the hand goes back after an interruption, m.
    """

    dt: float = 0.04
    solver: str = "banded"
    carry_speed: float = 0.25
    approach_speed: float = 0.12
    free_speed: float = 0.6
    grip_time: float = 0.4
    settle_time: float = 0.24
    empty_time: float = 1.6
    back_off: float = 0.08


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no plan, in one sentence; `final` when another look cannot help."""

    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked motion.

    Attributes:
        scene: What it was made for.
        candidate: The flow that it carries out.
        ranked: The grasp and the joint path that proves it.
        verdict: Why it may be carried out.
        field: Distance to everything but the target.
        before: Segments up to and including the grip.
    """

    scene: Scene
    candidate: Candidate
    ranked: RankedGrasp
    verdict: Verdict
    field: DistanceField
    before: tuple[Segment, ...]

    @property
    def holds(self) -> bool:
        """Whether the gripper closes on the object."""
        return self.candidate.contact != "push"

    @property
    def returns(self) -> bool:
        """Whether the object, such as an emptied cup, is set down again where it stood."""
        return self.candidate.contact == "grasp" and not self.candidate.release


class _Fields(NamedTuple):
    """Distances to the scene without the target, with it, and without it but with vessels filled up."""

    rest: DistanceField
    whole: DistanceField
    hand: DistanceField


class Planner:
    """Candidates, verdicts, grasps, trajectories: the first combination that passes everything."""

    def __init__(
        self,
        arm: RobotModel,
        flow_model: FlowModel,
        *,
        rng: np.random.Generator,
        config: PlannerConfig | None = None,
    ) -> None:
        """Take the arm and the model that proposes flows."""
        self._arm, self._model, self._rng = arm, flow_model, rng
        self._config = config or PlannerConfig()
        self._verifier = GeometricVerifier()
        self.timings: dict[str, list[float]] = defaultdict(list)

    def plan(self, scene: Scene, command: Command) -> Plan | Refusal:
        """Return the first plan whose flow, grasp and motion all pass, or the reason why there is none."""
        with timed(self.timings, "flow"):
            try:
                candidates = self._model.predict(scene, command, rng=self._rng)
            except FlowError as error:
                return Refusal(str(error), final=True)
        candidates = sorted(candidates, key=lambda candidate: -candidate.score)
        with timed(self.timings, "field"):
            fields = self._fields(scene)
        verdicts: list[Verdict] = []
        refusals: list[str] = []
        grasps: list[Grasp] = []
        for candidate in candidates:
            with timed(self.timings, "verify"):
                verdicts.append(self._verifier.judge(scene, candidate, self._arm))
            if not verdicts[-1].ok:
                continue
            with timed(self.timings, "grasp"):
                if not grasps or candidate.contact == "push":  # only a push depends on where the object goes
                    grasps = self._grasps(scene, candidate)
                result = rank_grasps(grasps, candidate, scene, self._arm, rng=self._rng, field=fields.hand, enough=2)
            refusals.append(result.reason)
            for ranked in result.ranked:
                before = self._before(scene, candidate, ranked, fields)
                if isinstance(before, str):
                    refusals[-1] = before
                    continue
                spoken = f"{verdicts[-1].reason}; {ranked.grasp.kind} contact {ranked.reason}"
                verdict = replace(verdicts[-1], reason=spoken)
                return Plan(scene, candidate, ranked, verdict, fields.rest, before)
        if refusals:
            return Refusal(f"no grasp allows any of {len(refusals)} motions (first: {refusals[0]})", final=False)
        return Refusal(self._verifier.best(candidates, verdicts).reason, final=False)

    def plan_after_grip(self, plan: Plan, q: np.ndarray) -> tuple[Segment, ...] | Refusal:
        """Plan what follows the grip from where the arm now stands, q [D] rad.

        Returns:
            Segments, the carry first, or the reason why the object cannot be carried on.
        """
        T_tool_object = plan.ranked.grasp.T_tool_object
        carry = self._carry(plan, q)
        if not carry.ok:
            return Refusal(f"carry: {carry.reason}", final=False)
        segments = [self._moving("carry", carry.q, T_tool_object, watched=True, holds=plan.holds)]
        if plan.returns:
            rows = round(self._config.empty_time / self._config.dt)
            segments.append(held("empty", carry.q[-1], np.zeros(rows), segments[0].Ts_world_object[-1]))
            # A checked path is as good backwards. What the tracker makes of a cup that was upside down is no guide.
            segments.append(self._moving("set down", carry.q[::-1], T_tool_object, watched=False, holds=True))
        if plan.holds:
            opening = self._opening_rows(0.0, self._open_fraction(plan.ranked.grasp))
            segments.append(held("release", segments[-1].q[-1], opening, segments[-1].Ts_world_object[-1]))
        return tuple(segments)

    def leave(self, plan: Plan, q: np.ndarray) -> tuple[Segment, ...] | Refusal:
        """Off the object from q [D] rad: straight back along the approach, else, and after a push, back and up.

        Returns:
            Segments, or why the hand has to stay where it is.
        """
        ranked, opening = plan.ranked, self._open_fraction(plan.ranked.grasp)
        if not plan.holds:
            return self.back_off(q, opening, plan.field)
        config = self._speed(self._config.approach_speed, opening)
        known = ranked.q_approach[::-1] if plan.returns else ranked.q_retreat
        path = check_joint_path(self._arm, q, known, field=plan.field, config=config)
        if not path.ok:  # the carry may end in other joint positions than the ranking
            T = self._arm.frames(q)[-1]
            back = T[:3, :3] @ ranked.grasp.T_world_tool[:3, :3].T @ ranked.grasp.approach
            path = self._straight(q, shifted(T, -_RETREAT * back), plan.field, config)
        if path.ok:
            return (_free("retreat", path.q, opening),)
        return self.back_off(q, opening, plan.field)

    def back_off(self, q: np.ndarray, gripper: float, field: DistanceField) -> tuple[Segment, ...] | Refusal:
        """Back along the hand and up, from q [D] rad; or why that cannot be done."""
        T = self._arm.frames(q)[-1]
        away = shifted(T, self._config.back_off * (0.5 * np.array([0.0, 0.0, 1.0]) - 0.7 * T[:3, 2]))
        path = self._straight(q, away, field, self._speed(self._config.approach_speed, gripper))
        return (_free("back off", path.q, gripper),) if path.ok else Refusal(f"no way back: {path.reason}", final=False)

    def return_home(self, q: np.ndarray, gripper: float, field: DistanceField) -> tuple[Segment, ...] | Refusal:
        """From q [D] rad to the rest position around the scene; or why there is no way."""
        if np.abs(q - self._arm.home).max() < _HOME_SLACK:
            return ()
        config = self._speed(self._config.free_speed, gripper)
        path = plan_joint_path(self._arm, q, self._arm.home, field=field, config=config, rng=self._rng)
        return (_free("return", path.q, gripper),) if path.ok else Refusal(f"no way home: {path.reason}", final=False)

    def _straight(self, q: np.ndarray, T_end: np.ndarray, field: DistanceField, config: OptimizeConfig) -> Trajectory:
        """In a straight line to a tool pose [4, 4]; an arm of five joints keeps to the line, but may turn."""
        weights6 = None if self._arm.dof >= 6 else np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
        line = line_poses(self._arm.frames(q)[-1], T_end)[1:]
        return plan_pose_path(self._arm, q, line, field=field, config=config, weights6=weights6, rng=self._rng)

    def _fields(self, scene: Scene) -> _Fields:
        """Distances to the scene, for whom it matters; objects go into a vessel, hands do not."""
        reference = scene.reference
        rest, whole = self._field(scene), self._field(scene, scene.target.state.points_world)
        if reference is None or reference.kind not in VESSELS:
            return _Fields(rest, whole, rest)
        return _Fields(rest, whole, self._field(scene, vessel_points(reference, filled=True)))

    def _field(self, scene: Scene, *more: np.ndarray) -> DistanceField:
        """Distance to everything but the target, and to more points [M, 3], m."""
        return build_field(np.concatenate([scene.obstacles_world, *more]), scene.table, self._arm.workspace)

    def _grasps(self, scene: Scene, candidate: Candidate) -> list[Grasp]:
        if candidate.contact == "push":
            ways = candidate.Ts_world_object.translation
            return push_contacts(scene.target, ways[-1] - ways[0], scene, self._arm)
        if candidate.contact == "pull":
            return handle_grasps(scene.target, scene, self._arm)
        return object_grasps(scene.target, scene, self._arm, rng=self._rng)

    def _before(
        self, scene: Scene, candidate: Candidate, ranked: RankedGrasp, fields: _Fields
    ) -> tuple[Segment, ...] | str:
        """Approach, reach and grip; a sentence when there is no way to the pregrasp."""
        config = self._config
        opening = self._open_fraction(ranked.grasp)
        with timed(self.timings, "approach"):
            free = self._speed(config.free_speed, max(opening, 0.05))
            path = plan_joint_path(
                self._arm, scene.q, ranked.q_approach[0], field=fields.whole, config=free, rng=self._rng
            )
        if not path.ok:
            return f"no free way to the object ({path.reason})"
        reach = retime(ranked.q_approach, self._arm, config.dt, tool_speed=config.approach_speed)
        still = scene.target.T_world_object.as_matrix()
        approach = replace(_free("approach", path.q, opening, still), watched=True)
        segments = [approach, _free("reach", reach, opening, still)]
        if candidate.contact != "push":
            segments.append(held("grip", reach[-1], self._opening_rows(opening, 0.0), still))
        return tuple(segments)

    def _carry(self, plan: Plan, q: np.ndarray) -> Trajectory:
        """Track the flow with the object in the hand; the joint path of the ranking is the way out."""
        config, ranked = self._config, plan.ranked
        path = ranked.Ts_world_object
        points = carry_flow(plan.scene.target.state.points_world, path)
        flow = Flow3D(points, np.ones(points.shape[:2], bool), plan.candidate.flow.dt)
        T_tool_world = ranked.grasp.T_tool_object @ np.linalg.inv(path[0])
        carried = plan.scene.target.state.points_world @ T_tool_world[:3, :3].T + T_tool_world[:3, 3]
        opening = ranked.grasp.width / self._arm.gripper.max_width
        return optimize(
            self._arm, flow, ranked.grasp.T_tool_object, q, field=plan.field,
            config=self._speed(config.carry_speed, float(np.clip(opening, 0.0, 1.0))),
            carried_points=carried, T_world_object=path[0], known=ranked.q_path, rng=self._rng,
        )  # fmt: skip

    def _moving(self, label: str, q: np.ndarray, T_tool_object: np.ndarray, *, watched: bool, holds: bool) -> Segment:
        """A segment that moves the object with the tool, the gripper closed."""
        objects = np.stack([self._arm.frames(row)[-1] @ T_tool_object for row in q])
        return Segment(label, q, np.zeros(len(q)), objects, watched=watched, holds=holds)

    def _open_fraction(self, grasp: Grasp) -> float:
        return float(np.clip(grasp.opening / self._arm.gripper.max_width, 0.0, 1.0))

    def _opening_rows(self, start: float, end: float) -> np.ndarray:
        config = self._config
        return ramp(start, end, round(config.grip_time / config.dt), round(config.settle_time / config.dt))

    def _speed(self, tool_speed: float, opening: float) -> OptimizeConfig:
        config = self._config
        return OptimizeConfig(dt=config.dt, solver=config.solver, tool_speed=tool_speed, opening=opening)


def _free(label: str, q: np.ndarray, gripper: float, T_world_object: np.ndarray | None = None) -> Segment:
    """A segment with the gripper at one opening while the object, if any, rests."""
    still = np.eye(4) if T_world_object is None else T_world_object
    return Segment(label, q, np.full(len(q), float(gripper)), np.tile(still, (len(q), 1, 1)))
