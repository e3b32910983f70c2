"""`StraightPlanner`: carries what has the farthest to go straight to where it belongs; plans are compared with it."""

from dataclasses import replace

import numpy as np

from armflow.perception.particles import ShapeState
from armflow.planning.mppi.arm_motion import ArmReach
from armflow.planning.mppi.config import HandLimits, MPPIConfig
from armflow.planning.mppi.contacts import Contact, ContactConfig, find_contacts
from armflow.planning.mppi.objective import Objective
from armflow.planning.mppi.paths import integrate, keep_within, shift
from armflow.planning.mppi.planner import ON_THE_WAY, HandPlan, hand_limits
from armflow.planning.planner import Refusal
from armflow.robot.model import RobotModel

__all__ = ["StraightPlanner"]

_ARRIVED = 0.005  # m left of a path that are not worth going


class StraightPlanner:
    """Knows nothing of how an object moves: it grasps a particle and takes it along a line.

    Attributes:
        limits: Kept by every path.
    """

    def __init__(self, arm: RobotModel, *, rng: np.random.Generator, contacts: ContactConfig | None = None) -> None:
        """Take the arm, and how contacts are chosen."""
        self.limits: HandLimits = hand_limits(arm)
        self._arm, self._rng = arm, rng
        self._contacts = replace(contacts or ContactConfig(), opening=arm.gripper.max_width)
        self._config = MPPIConfig()

    def objective(self, state: ShapeState, goal: np.ndarray) -> Objective:
        """How far an object is from a goal [P, 3], m."""
        return Objective(state.points_world, goal)

    def plan(self, state: ShapeState, goal: np.ndarray, q: np.ndarray) -> HandPlan | Refusal:
        """Choose the contact within reach whose particle has the farthest to go.

        Args:
            state: The object now.
            goal: [P, 3] where its surface shall be, m.
            q: [D] the arm's joints, rad.
        """
        config, reach = self._config, ArmReach(self._arm, q, rng=self._rng)
        found = find_contacts(state.points_world, goal, self.limits, config.steps, config.dt, self._contacts)
        for contact in sorted(found, key=lambda one: -float(np.linalg.norm(one.guess.sum(axis=0)))):
            velocities = keep_within(contact.point, contact.guess, config.dt, self.limits)
            path = integrate(contact.point, velocities, config.dt)
            if reach.excess(path[None], contact.rotation[None])[0] < ON_THE_WAY:
                return self._hand_plan(replace(contact, guess=velocities), path, state, goal)
        return Refusal(f"none of {len(found)} contacts leads anywhere within the arm's reach", final=True)

    def follow_up(
        self, plan: HandPlan, state: ShapeState, goal: np.ndarray, q: np.ndarray, done: int
    ) -> HandPlan | Refusal:
        """What is left of the line after `done` steps; arguments as in `ShapePlanner.follow_up`."""
        velocities = shift(plan.velocities, done)
        left = plan.path[-1] - plan.path[min(done, len(plan.path) - 1)]
        if np.linalg.norm(left) < _ARRIVED:
            return Refusal("the end of the line", final=False)
        velocities[len(velocities) - done :] = 0.0
        path = integrate(plan.path[done], velocities, plan.dt)
        return self._hand_plan(replace(plan.contact, point=path[0], guess=velocities), path, state, goal)

    def _hand_plan(self, contact: Contact, path: np.ndarray, state: ShapeState, goal: np.ndarray) -> HandPlan:
        """A plan that expects all the best and foretells nothing."""
        still = self.objective(state, goal).still(state.points_world)
        return HandPlan(contact, contact.guess, path, self._config.dt, 0.0, still, state.points_world[None])
