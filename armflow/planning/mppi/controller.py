"""`ShapeController`: look, plan a touch, carry it out in short chunks with replanning, let go, look again.

The episode is one generator, as in `planning.controller`: observations in, chunks out, in the order in which things
happen. The plan is a contact and the hand's path after it (`TouchPlanner`); while the hand holds on, each look gives a
new plan that starts from the rest of the last one, until none is better than letting go.
"""

import logging
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from armflow.perception.cloud import visible_from
from armflow.perception.flow import Flow3D
from armflow.perception.observation import Observation
from armflow.perception.particles import ShapeState
from armflow.planning.motion import ramp
from armflow.planning.mppi.arm_motion import follow, poses, travel
from armflow.planning.mppi.planner import HandPlan, TouchPlanner
from armflow.planning.mppi.watch import Watcher
from armflow.planning.overlay import Overlay
from armflow.planning.planner import Refusal
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.chunk import ActionChunk
from armflow.robot.errors import StackError
from armflow.robot.model import RobotModel
from armflow.robot.stopwatch import timed

__all__ = ["ShapeController", "ShapeControllerConfig"]

_FLAT = 0.03  # m of height, below which all of a cloud is seen from above
_log = logging.getLogger(__name__)
_Script = Generator[ActionChunk, Observation, None]
_Stage = Generator[ActionChunk, Observation, Observation]


@dataclass(frozen=True, slots=True)
class ShapeControllerConfig:
    """How the loop runs.

    Attributes:
        dt: Time between rows of a chunk, s.
        steps: Steps of a plan carried out before the next look.
        threshold: Chamfer distance of the seen object to its goal that counts as done, m.
        touches: Most times that the object is touched.
        hold_steps: Most steps of one touch.
        least_gain: Share of the present cost that a plan must save to be carried out.
        patience: Touches without any gain after which it gives up.
        height: Least height of the tool on its way between contacts, m.
        clearance: Height of the tool above the object's top on that way, m.
        squeeze: Time for closing or opening the hand, s.
        release: Opening that lets the object go.
        keep: Whether the object stays in the hand once it is where it shall be, as what would fall otherwise.
    """

    dt: float = 0.04
    steps: int = 2
    threshold: float = 0.014
    touches: int = 10
    hold_steps: int = 40
    least_gain: float = 0.03
    patience: int = 6
    height: float = 0.15
    clearance: float = 0.06
    squeeze: float = 0.4
    release: float = 1.0
    keep: bool = False


