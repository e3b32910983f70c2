"""Dynamics models by name, new or from a checkpoint's folder."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from armflow.learning.checkpoint import load_checkpoint, save_checkpoint
from armflow.planning.dynamics.adapt import CATEGORIES
from armflow.planning.dynamics.errors import DynamicsError
from armflow.planning.dynamics.types import DynamicsModel
from armflow.robot.errors import ChoiceError, FormatError, StackError

__all__ = ["MODELS", "load_dynamics", "make_dynamics", "save_dynamics", "shipped_dynamics"]

WEIGHTS = Path(__file__).parent / "weights"

# Name -> module of `armflow.planning.dynamics`, class, its configuration's class ("" for none).
MODELS = {
    "fast": ("fast", "FastDynamics", "FastConfig"),
    "pgnd": ("reference", "ReferenceDynamics", "ReferenceConfig"),
    "gbnd": ("gbnd", "GraphDynamics", "GraphConfig"),
    "still": ("constant", "Still", ""),
    "constant_velocity": ("constant", "ConstantVelocity", ""),
    "move_with_tool": ("constant", "MoveWithTool", ""),
}


def make_dynamics(name: str, settings: Mapping[str, Any] | None = None) -> DynamicsModel:
    """Build an untrained model.

    Args:
        name: A key of `MODELS`.
        settings: Fields of its configuration that differ from the usual ones, as `model.settings()` returns them.

    Raises:
        ChoiceError: No model of that name.
        DynamicsError: A setting that the model does not have, or a value that it cannot take.
    """
    if name not in MODELS:
        raise ChoiceError("dynamics model", name, MODELS)
    home, model, config = MODELS[name]
    module = importlib.import_module(f"armflow.planning.dynamics.{home}")
    if not config:
        return getattr(module, model)()
    try:
        return getattr(module, model)(getattr(module, config)(**dict(settings or {})))
    except TypeError as error:
        raise DynamicsError(f"settings of {name}", str(error)) from error


def save_dynamics(
    directory: str | Path, name: str, model: DynamicsModel, facts: Mapping[str, Any] | None = None
) -> None:
    """Write a checkpoint that `load_dynamics` reads, with further JSON facts in its configuration.

    Raises:
        WriteError: The place is full, read-only or not a folder.
    """
    save_checkpoint(directory, model.state_dict(), {**(facts or {}), "method": name, "model": model.settings()})


def load_dynamics(path: str | Path) -> DynamicsModel:
    """Read a trained model, in evaluation mode, onto the processor.

    Raises:
        FormatError: A file is missing or broken, or weights and configuration do not belong together.
    """
    checkpoint = load_checkpoint(path)
    config = Path(path) / "config.json"
    settings = checkpoint.config.get("model", {})
    if not isinstance(settings, Mapping):
        raise FormatError(config, "model", f"must be an object with the model's settings; got {settings!r}")
    try:
        model = make_dynamics(checkpoint.config["method"], settings)
    except StackError as error:
        raise FormatError(config, "model", str(error)) from error
    try:
        model.load_state_dict(checkpoint.tensors)
    except RuntimeError as error:
        raise FormatError(Path(path) / "model.safetensors", "tensors", f"do not fit {config.name}: {error}") from error
    return model.eval()


def shipped_dynamics(category: str) -> DynamicsModel:
    """The trained model that comes with armflow for a category of objects: its own, or the one of all categories.

    Raises:
        ChoiceError: No such category.
    """
    if category not in CATEGORIES:
        raise ChoiceError("category with shipped dynamics", category, CATEGORIES)
    own = WEIGHTS / category
    return load_dynamics(own if own.is_dir() else WEIGHTS / "all")
