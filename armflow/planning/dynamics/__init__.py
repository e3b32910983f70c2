"""Learned dynamics of deformable objects: particles, a grid of velocities, and a tool that edits them.

Names are imported when they are first asked for, since torch and the compiled kernels take a while.
"""

from typing import TYPE_CHECKING

from armflow.robot.lazy import lazy_names

if TYPE_CHECKING:
    from armflow.planning.dynamics.errors import DynamicsError
    from armflow.planning.dynamics.load import MODELS, load_dynamics, make_dynamics, save_dynamics, shipped_dynamics
    from armflow.planning.dynamics.types import DT, HISTORY, DynamicsModel, Particles, ToolPath

_HOMES = {
    "errors": ("DynamicsError",),
    "load": ("MODELS", "load_dynamics", "make_dynamics", "save_dynamics", "shipped_dynamics"),
    "types": ("DT", "HISTORY", "DynamicsModel", "Particles", "ToolPath"),
}

__all__ = [
    "DT",
    "HISTORY",
    "MODELS",
    "DynamicsError",
    "DynamicsModel",
    "Particles",
    "ToolPath",
    "load_dynamics",
    "make_dynamics",
    "save_dynamics",
    "shipped_dynamics",
]

__getattr__ = lazy_names(__name__, _HOMES)
