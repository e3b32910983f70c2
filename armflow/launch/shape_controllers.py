"""Controllers for things that bend: `mppi` over learned dynamics, and what it is compared with."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from armflow.robot.errors import ChoiceError

if TYPE_CHECKING:
    from armflow.planning.mppi.controller import ShapeController

__all__ = ["PLANNERS", "make_mppi"]

PLANNERS = ("full", "quick", "random")
"""How much is searched: full, quick, or as many samples as full without learning from them (random shooting)."""


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
    from armflow.planning.mppi.foresight import DynamicsForesight

    category = _category(world)
    model = world.arm.model
    foresight = DynamicsForesight(shipped_dynamics(category), category, tip=model.gripper.tip)
    return _controller(model, foresight, category, rng, planner)


def _category(world: Any) -> str:
    """What bends in a world, by the word that its instruction uses."""
    from armflow.planning.dynamics.adapt import CATEGORIES

    words = world.instruction.lower().split()
    found = [category for category in CATEGORIES if category in words]
    if not found or not hasattr(world, "goal_points"):
        from armflow.launch.choices import SOFT_ARMS

        raise ChoiceError("task for this controller", world.task.name, SOFT_ARMS)
    return found[0]


def _controller(arm: Any, foresight: Any, category: str, rng: np.random.Generator, planner: str) -> "ShapeController":
    from armflow.planning.mppi.config import PRESETS
    from armflow.planning.mppi.controller import ShapeController
    from armflow.planning.mppi.planner import ShapePlanner
    from armflow.planning.mppi.watch import CameraWatcher

    config = replace(PRESETS["full"], update=False) if planner == "random" else PRESETS[planner]
    first = ShapePlanner(arm, foresight, rng=rng, config=config)
    again = ShapePlanner(arm, foresight, rng=rng, config=replace(config, samples=16, rounds=2, contacts=1))
    return ShapeController(arm, first, CameraWatcher(arm, category, rng=rng), rng=rng, refine=again)
