"""Controllers by name, and the two that know nothing: `hold` and `random`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from armflow.launch.choices import pick
from armflow.launch.policy_options import PolicyOptions, find_policy
from armflow.perception.observation import Observation
from armflow.policies.policy import Controller
from armflow.robot.chunk import ActionChunk
from armflow.robot.errors import ChoiceError

__all__ = [
    "CONTROLLERS",
    "FOR_SHAPES",
    "LEARNED",
    "ControllerOptions",
    "HoldController",
    "RandomController",
    "make_controller",
]

CONTROL_DT = 0.04  # s, the control period of every simulated arm


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    """What a user may choose about a controller.

    Attributes:
        solver: "banded" (the banded solver) or "cvxpy" (the readable reference).
        planner: How much `mppi` searches, one of `choices.PLANNERS`.
        policy: Checkpoint and sampler of a learned policy.
    """

    solver: str = "banded"
    planner: str = "full"
    policy: PolicyOptions = field(default_factory=PolicyOptions)


@dataclass
class HoldController:
    """Stays where it is for a while and ends: the least a controller can be."""

    seconds: float = 0.4
    chunks_left: int = 0

    def reset(self, instruction: str) -> None:
        """Take a new task in words."""
        self.chunks_left = max(1, round(self.seconds / (10 * CONTROL_DT)))

    def act(self, observation: Observation) -> ActionChunk | None:
        """Hold the measured position for ten steps."""
        if self.chunks_left == 0:
            return None
        self.chunks_left -= 1
        return hold_chunk(observation.q, observation.gripper, 10, observation.stamp)

    def status(self) -> str:
        """Say so."""
        return "held still, as asked"


@dataclass
class RandomController:
    """Wanders about its start in joint space: the floor that any controller must beat."""

    rng: np.random.Generator
    seconds: float = 4.0
    reach: float = 0.2
    chunks_left: int = 0
    q_start: np.ndarray | None = None

    def reset(self, instruction: str) -> None:
        """Take a new task in words, and read none of them."""
        self.chunks_left, self.q_start = round(self.seconds / (10 * CONTROL_DT)), None

    def act(self, observation: Observation) -> ActionChunk | None:
        """Go half-way to a random point within `reach` rad of the start, ten steps at a time."""
        if self.chunks_left == 0:
            return None
        self.chunks_left -= 1
        self.q_start = observation.q if self.q_start is None else self.q_start
        goal = self.q_start + self.rng.uniform(-self.reach, self.reach, self.q_start.shape)
        steps = np.linspace(0.05, 0.5, 10)[:, None]
        q = observation.q + steps * (goal - observation.q)
        return ActionChunk(q, np.full(10, self.rng.integers(2), float), CONTROL_DT, observation.stamp)

    def status(self) -> str:
        """Say so."""
        return "wandered at random, as asked"


def hold_chunk(q: np.ndarray, gripper: float, steps: int, stamp: float) -> ActionChunk:
    """Return a chunk that repeats q [D] rad and one gripper opening for `steps` control periods."""
    return ActionChunk(np.tile(q, (steps, 1)), np.full(steps, float(np.clip(gripper, 0, 1))), CONTROL_DT, stamp)


def _make_flow(world: Any, rng: np.random.Generator, options: ControllerOptions) -> Controller:
    from armflow.planning.controller import FlowController

    return FlowController(world.arm.model, rng=rng, solver=options.solver)


def _make_oracle(world: Any, rng: np.random.Generator, options: ControllerOptions) -> Controller:
    """Reads the simulator's truth, and is named so: an upper bound, never a result."""
    from armflow.launch.oracle import make_oracle

    return make_oracle(world, rng=rng, solver=options.solver)


def _make_learned(method: str | None) -> "Factory":
    """A learned policy: sees the state and goal that the task offers in numbers, and pictures if trained on them."""

    def make(world: Any, rng: np.random.Generator, options: ControllerOptions) -> Controller:
        from armflow.policies.controller import PolicyController, meaning

        loaded = find_policy(world.task.name, method, options.policy)
        agent = loaded.agent(seed=int(rng.integers(2**31)))
        return PolicyController(agent, meaning(loaded.environment, world.arm.model), loaded.method)

    return make


def _make_mppi(world: Any, rng: np.random.Generator, options: ControllerOptions) -> Controller:
    from armflow.launch.shape_controllers import make_mppi

    return make_mppi(world, rng, options.planner)


def _make_scripted(world: Any, rng: np.random.Generator, options: ControllerOptions) -> Controller:
    from armflow.launch.shape_controllers import make_scripted

    return make_scripted(world, rng)


def _make_simulator(world: Any, rng: np.random.Generator, options: ControllerOptions) -> Controller:
    """Plans with the true simulator, and is named so: a ceiling, never a result."""
    from armflow.launch.shape_controllers import make_simulator

    return make_simulator(world, rng, options.planner)


Factory = Callable[[Any, np.random.Generator, ControllerOptions], Controller]
CONTROLLERS: dict[str, Factory] = {
    "flow": _make_flow,
    "oracle": _make_oracle,
    "random": lambda world, rng, options: RandomController(rng),
    "hold": lambda world, rng, options: HoldController(),
    "beso": _make_learned("beso"),
    "policy": _make_learned(None),
    "mppi": _make_mppi,
    "scripted": _make_scripted,
    "mppi-simulator": _make_simulator,
}

FOR_SHAPES = ("mppi", "scripted", "mppi-simulator")  # for tasks whose goal is a cloud of points
NEED_GRIPPER = ("flow", "oracle", *FOR_SHAPES)
LEARNED = ("beso", "policy")  # for tasks that tell state and goal in numbers


def make_controller(name: str, world: Any, options: ControllerOptions, *, rng: np.random.Generator) -> Controller:
    """Make the named controller for one world.

    Args:
        name: A key of `CONTROLLERS`.
        world: A `TaskWorld`; only `oracle` looks inside it, the others take the arm's model from it.
        options: What the user chose.
        rng: Source of every random choice the controller makes.

    Raises:
        ChoiceError: No such controller, or one that needs a gripper where there is none.
    """
    name = pick("controller", name, CONTROLLERS)
    if name in NEED_GRIPPER and not world.arm.model.gripper.joints:
        able = [other for other in CONTROLLERS if other not in NEED_GRIPPER]
        raise ChoiceError(f"controller for {world.arm.model.name}", name, able)
    return CONTROLLERS[name](world, rng, options)
