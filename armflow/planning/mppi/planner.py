"""From particles and a goal cloud to a hand path: contacts, search, prediction, and what may not be done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from armflow.perception.particles import ShapeState
from armflow.planning.mppi.arm_motion import ArmReach
from armflow.planning.mppi.config import HandLimits, MPPIConfig
from armflow.planning.mppi.contacts import Contact, ContactConfig, find_contacts
from armflow.planning.mppi.objective import CostConfig, Objective
from armflow.planning.mppi.paths import shift
from armflow.planning.mppi.search import Start, search
from armflow.planning.planner import Refusal
from armflow.robot.model import RobotModel

__all__ = ["Foresight", "HandPlan", "Predict", "ShapePlanner", "TouchPlanner", "hand_limits"]

Predict = Callable[[np.ndarray, np.ndarray, np.ndarray], torch.Tensor]
"""Particles [B, T, N, 3] m after hand paths [B, T + 1, 3] m at orientations [B, 4] wxyz with closed [B] fingers."""

ON_THE_WAY = 1e-4  # m that a plan may miss a pose by before it is refused


class Foresight(Protocol):
    """Foretells how an object moves with the hand."""

    def start(self, state: ShapeState) -> Predict:
        """Take what is known of the object now; what does not depend on the hand is computed here, once."""
        ...


@dataclass(frozen=True, slots=True)
class HandPlan:
    """One contact and the hand's path after it.

    Attributes:
        contact: Where and how the object is touched.
        velocities: [T, 3] of the hand, m/s.
        path: [T + 1, 3] of the tool, m.
        dt: Length of a step, s.
        cost: Predicted cost, m.
        still: Cost of leaving the object where it is, m.
        predicted_world: [T + 1, N, 3] particles now and on the way, m.
    """

    contact: Contact
    velocities: np.ndarray
    path: np.ndarray
    dt: float
    cost: float
    still: float
    predicted_world: np.ndarray

    @property
    def gain(self) -> float:
        """How much less it costs than leaving the object alone, m."""
        return self.still - self.cost


class TouchPlanner(Protocol):
    """Plans one touch at a time that brings an object closer to a goal cloud."""

    def objective(self, state: ShapeState, goal: np.ndarray) -> Objective:
        """The cost of motions of this object towards a goal [P, 3], m."""
        ...

    def plan(self, state: ShapeState, goal: np.ndarray, q: np.ndarray) -> HandPlan | Refusal:
        """Choose a contact and a path after it, with the joints at q [D], rad."""
        ...

    def follow_up(
        self, plan: HandPlan, state: ShapeState, goal: np.ndarray, q: np.ndarray, done: int
    ) -> HandPlan | Refusal:
        """Plan on with the contact that the hand has, after `done` steps of the last plan."""
        ...


def hand_limits(arm: RobotModel, speed: float = 0.25, margin: float = 0.002) -> HandLimits:
    """The arm's workspace, its floor raised so that the fingertips stay `margin` (m) above the table."""
    low, high = arm.workspace[0].copy(), arm.workspace[1].copy()
    low[2] = max(low[2], arm.gripper.tip + margin)
    return HandLimits(low, high, speed)


class ShapePlanner:
    """The `TouchPlanner` that searches hand paths with a model of the object.

    Attributes:
        config: How to search.
        limits: Kept by every path.
    """

    def __init__(
        self,
        arm: RobotModel,
        foresight: Foresight,
        *,
        rng: np.random.Generator,
        config: MPPIConfig | None = None,
        limits: HandLimits | None = None,
        costs: CostConfig | None = None,
        contacts: ContactConfig | None = None,
    ) -> None:
        """Take the arm, a model of the object, and settings where they differ from the usual ones."""
        self.config = config or MPPIConfig()
        self.limits = limits or hand_limits(arm)
        self._arm, self._foresight, self._rng = arm, foresight, rng
        self._costs, self._contacts = costs or CostConfig(), contacts or ContactConfig()

    def objective(self, state: ShapeState, goal: np.ndarray) -> Objective:
        """The cost of motions of this object towards a goal [P, 3], m."""
        return Objective(state.points_world, goal, self._costs)

    def plan(self, state: ShapeState, goal: np.ndarray, q: np.ndarray) -> HandPlan | Refusal:
        """Choose a contact and a path after it.

        Args:
            state: The object now.
            goal: [P, 3] where its surface shall be, m, world.
            q: [D] the arm's joints, rad, from which reach is judged.

        Returns:
            The plan, or why there is none.

        Raises:
            ShapeError: An empty cloud, one point alone, or numbers that are not finite.
            DynamicsError: The model cannot foretell this object.
        """
        objective = self.objective(state, goal)
        opening = self._arm.gripper.max_width
        settings = replace(self._contacts, count=self.config.contacts, opening=opening)
        found = find_contacts(state.points_world, goal, self.limits, self.config.steps, self.config.dt, settings)
        if not found:
            return Refusal("nothing of the object is within the arm's workspace", final=True)
        reach = ArmReach(self._arm, q, rng=self._rng)
        missed = reach.excess(np.stack([c.point for c in found])[:, None], np.stack([c.rotation for c in found]))
        able = [contact for contact, miss in zip(found, missed, strict=True) if miss < ON_THE_WAY]
        if not able:
            return Refusal(f"none of {len(found)} contacts is within the arm's reach", final=True)
        return self._search(able, state, objective, reach)

    def follow_up(
        self, plan: HandPlan, state: ShapeState, goal: np.ndarray, q: np.ndarray, done: int
    ) -> HandPlan | Refusal:
        """Plan on with the contact that the hand has: what is left of the last plan after `done` steps, improved.

        Args:
            plan: The last plan.
            state: The object now.
            goal: [P, 3] as in `plan`, m.
            q: [D] the arm's joints now, rad; the path begins at the tool.
            done: Steps of the last plan that were carried out.
        """
        at = np.clip(self._arm.tool(q).translation, self.limits.low, self.limits.high)
        kind = "push" if plan.contact.kind == "push" else "hold"
        held = replace(plan.contact, kind=kind, point=at, guess=shift(plan.velocities, done))
        return self._search([held], state, self.objective(state, goal), ArmReach(self._arm, q, rng=self._rng))

    def _search(
        self, contacts: Sequence[Contact], state: ShapeState, objective: Objective, reach: ArmReach
    ) -> HandPlan | Refusal:
        predict = self._foresight.start(state)
        rotations = np.stack([contact.rotation for contact in contacts])
        closed = np.array([1.0 - contact.opening for contact in contacts])

        def evaluate(index: np.ndarray, paths: np.ndarray) -> np.ndarray:
            motion = predict(paths, rotations[index], closed[index])
            return objective.shape(motion) + objective.hand(paths, lambda p: reach.excess(p, rotations[index]))

        starts = [Start(contact.point, contact.guess) for contact in contacts]
        found = search(starts, evaluate, self.limits, self.config, rng=self._rng)
        if not np.isfinite(found.cost):
            return Refusal("no hand path could be predicted", final=False)
        chosen = contacts[found.contact]
        if reach.excess(found.path[None], chosen.rotation[None])[0] > ON_THE_WAY:
            return Refusal("no path that would help is within the arm's reach", final=False)
        motion = (
            predict(found.path[None], chosen.rotation[None], closed[found.contact : found.contact + 1])[0]
            .double()
            .cpu()
            .numpy()
        )
        motion = np.concatenate([state.points_world[None], motion])
        still = objective.still(state.points_world)
        return HandPlan(chosen, found.velocities, found.path, self.config.dt, found.cost, still, motion)
