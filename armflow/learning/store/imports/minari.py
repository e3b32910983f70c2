"""Minari data sets: main_data.hdf5 with one group episode_<k> an episode.

Layout: https://minari.farama.org/content/dataset_standards. Observations have one row more than actions: the last row
becomes a frame without action. Rewards and infos are left out.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.episodes import ACTION, STATE, VALID, as_float, make_recording, make_source
from armflow.learning.store.imports.hdf5 import attribute, children, is_hdf5, leaves, member, open_hdf5
from armflow.learning.store.imports.layout import Source
from armflow.learning.store.imports.parts import Parts, natural_key, split_parts
from armflow.learning.store.schema import Feature, Recording, Schema

__all__ = ["detect_minari", "read_minari"]

FPS = 10
"""Minari does not record a rate; this one is written, Hz."""
MAIN_FILE = "main_data.hdf5"
EPISODE = re.compile(r"episode_\d{1,18}")


def _main_file(path: Path) -> Path:
    """The main file, given it, its folder, or the folder of the data set."""
    places = (path / "data" / MAIN_FILE, path / MAIN_FILE)
    return next((place for place in places if place.is_file()), path)


def detect_minari(path: Path) -> bool:
    """Whether this is Minari's main file or a folder with it."""
    file = _main_file(path)
    return file.is_file() and file.name == MAIN_FILE and is_hdf5(file)


def read_minari(path: Path) -> Source:
    """Read episodes of vector, dictionary and picture observations.

    Of dictionary observations with "observation" and "achieved_goal", the first is what a policy may see and the
    second makes goals; "desired_goal" stays in the state, unused.

    Raises:
        DatasetError: The file is damaged or holds no episodes.
    """
    file_path = _main_file(path)
    with open_hdf5(file_path) as file:
        episodes = sorted(filter(EPISODE.fullmatch, children(file, file_path, "")), key=natural_key)
        if not episodes:
            raise DatasetError(file_path, "episode_0", "is not there; the file holds no episode")
        environment = _environment(file, file_path)
        parts = _observations(file, episodes[0], file_path)
    width = len(parts.names)
    everything = list(range(width))
    extra = {"observe": parts.span("observation") or everything, "goal": parts.span("achieved_goal") or everything}
    extra |= {"angles": [], "source": {"layout": "minari", "environment": environment}}
    features = {STATE: Feature("float32", (width,), parts.names)} if width else {}
    schema = Schema(FPS, features, "", extra)
    return make_source(file_path, _recordings(file_path, episodes, environment or "play"), schema)


def _recordings(path: Path, episodes: list[str], task: str) -> Iterator[Recording]:
    """The episodes, one by one."""
    with open_hdf5(path) as file:
        for episode in episodes:
            arrays = _observations(file, episode, path).arrays
            found = leaves(member(file, episode, path, ""), "actions", path, episode)
            action = [
                as_float(a.reshape(len(a), -1), 2, path, f"{episode}/actions/{n}")
                for n, a in _rows(found, path, episode)
            ]
            yield make_recording(_with_action(arrays, np.concatenate(action, axis=1), path, episode), FPS, task)


def _rows(found: dict[str, np.ndarray], path: Path, episode: str) -> list[tuple[str, np.ndarray]]:
    """Parts of the action in the order of their names, held to one length."""
    lengths = {len(array) if array.ndim else 0 for array in found.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise DatasetError(path, f"{episode}/actions", "is empty, or has parts of different length")
    return sorted(found.items())


def _with_action(arrays: dict[str, np.ndarray], action: np.ndarray, path: Path, episode: str) -> dict[str, np.ndarray]:
    """Add actions, and zeros on the frame after the last one."""
    frames = len(next(iter(arrays.values())))
    if frames != len(action) + 1:
        reason = f"has {len(action)} rows for {frames} observations; one observation more is needed"
        raise DatasetError(path, f"{episode}/actions", reason)
    padded = np.concatenate([action, np.zeros_like(action[:1])])
    return arrays | {ACTION: padded, VALID: np.arange(frames) < len(action)}


def _observations(file: Any, episode: str, path: Path) -> Parts:
    """What one episode observes, T + 1 frames."""
    found = leaves(member(file, episode, path, ""), "observations", path, episode)
    named = {name or "observation": array for name, array in found.items() if array.ndim}
    if not named:
        raise DatasetError(path, f"{episode}/observations", "holds no array")
    return split_parts(named, path, f"{episode}/observations")


def _environment(file: Any, path: Path) -> str:
    """The environment's id: an attribute of the file, or in metadata.json beside it; "" without either."""
    spec = attribute(file, "env_spec")
    try:
        text = (path.parent / "metadata.json").read_text(encoding="utf-8")[:1_000_000]
        spec = spec or json.loads(text).get("env_spec")
        spec = json.loads(spec) if isinstance(spec, str) else spec
    except (OSError, ValueError, AttributeError, RecursionError):
        pass
    return str(spec.get("id", ""))[:200] if isinstance(spec, dict) else ""
