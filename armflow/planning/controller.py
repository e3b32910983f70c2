"""`FlowController`: look, predict the flow, check it, grasp, move, watch, look again.

The whole episode is one generator, `_episode`, that takes observations and gives chunks, so that it reads in the order
in which things happen. Whatever goes wrong on the way raises `_Interrupted`; the arm stops, lets go, returns and looks
again, until the attempts are used up.
"""

import logging
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from armflow.perception.instruction import parse_instruction
from armflow.perception.observation import Observation
from armflow.perception.track import PointTracker
from armflow.planning.flow_model.goal_flow import FlowModel, GoalFlow
from armflow.planning.look import CameraEyes, Eyes, build_scene, robot_capsules
from armflow.planning.motion import Segment, held, ramp
from armflow.planning.outcome import judge_outcome
from armflow.planning.overlay import Overlay
from armflow.planning.planner import Plan, Planner, PlannerConfig, Refusal
from armflow.planning.scene import Verdict
from armflow.planning.verify.monitor import Monitor
from armflow.robot.chunk import ActionChunk
from armflow.robot.model import RobotModel
from armflow.robot.stopwatch import timed

__all__ = ["FlowController", "FlowControllerConfig"]

_log = logging.getLogger(__name__)
_Script = Generator[ActionChunk, Observation, None]
_Stage = Generator[ActionChunk, Observation, Observation]


@dataclass(frozen=True, slots=True)
class FlowControllerConfig:
    """How the loop runs.

    Attributes:
        dt: Control period, s.
        chunk_rows: Rows per chunk; the monitor looks once a chunk.
        attempts: Plans made before giving up.
        lost_opening: Measured opening below which the closed gripper holds nothing, fraction.
    """

    dt: float = 0.04
    chunk_rows: int = 5
    attempts: int = 4
    lost_opening: float = 0.02


class _Interrupted(Exception):  # noqa: N818 - a signal between stages, never seen outside
    """The running plan cannot go on."""


