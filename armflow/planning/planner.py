"""`Planner`: from a scene and a command to segments of motion, or to the reason why there are none."""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from armflow.perception.flow import Flow3D
from armflow.perception.instruction import Command
from armflow.planning.distance import DistanceField, build_field
from armflow.planning.flow_model.goal_flow import FlowError, FlowModel
from armflow.planning.flow_model.paths import carry_flow, shifted
from armflow.planning.grasp import Grasp, RankedGrasp, handle_grasps, object_grasps, push_contacts, rank_grasps
from armflow.planning.look import VESSELS, vessel_points
from armflow.planning.motion import Segment, held, ramp
from armflow.planning.optimize import OptimizeConfig, Trajectory, line_poses, optimize, plan_joint_path, plan_pose_path
from armflow.planning.scene import Candidate, Scene, Verdict
from armflow.planning.timing import retime
from armflow.planning.verify import GeometricVerifier
from armflow.robot.model import RobotModel
from armflow.robot.stopwatch import timed

__all__ = ["Plan", "Planner", "PlannerConfig", "Refusal"]


_SAME_POSTURE = 0.05  # rad
_RETREAT = 0.08  # m


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
        with timed(self.timings, "field"):
            field = build_field(scene.obstacles_world, scene.table, self._arm.workspace)
            whole = np.concatenate([scene.obstacles_world, scene.target.state.points_world])
            full_field = build_field(whole, scene.table, self._arm.workspace)
            hand_field = self._hand_field(scene) or field
        verdicts: list[Verdict] = []
        refusals: list[str] = []
        grasps: list[Grasp] = []
        candidates = sorted(candidates, key=lambda candidate: -candidate.score)
        for candidate in candidates:
            with timed(self.timings, "verify"):
                verdicts.append(self._verifier.judge(scene, candidate, self._arm))
            if not verdicts[-1].ok:
                continue
            with timed(self.timings, "grasp"):
                if not grasps or candidate.contact == "push":  # only a push depends on where the object goes
                    grasps = self._grasps(scene, candidate)
                result = rank_grasps(grasps, candidate, scene, self._arm, rng=self._rng, field=hand_field, enough=2)
            refusals.append(result.reason)
            for ranked in result.ranked:
                before = self._before(scene, candidate, ranked, full_field)
                if isinstance(before, str):
                    refusals[-1] = before
                    continue
                verdict = verdicts[-1]
                spoken = f"{verdict.reason}; {ranked.grasp.kind} contact {ranked.reason}"
                return Plan(scene, candidate, ranked, replace(verdict, reason=spoken), field, before)
        if refusals:
            return Refusal(f"no grasp allows any of {len(refusals)} motions (first: {refusals[0]})", final=False)
        return Refusal(self._verifier.best(candidates, verdicts).reason, final=False)

    def plan_after_grip(self, plan: Plan, q: np.ndarray) -> tuple[Segment, ...] | Refusal:
        """Plan what follows the grip from where the arm now stands, q [D] rad.

        Returns:
            Segments, the carry first, or the reason why the object cannot be carried on.
        """
        config, candidate, ranked = self._config, plan.candidate, plan.ranked
        carry = self._carry(plan, q)
        if not carry.ok:
            return Refusal(f"carry: {carry.reason}", final=False)
        closed = 0.0
        segments = [self._moving("carry", carry.q, closed, ranked.grasp.T_tool_object, plan.holds)]
        q_end, last = carry.q[-1], segments[0].Ts_world_object[-1]
        if candidate.contact == "grasp" and not candidate.release:
            rows = round(config.empty_time / config.dt)
            segments.append(held("empty", q_end, np.full(rows, closed), last))
            segments.append(
                self._moving(
                    "turn back", carry.q[::-1][: len(carry.q) // 2], closed, ranked.grasp.T_tool_object, holds=True
                )
            )
            return tuple(segments)
        if plan.holds:
            segments.append(held("release", q_end, self._opening_rows(0.0, self._open_fraction(ranked.grasp)), last))
        segments.extend(self._leave(plan, q_end, last))
        return tuple(segments)

    def back_off(self, q: np.ndarray, gripper: float) -> list[Segment]:
        """Back along the hand and up, from q [D] rad, as far as that can be done."""
        T = self._arm.tool(q).as_matrix()
        away = T.copy()
        away[:3, 3] += self._config.back_off * (0.5 * np.array([0.0, 0.0, 1.0]) - 0.7 * T[:3, 2])
        config = self._speed(self._config.approach_speed)
        path = plan_pose_path(self._arm, q, line_poses(T, away)[1:], config=config, rng=self._rng)
        return [_free("back off", path.q, gripper)] if path.ok else []

    def return_home(self, q: np.ndarray, gripper: float, field: DistanceField | None) -> list[Segment]:
        """From q [D] rad to the rest position around the scene; nothing where there is no way."""
        if np.abs(q - self._arm.home).max() < 0.02:
            return []
        path = plan_joint_path(
            self._arm, q, self._arm.home, field=field, config=self._speed(self._config.free_speed), rng=self._rng
        )
        return [_free("return", path.q, gripper)] if path.ok else []

    def _hand_field(self, scene: Scene) -> DistanceField | None:
        """The scene with the reference filled up, where it is a vessel: objects go in there, hands do not."""
        if scene.reference is None or scene.reference.kind not in VESSELS:
            return None
        filled = vessel_points(scene.reference, filled=True)
        return build_field(np.concatenate([scene.obstacles_world, filled]), scene.table, self._arm.workspace)

    def _grasps(self, scene: Scene, candidate: Candidate) -> list[Grasp]:
        if candidate.contact == "push":
            ways = candidate.Ts_world_object.translation
            return push_contacts(scene.target, ways[-1] - ways[0], scene, self._arm)
        if candidate.contact == "pull":
            return handle_grasps(scene.target, scene, self._arm)
        return object_grasps(scene.target, scene, self._arm, rng=self._rng)

    def _before(
        self, scene: Scene, candidate: Candidate, ranked: RankedGrasp, full_field: DistanceField
    ) -> tuple[Segment, ...] | str:
        """Approach, reach and grip; a sentence when there is no way to the pregrasp."""
        config = self._config
        opening = self._open_fraction(ranked.grasp)
        with timed(self.timings, "approach"):
            free = replace(self._speed(config.free_speed), opening=max(opening, 0.05))
            path = plan_joint_path(
                self._arm, scene.q, ranked.q_approach[0], field=full_field, config=free, rng=self._rng
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
        speed = replace(self._speed(config.carry_speed), opening=float(np.clip(opening, 0.0, 1.0)))
        result = optimize(
            self._arm, flow, ranked.grasp.T_tool_object, q, field=plan.field, config=speed,
            carried_points=carried, T_world_object=path[0], rng=self._rng,
        )  # fmt: skip
        if result.ok:
            return result
        rows = np.concatenate([q[None], ranked.q_path[1:]])
        timed = retime(rows, self._arm, config.dt, tool_speed=config.carry_speed, row_dt=plan.candidate.flow.dt)
        return replace(result, q=timed, waypoints=rows, status="ok", reason=f"the ranked path ({result.reason})")

    def _leave(self, plan: Plan, q: np.ndarray, T_world_object: np.ndarray) -> list[Segment]:
        """Off the object: straight back along the approach, or back and up after a push."""
        grasp, q_retreat = plan.ranked.grasp, plan.ranked.q_retreat
        opening = self._open_fraction(grasp)
        if not plan.holds or len(q_retreat) < 2:
            return self.back_off(q, opening)
        # The carry may end in other joint positions than the ranking, and a joint path between the two is no line.
        if np.abs(q - q_retreat[0]).max() < _SAME_POSTURE:
            rows = np.concatenate([q[None], q_retreat[1:]])
            away = retime(rows, self._arm, self._config.dt, tool_speed=self._config.approach_speed)
        else:
            T = self._arm.frames(q)[-1]
            back = T[:3, :3] @ grasp.T_world_tool[:3, :3].T @ grasp.approach
            end = shifted(T, -_RETREAT * back)
            speed = self._speed(self._config.approach_speed)
            away = plan_pose_path(self._arm, q, line_poses(T, end)[1:], config=speed, rng=self._rng).q
        return [_free("retreat", away, opening, T_world_object)]

    def _moving(self, label: str, q: np.ndarray, gripper: float, T_tool_object: np.ndarray, holds: bool) -> Segment:
        """A segment that moves the object with the tool."""
        objects = np.stack([self._arm.frames(row)[-1] @ T_tool_object for row in q])
        return Segment(label, q, np.full(len(q), gripper), objects, watched=True, holds=holds)

    def _open_fraction(self, grasp: Grasp) -> float:
        return float(np.clip(grasp.opening / self._arm.gripper.max_width, 0.0, 1.0))

    def _opening_rows(self, start: float, end: float) -> np.ndarray:
        config = self._config
        return ramp(start, end, round(config.grip_time / config.dt), round(config.settle_time / config.dt))

    def _speed(self, tool_speed: float) -> OptimizeConfig:
        return OptimizeConfig(dt=self._config.dt, solver=self._config.solver, tool_speed=tool_speed)


def _free(label: str, q: np.ndarray, gripper: float, T_world_object: np.ndarray | None = None) -> Segment:
    """A segment with the gripper at one opening while the object, if any, rests."""
    still = np.eye(4) if T_world_object is None else T_world_object
    return Segment(label, q, np.full(len(q), float(gripper)), np.tile(still, (len(q), 1, 1)))
