"""Controllers for things that bend: `mppi` over learned dynamics, and what it is compared with."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from armflow.robot.errors import ChoiceError

if TYPE_CHECKING:
    from armflow.planning.mppi.config import MPPIConfig
    from armflow.planning.mppi.controller import ShapeController, ShapeControllerConfig
    from armflow.planning.mppi.objective import CostConfig

__all__ = ["make_mppi", "make_scripted", "make_simulator"]

_LET_GO = {"cloth": 0.5}  # opening of the hand; wider spread fingers would stretch a cloth and keep it
_SAFE = 0.7  # of a task's tolerance, which a look must find before it counts as done


def make_mppi(world: Any, rng: np.random.Generator, planner: str) -> "ShapeController":
    """Goal-conditioned MPPI over the dynamics that come with armflow.

    Args:
        world: Gives the arm's model; the object's category is read from the instruction.
        rng: Source of all random choices.
        planner: One of `PLANNERS`.

    Raises:
        ChoiceError: The task has nothing that bends.
    """
    from armflow.planning.dynamics.load import shipped_dynamics
    from armflow.planning.mppi.contacts import CONTACTS
    from armflow.planning.mppi.controller import ShapeController
    from armflow.planning.mppi.foresight import DynamicsForesight
    from armflow.planning.mppi.planner import ShapePlanner
    from armflow.planning.mppi.watch import CameraWatcher

    category, arm = _category(world), world.arm.model
    foresight = DynamicsForesight(shipped_dynamics(category), category, tip=arm.gripper.tip)
    search = _search(planner)
    again = replace(search, samples=16, rounds=2, contacts=1)
    first, refine = (
        ShapePlanner(arm, foresight, rng=rng, config=one, costs=_costs(world), contacts=CONTACTS[category])
        for one in (search, again)
    )
    watcher = CameraWatcher(arm, category, rng=rng)
    return ShapeController(arm, first, watcher, rng=rng, refine=refine, config=_loop(world))


def make_scripted(world: Any, rng: np.random.Generator) -> "ShapeController":
    """What has the farthest to go is carried straight to its place; no model, the same eyes as `mppi`."""
    from armflow.planning.mppi.contacts import CONTACTS
    from armflow.planning.mppi.controller import ShapeController
    from armflow.planning.mppi.straight import StraightPlanner
    from armflow.planning.mppi.watch import CameraWatcher

    category, arm = _category(world), world.arm.model
    planner = StraightPlanner(arm, rng=rng, contacts=CONTACTS[category])
    return ShapeController(arm, planner, CameraWatcher(arm, category, rng=rng), rng=rng, config=_loop(world))


def make_simulator(world: Any, rng: np.random.Generator, planner: str) -> "ShapeController":
    """MPPI with the true simulator as model and eyes, and named so: a ceiling, never a result."""
    from armflow.launch.shape_truth import SimulatorForesight, TruthWatcher
    from armflow.planning.mppi.contacts import CONTACTS
    from armflow.planning.mppi.controller import ShapeController
    from armflow.planning.mppi.planner import ShapePlanner

    contacts, arm, watcher = CONTACTS[_category(world)], world.arm.model, TruthWatcher(world, rng=rng)
    search, foresight = _search(planner), SimulatorForesight(world, watcher)
    tries = ShapePlanner(arm, foresight, rng=rng, config=search, costs=_costs(world), contacts=contacts)
    whole = replace(_loop(world), steps=search.steps, hold_steps=search.steps)  # nothing to correct on the way
    return ShapeController(arm, tries, watcher, rng=rng, config=whole)


def _loop(world: Any) -> "ShapeControllerConfig":
    """How the loop runs for a task: within its tolerance, and holding on to the object where its words say so."""
    from armflow.planning.mppi.controller import ShapeControllerConfig

    release = _LET_GO.get(_category(world), 1.0)
    keep = "hold" in world.instruction.split()
    return ShapeControllerConfig(threshold=_SAFE * world.task.threshold, release=release, keep=keep)


def _costs(world: Any) -> "CostConfig":
    """What plans cost in a task: what is held in the end may be high."""
    from armflow.planning.mppi.objective import CostConfig

    return CostConfig(height=0.0) if _loop(world).keep else CostConfig()


def _search(planner: str) -> "MPPIConfig":
    from armflow.planning.mppi.config import PRESETS

    return replace(PRESETS["full"], update=False) if planner == "random" else PRESETS[planner]


def _category(world: Any) -> str:
    """What bends in a world, by the word that its instruction uses."""
    from armflow.launch.choices import SOFT_ARMS
    from armflow.planning.dynamics.adapt import CATEGORIES

    words = world.instruction.lower().split()
    found = [category for category in CATEGORIES if category in words]
    if not found or not hasattr(world, "goal_points"):
        raise ChoiceError("task for this controller", world.task.name, SOFT_ARMS)
    return found[0]