class FlowController:
    """The `Controller` that plans by 3D flow; its only senses are the observations."""

    def __init__(
        self,
        arm: RobotModel,
        *,
        rng: np.random.Generator,
        eyes: Eyes | None = None,
        flow_model: FlowModel | None = None,
        solver: str = "banded",
        config: FlowControllerConfig | None = None,
    ) -> None:
        """Take an arm and, where they differ from the usual ones, the eyes, the flow model and the solver."""
        self._arm = arm
        self._config = config or FlowControllerConfig()
        self._eyes = eyes or CameraEyes(arm, rng=rng)
        self._planner = Planner(
            arm, flow_model or GoalFlow(), rng=rng, config=PlannerConfig(dt=self._config.dt, solver=solver)
        )
        self._tracker = PointTracker()
        self.timings: dict[str, list[float]] = defaultdict(list)
        self.events: list[str] = []
        self.replans = 0

    def reset(self, instruction: str) -> None:
        """Take a new task in words.

        Raises:
            InstructionError: The sentence cannot be understood.
        """
        self._command = parse_instruction(instruction)
        self._script: _Script | None = None
        self._status, self._stage, self._stamp = "looking", "look", 0.0
        self._plan: Plan | None = None
        self._tracked: np.ndarray | None = None
        self.timings.clear()
        self.events.clear()
        self.replans = 0

    def act(self, observation: Observation) -> ActionChunk | None:
        """Return the next chunk; None when the task is done or given up, `status` then says which."""
        self._stamp = observation.stamp
        with timed(self.timings, "act"):
            try:
                if self._script is None:
                    self._script = self._episode(observation)
                    return next(self._script)
                return self._script.send(observation)
            except StopIteration:
                return None

    def status(self) -> str:
        """The newest event in words."""
        return self._status

    def overlay(self) -> Overlay:
        """What the controller predicts and sees at this moment."""
        flow = self._plan.candidate.flow if self._plan is not None else None
        return Overlay(flow, self._tracked, self._stage, self._status)

    def _say(self, sentence: str) -> None:
        self._status = sentence
        self.events.append(f"{self._stamp:6.2f} s  {sentence}")
        _log.info(sentence)

    def _episode(self, observation: Observation) -> _Script:
        """One task from the first look to the last."""
        self._q, self._gripper = observation.q, float(np.clip(observation.gripper, 0.0, 1.0))
        why = "none made"
        for attempt in range(self._config.attempts):
            self.replans = attempt
            plan = self._make_plan(observation)
            if isinstance(plan, Refusal):
                if plan.final or attempt + 1 == self._config.attempts:
                    self._say(f"stopped: {plan.reason}")
                    return
                self._say(f"{plan.reason}; looking again")
                observation = yield from self._send(held("wait", self._q, np.full(10, self._gripper), np.eye(4)))
                continue
            try:
                observation = yield from self._carry_out(plan, observation)
            except _Interrupted as interrupted:
                why = str(interrupted)
                self._say(f"{why}; replanning")
                observation = yield from self._recover(plan)
                continue
            observation = yield from self._return_home(plan, observation)
            verdict = self._judge(plan, observation)
            if verdict.ok:
                self._say(f"done: {verdict.reason}")
                return
            why = verdict.reason
            self._say(f"not yet: {why}")
        self._say(f"gave up after {self._config.attempts} attempts: {why}")

    def _make_plan(self, observation: Observation) -> Plan | Refusal:
        """Look, build the scene, plan; starts the tracker on success."""
        self._stage, self._plan, self._tracked = "look", None, None
        with timed(self.timings, "perceive"):
            objects = self._eyes.see(observation)
        scene = build_scene(objects, self._command, observation.frame, observation.q)
        if isinstance(scene, str):
            return Refusal(scene, final=False)
        with timed(self.timings, "plan"):
            plan = self._planner.plan(scene, self._command)
        for stage, milliseconds in self._planner.timings.items():
            self.timings[stage].extend(milliseconds)
        self._planner.timings.clear()
        if isinstance(plan, Plan):
            self._tracker.start(observation.frame, scene.target)
            self._T_tracked = scene.target.T_world_object.as_matrix()
            self._plan = plan
            self._say(plan.verdict.reason)
        return plan

    def _carry_out(self, plan: Plan, observation: Observation) -> _Stage:
        """Run the plan's stages; those after the grip are planned from what was then measured."""
        for segment in plan.before:
            observation = yield from self._follow(plan, segment, observation)
        if plan.holds and observation.gripper < self._config.lost_opening:
            raise _Interrupted("the gripper closed on nothing")
        with timed(self.timings, "optimize"):
            after = self._planner.plan_after_grip(plan, observation.q)
        if isinstance(after, Refusal):
            raise _Interrupted(after.reason)
        for segment in after:
            observation = yield from self._follow(plan, segment, observation)
        with timed(self.timings, "leave"):
            away = self._planner.leave(plan, self._q)
        return (yield from self._move_off("leave", away, observation))

    def _follow(self, plan: Plan, segment: Segment, observation: Observation) -> _Stage:
        """Send a segment chunk by chunk, watching the object where it can be watched."""
        self._stage = segment.label
        # In the hand an object hides behind the fingers and is followed less well; a lost one shows in the opening too.
        monitor = Monitor(threshold_m=0.05, patience=3) if segment.holds else Monitor()
        for start in range(0, len(segment.q), self._config.chunk_rows):
            observation = yield self._chunk(segment, start)
            if segment.watched:
                expected = segment.Ts_world_object[min(start + self._config.chunk_rows, len(segment.q)) - 1]
                self._watch(plan, segment, monitor, expected, observation)
            if segment.holds and observation.gripper < self._config.lost_opening:
                raise _Interrupted(f"{segment.label}: the object slipped out of the gripper")
        return observation

    def _watch(
        self, plan: Plan, segment: Segment, monitor: Monitor, expected: np.ndarray, observation: Observation
    ) -> None:
        """Compare the tracked object with the prediction; raise when they part."""
        with timed(self.timings, "track"):
            capsules = robot_capsules(self._arm, observation)
            tracked = self._tracker.update(observation.frame, robot_capsules=capsules, predicted=expected)
        self._tracked = tracked.points_world[tracked.visible]
        if not tracked.lost:
            self._T_tracked = tracked.T_world_object
        elif segment.holds:  # hidden in the hand, it goes where the hand goes
            self._T_tracked = self._arm.frames(observation.q)[-1] @ plan.ranked.grasp.T_tool_object
        start = plan.scene.target.T_world_object.as_matrix()
        motion = expected @ np.linalg.inv(start)
        predicted = self._tracker.points_start @ motion[:3, :3].T + motion[:3, 3]
        verdict = monitor.update(predicted, tracked.points_world, tracked.visible)
        if not verdict.ok:
            raise _Interrupted(f"{segment.label}: {verdict.reason}")

    def _judge(self, plan: Plan, observation: Observation) -> Verdict:
        """Look once more and judge the outcome."""
        self._stage = "check"
        with timed(self.timings, "perceive"):
            objects = self._eyes.see(observation)
        return judge_outcome(self._command, plan.scene, plan.candidate, objects, self._T_tracked)

    def _recover(self, plan: Plan) -> _Stage:
        """Stop where the last chunk ended, let go, back off along the hand, return home."""
        self._stage = "recover"
        observation = yield from self._send(held("stop", self._q, np.full(4, self._gripper), np.eye(4)))
        if plan.holds:
            opening = ramp(self._gripper, 1.0, 8, 2)
            observation = yield from self._send(held("let go", self._q, opening, np.eye(4)))
        away = self._planner.back_off(self._q, self._gripper, plan.field)
        observation = yield from self._move_off("recover", away, observation)
        return (yield from self._return_home(plan, observation))

    def _return_home(self, plan: Plan, observation: Observation) -> _Stage:
        """Go back to the rest position, out of the camera's way, around what was last seen."""
        home = self._planner.return_home(self._q, self._gripper, plan.field)
        return (yield from self._move_off("return", home, observation))

    def _move_off(self, stage: str, segments: tuple[Segment, ...] | Refusal, observation: Observation) -> _Stage:
        """Run segments that lead away from the object; where there are none, stay and say why."""
        self._stage = stage
        if isinstance(segments, Refusal):
            self._say(f"{stage}: the hand stays, {segments.reason}")
            return observation
        for segment in segments:
            observation = yield from self._send(segment)
        return observation

    def _send(self, segment: Segment) -> _Stage:
        """Run a segment that nobody watches."""
        observation = None
        for start in range(0, len(segment.q), self._config.chunk_rows):
            observation = yield self._chunk(segment, start)
        assert observation is not None
        return observation

    def _chunk(self, segment: Segment, start: int) -> ActionChunk:
        """Cut the next chunk from a segment and remember what was asked for."""
        rows = slice(start, start + self._config.chunk_rows)
        self._q, self._gripper = segment.q[rows][-1], float(segment.gripper[rows][-1])
        return ActionChunk(segment.q[rows], segment.gripper[rows], self._config.dt, self._stamp)
