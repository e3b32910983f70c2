"""HDF5 files of the robosuite and robomimic kind: data/demo_<k>/{actions, obs/<name>, states}.

Layout: https://robomimic.github.io/docs/datasets/overview.html; Mandlekar et al. (2021), arXiv 2108.03298.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.episodes import ACTION, STATE, as_float, make_recording, make_source
from armflow.learning.store.imports.hdf5 import attribute, children, is_hdf5, leaves, member, open_hdf5, read_dataset
from armflow.learning.store.imports.layout import Source
from armflow.learning.store.imports.parts import Parts, natural_key, split_parts
from armflow.learning.store.schema import Feature, Recording, Schema

__all__ = ["detect_robomimic", "read_robomimic"]

FPS = 20
"""Control rate of robosuite where the file does not say, Hz."""


def detect_robomimic(path: Path) -> bool:
    """Whether this is an HDF5 file (Minari's are told by their name before)."""
    return path.is_file() and is_hdf5(path)


def read_robomimic(path: Path) -> Source:
    """Read demonstrations: all obs as state and cameras, or the simulator's states where there are no obs.

    Goals are the columns of obs/object where there is one, else all.

    Raises:
        DatasetError: The file is damaged or holds no demonstrations.
    """
    with open_hdf5(path) as file:
        data = member(file, "data", path, "")
        demos = sorted(children(data, path, "data"), key=natural_key)
        if not demos:
            raise DatasetError(path, "data", "holds no demonstration")
        facts = _facts(data)
        parts = _observations(data, demos[0], path)
    width = len(parts.names)
    extra = {"observe": list(range(width)), "goal": parts.span("object") or list(range(width)), "angles": []}
    extra |= {"source": {"layout": "robomimic", "environment": facts["environment"]}}
    features = {STATE: Feature("float32", (width,), parts.names)} if width else {}
    return make_source(
        path, _demos(path, demos, facts["task"], facts["fps"]), Schema(facts["fps"], features, "", extra)
    )


def _demos(path: Path, demos: list[str], task: str, fps: float) -> Iterator[Recording]:
    """The demonstrations, one by one."""
    with open_hdf5(path) as file:
        data = file["data"]
        for demo in demos:
            actions = read_dataset(data[demo], "actions", path, f"data/{demo}")
            arrays = _observations(data, demo, path).arrays | {
                ACTION: as_float(actions, 2, path, f"data/{demo}/actions")
            }
            lengths = {name: len(array) for name, array in arrays.items()}
            if len(set(lengths.values())) > 1:
                raise DatasetError(path, f"data/{demo}", f"has arrays of different length: {lengths}")
            yield make_recording(arrays, fps, task)


def _observations(data: Any, demo: str, path: Path) -> Parts:
    """What one demonstration observes."""
    place = f"data/{demo}"
    group = member(data, demo, path, "data")
    if "obs" in children(group, path, place):
        found = {name: array for name, array in leaves(group, "obs", path, place).items() if "depth" not in name}
        return split_parts(found, path, f"{place}/obs")
    return split_parts({"states": read_dataset(group, "states", path, place)}, path, place)


def _facts(data: Any) -> dict[str, Any]:
    """Environment, rate in Hz and sentence, as far as the attributes say."""
    arguments, problem = attribute(data, "env_args"), attribute(data, "problem_info")
    arguments = arguments if isinstance(arguments, dict) else {}
    environment = arguments.get("env_name") or attribute(data, "env", "env_name") or ""
    options = arguments.get("env_kwargs")
    rate = options.get("control_freq") if isinstance(options, dict) else None
    sentence = problem.get("language_instruction") if isinstance(problem, dict) else None
    usable = isinstance(rate, int | float) and not isinstance(rate, bool) and np.isfinite(rate) and 1 <= rate <= 1000
    return {
        "environment": str(environment)[:200],
        "fps": rate if usable else FPS,
        "task": str(sentence or environment or "demonstration")[:500],
    }
