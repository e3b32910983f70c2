"""`armflow train dynamics`: what `armflow train` does where a model of moving particles is learned."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from armflow.launch.choices import pick
from armflow.robot.errors import StackError

if TYPE_CHECKING:
    from armflow.learning.trainer import Objective, TrainConfig
    from armflow.planning.dynamics.data import Scene

__all__ = ["DYNAMICS", "load_scenes", "prepare"]

DYNAMICS = "dynamics"


class InteractionDataError(StackError):
    """Data that hold no interaction with an object; names the folder."""


def load_scenes(path: Path) -> tuple[list["Scene"], dict[str, Any]]:
    """Read the scenes of one dataset, and what says whether two trainings had the same data.

    Raises:
        InteractionDataError: Not a dataset, or not one of interaction; names the folder and the field.
    """
    from armflow.learning.store import load_table, open_dataset
    from armflow.planning.dynamics.data import COLUMNS, read_scenes

    try:
        features = open_dataset(path).schema.features
        table, schema = load_table(path, [name for name in COLUMNS if name in features])
        scenes = read_scenes(table, schema)
    except StackError as error:
        raise InteractionDataError(f"{path}: {error}") from error
    digest = hashlib.sha256(table.starts.tobytes())
    for name in sorted(table.arrays):
        digest.update(name.encode() + table.arrays[name].tobytes())
    facts = {"episodes": table.episodes, "frames": table.frames, "sha256": digest.hexdigest()[:16]}
    return scenes, {"name": path.name, "category": schema.extra.get("category"), **facts}


def prepare(
    data: tuple[Path, ...], model: str, preset: str, chosen: dict[str, Any]
) -> tuple["Objective", "TrainConfig", dict[str, Any]]:
    """Make objective and settings, and the facts of the data.

    Args:
        data: Datasets; they are learned from together.
        model: fast, pgnd or gbnd.
        preset: A key of `objective.PRESETS`.
        chosen: Settings of the trainer that differ from the preset's.

    Raises:
        StackError: An unknown name, or data that do not fit; says which.
    """
    from armflow.learning.trainer import TrainConfig
    from armflow.planning.dynamics.objective import LEARNED, PRESETS, make_objective

    pick("dynamics model", model, LEARNED)
    usual = PRESETS[pick("preset", preset, PRESETS)][1]
    config = TrainConfig(**{"weight_decay": 1e-4, "precision": "fp32", "ema_decay": 0.995, **usual, **chosen})
    scenes: list[Scene] = []
    facts: list[dict[str, Any]] = []
    for path in data:
        found, fact = load_scenes(path)
        scenes += found
        facts.append(fact)
    together = {"name": ", ".join(fact["name"] for fact in facts)}
    together |= {name: sum(fact[name] for fact in facts) for name in ("episodes", "frames")}
    together["sha256"] = ", ".join(fact["sha256"] for fact in facts)
    return make_objective(scenes, model, preset, seed=config.seed), config, together