class ShapeController:
    """The `Controller` for objects that change their shape; its only senses are the observations."""

    def __init__(
        self,
        arm: RobotModel,
        planner: TouchPlanner,
        watcher: Watcher,
        *,
        rng: np.random.Generator,
        refine: TouchPlanner | None = None,
        config: ShapeControllerConfig | None = None,
    ) -> None:
        """Take the arm, its planner and its eyes.

        Args:
            arm: The arm.
            planner: Plans touches.
            watcher: Finds and follows the object.
            rng: Source of the arm's free motions.
            refine: Plans on while the hand holds; None for `planner`.
            config: How the loop runs.
        """
        self._arm, self._planner, self._watcher, self._rng = arm, planner, watcher, rng
        self._refine, self._config = refine or planner, config or ShapeControllerConfig()
        self.timings: dict[str, list[float]] = defaultdict(list)
        self.events: list[str] = []
        self.replans = 0

    def reset(self, instruction: str) -> None:
        """Take a new task in words; the goal itself comes with the observations."""
        self._instruction = instruction
        self._script: _Script | None = None
        self._status, self._stamp = "looking", 0.0
        self._seen: ShapeState | None = None
        self._goal = np.zeros((0, 3))
        self._running: HandPlan | None = None
        self._kept = False
        self.timings.clear()
        self.events.clear()
        self.replans = 0

    def act(self, observation: Observation) -> ActionChunk | None:
        """Return the next chunk; None when the goal is met or given up, `status` then says which."""
        self._stamp = observation.stamp
        with timed(self.timings, "act"):
            try:
                if self._script is None:
                    self._script = self._episode(observation)
                    return next(self._script)
                return self._script.send(observation)
            except StopIteration:
                return None
            except StackError as error:
                self._say(f"stopped: {error}")
                return None

    def status(self) -> str:
        """The newest event in words."""
        return self._status

    def overlay(self) -> Overlay:
        """What the controller sees and predicts at this moment, and where the object shall be."""
        points = None if self._seen is None else self._seen.points_world
        flow, plan = None, self._running
        if plan is not None:
            visible = np.ones(plan.predicted_world.shape[:2], bool)
            flow = Flow3D(plan.predicted_world, visible, plan.dt)
        return Overlay(
            flow, points, "hold" if plan is not None else "move", self._status, self._goal if len(self._goal) else None
        )

    def _say(self, sentence: str) -> None:
        self._status = sentence
        self.events.append(f"{self._stamp:6.2f} s  {sentence}")
        _log.info(sentence)

    def _episode(self, observation: Observation) -> _Script:
        """One task from the first look to the last."""
        self._q, self._gripper = observation.q, float(np.clip(observation.gripper, 0.0, 1.0))
        if observation.goal_points is None:
            self._say("stopped: this task tells no goal cloud (goal_points), which this controller needs")
            return
        self._goal = _seen_part(np.asarray(observation.goal_points, float), observation)
        idle, self._gain = 0, self._config.least_gain
        for touch in range(self._config.touches):
            state, near = self._look(observation, first=True)
            if near < self._config.threshold:
                self._say(f"done: {1e3 * near:.1f} mm from the goal after {touch} touches")
                return
            with timed(self.timings, "plan"):
                plan = self._planner.plan(state, self._goal, observation.q)
            why = self._objection(plan)
            if isinstance(plan, Refusal) or why:
                idle += 1
                if idle >= self._config.patience or (isinstance(plan, Refusal) and plan.final):
                    self._say(f"stopped {1e3 * near:.1f} mm from the goal: {why}")
                    return
                observation = yield from self._wait(0.2)
                continue
            self._say(f"touch {touch + 1}: {plan.contact.kind}, {1e3 * near:.1f} mm from the goal")
            observation = yield from self._touch(plan, observation)
            if self._kept:
                return
            after = self._look(observation, first=True)[1]
            idle = 0 if after < near * (1 - self._config.least_gain) else idle + 1
            if idle >= self._config.patience and after >= self._config.threshold:
                self._say(f"stopped {1e3 * after:.1f} mm from the goal: {idle} touches brought nothing")
                return
        near = self._look(observation, first=True)[1]
        met = near < self._config.threshold
        self._say(f"{'done' if met else 'gave up'}: {1e3 * near:.1f} mm from the goal, all touches used")

    def _look(self, observation: Observation, *, first: bool) -> tuple[ShapeState, float]:
        """The object's particles and its Chamfer distance to the goal, m."""
        with timed(self.timings, "perceive"):
            state = self._watcher.start(observation) if first else self._watcher.update(observation)
        self._seen = state
        return state, self._planner.objective(state, self._goal).distance(state.points_world)

    def _objection(self, plan: HandPlan | Refusal) -> str:
        """Why a plan is not worth carrying out, or nothing."""
        if isinstance(plan, Refusal):
            return plan.reason
        if plan.gain < self._config.least_gain * plan.still:
            return f"no plan is better than leaving it (best {1e3 * plan.cost:.1f} mm, now {1e3 * plan.still:.1f} mm)"
        return ""

    def _touch(self, plan: HandPlan, observation: Observation) -> _Stage:
        """Go to the contact, take hold, follow the plan with replanning, let go and go back up."""
        grasp = plan.contact.kind == "grasp"
        T = poses(plan.contact.point[None], plan.contact.rotation[None])[0]
        with timed(self.timings, "travel"):
            way = travel(self._arm, observation.q, T, height=self._height(), dt=self._config.dt, rng=self._rng)
        if isinstance(way, Refusal):
            self._say(f"the contact is out of reach: {way.reason}")
            return (yield from self._wait(0.2))
        observation = yield from self._send(way, plan.contact.ready)
        if grasp:
            observation = yield from self._squeeze(plan.contact.opening)
            self._look(observation, first=False)  # what the fingers took is known before it moves
        observation = yield from self._hold_on(plan, observation)
        self._running = None
        self._kept = grasp and self._config.keep and self._held_well(observation)
        if self._kept:
            return observation
        if grasp:
            observation = yield from self._squeeze(self._config.release)
        return (yield from self._withdraw(self._config.release if grasp else 0.0))

    def _height(self) -> float:
        """Height of the tool on its way between contacts, m: clear of the object."""
        top = 0.0 if self._seen is None else float(self._seen.points_world[:, 2].max())
        return max(self._config.height, top + self._config.clearance)

    def _held_well(self, observation: Observation) -> bool:
        """Whether the object in the hand is where it shall be, or nearly so."""
        near = self._look(observation, first=False)[1]
        well = near < 1.5 * self._config.threshold
        self._say(f"{'done' if well else 'not there'}: held {1e3 * near:.1f} mm from the goal")
        return well

    def _hold_on(self, plan: HandPlan, observation: Observation) -> _Stage:
        """Carry a plan out a few steps at a time; each look makes a new one from what is left of it."""
        config, done = self._config, 0
        while done < config.hold_steps:
            self._running = plan
            rows = self._rows(plan, observation.q)
            if isinstance(rows, Refusal):
                self._say(f"letting go: {rows.reason}")
                return observation
            observation = yield from self._send(rows, self._gripper)
            done += config.steps
            state, near = self._look(observation, first=False)
            if near < config.threshold:
                self._say(f"letting go: {1e3 * near:.1f} mm from the goal")
                return observation
            self.replans += 1
            with timed(self.timings, "replan"):
                following = self._refine.follow_up(plan, state, self._goal, observation.q, config.steps)
            why = self._objection(following)
            if why or isinstance(following, Refusal):
                self._say(f"letting go: {why}")
                return observation
            plan = following
        return observation

    def _rows(self, plan: HandPlan, q: np.ndarray) -> np.ndarray | Refusal:
        """Joint targets [K, D] rad of the plan's first steps from joints q [D]."""
        seconds = min(self._config.steps, len(plan.velocities)) * plan.dt
        times = np.arange(1, max(1, round(seconds / self._config.dt)) + 1) * self._config.dt
        knots = np.arange(len(plan.path)) * plan.dt
        points = np.stack([np.interp(times, knots, column) for column in plan.path.T], axis=1)
        Ts = poses(points, np.tile(plan.contact.rotation, (len(points), 1)))
        return follow(self._arm, q, Ts, self._config.dt, rng=self._rng)

    def _squeeze(self, opening: float) -> _Stage:
        """Close or open the hand where the arm stands."""
        rows = max(2, round(self._config.squeeze / self._config.dt))
        gripper = ramp(self._gripper, opening, rows, rows // 2)
        return (yield from self._send(np.tile(self._q, (len(gripper), 1)), gripper))

    def _withdraw(self, opening: float) -> _Stage:
        """Straight up to travelling height, then to rest, out of the camera's way."""
        height, above = self._height(), self._arm.tool(self._q).as_matrix()
        above[2, 3] = max(above[2, 3], height)
        home = self._arm.tool(self._arm.home).as_matrix()
        observation = None
        for T in (above, home):
            rows = travel(self._arm, self._q, T, height=height, dt=self._config.dt, rng=self._rng)
            if isinstance(rows, Refusal):
                self._say(f"the hand stays: {rows.reason}")
                break
            observation = yield from self._send(rows, opening)
        return observation if observation is not None else (yield from self._wait(0.2))

    def _wait(self, seconds: float) -> _Stage:
        rows = max(1, round(seconds / self._config.dt))
        return (yield from self._send(np.tile(self._q, (rows, 1)), self._gripper))

    def _send(self, q: np.ndarray, gripper: float | np.ndarray) -> _Stage:
        """Send joint targets [K, D] in one chunk, with one opening or one a row [K]."""
        openings = np.broadcast_to(np.asarray(gripper, float), len(q)).copy()
        self._q, self._gripper = q[-1], float(openings[-1])
        return (yield ActionChunk(q, openings, self._config.dt, self._stamp))


def _seen_part(goal: np.ndarray, observation: Observation) -> np.ndarray:
    """The part of a goal cloud [P, 3], m, that the camera would see: particles are of what is seen, too."""
    check_shape("goal_points", goal, "P 3")
    check_finite("goal_points", goal)
    if len(goal) < 4 or np.ptp(goal[:, 2]) < _FLAT:
        return goal
    return goal[visible_from(goal, observation.frame.T_world_camera.translation)]
