"""Replay buffers in zarr, as diffusion policy keeps them: data/<name> [F, ...] end to end, meta/episode_ends [E].

Layout: Chi et al. (2023), arXiv 2303.04137, and its public ReplayBuffer.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.arrays import npz_names
from armflow.learning.store.imports.episodes import ACTION, STATE, as_float, make_recording, make_source
from armflow.learning.store.imports.layout import Source
from armflow.learning.store.imports.parts import Parts, split_parts
from armflow.learning.store.imports.zarr_store import ZarrArray, open_store
from armflow.learning.store.schema import Feature, Recording, Schema

__all__ = ["detect_replay_buffer", "read_replay_buffer"]

FPS = 10
"""Rate of buffers without data/timestamp, Hz."""
STATES = ("state", "obs")
"""The array that is the state, where there is one; else all numbers side by side."""
APART = ("action", "timestamp")


def detect_replay_buffer(path: Path) -> bool:
    """Whether this is a folder, or a .zip, with meta/episode_ends."""
    if path.is_dir():
        return (path / "meta" / "episode_ends").is_dir()
    return path.suffix == ".zip" and any("meta/episode_ends/" in name for name in npz_names(path))


def read_replay_buffer(path: Path) -> Source:
    """Read actions, state and pictures; depth and what is neither number nor picture is left out.

    Raises:
        DatasetError: An array is missing, damaged, of another length, or not finite.
    """
    store = open_store(path)
    if store.read("zarr.json") is not None:
        raise DatasetError(path, "zarr.json", "is zarr format 3; save the buffer with zarr_format=2")
    names = store.arrays("data")
    if "action" not in names:
        raise DatasetError(path, "data/action", f"is not there; data has {', '.join(names) or 'nothing'}")
    ends = _episode_ends(ZarrArray(store, "meta/episode_ends", path))
    wanted = [*APART, *(name for name in _observed(names))]
    arrays = {name: ZarrArray(store, f"data/{name}", path) for name in wanted if name in names}
    short = [name for name, array in arrays.items() if array.shape[0] < ends[-1]]
    if short:
        reason = f"has {arrays[short[0]].shape[0]} rows; the last episode ends at {ends[-1]}"
        raise DatasetError(path, f"data/{short[0]}", reason)
    fps = _rate(arrays["timestamp"], int(ends[0])) if "timestamp" in arrays else FPS
    parts = _parts(arrays, 0, 1, path)
    everything = list(range(len(parts.names)))
    extra = {"observe": everything, "goal": everything, "angles": [], "source": {"layout": "zarr"}}
    features = {STATE: Feature("float32", (len(everything),), parts.names)} if everything else {}
    return make_source(path, _recordings(arrays, ends, fps, path), Schema(fps, features, "", extra))


def _observed(names: list[str]) -> list[str]:
    """Arrays to observe: the state and whatever may be pictures, or everything where no array is the state."""
    state = next((name for name in STATES if name in names), None)
    others = [name for name in names if name not in APART and "depth" not in name]
    if state is None:
        return others
    return [name for name in others if name == state or _pictures(name)]


def _pictures(name: str) -> bool:
    """Whether an array's name says that it holds pictures."""
    return any(word in name for word in ("img", "image", "rgb", "camera"))


def _episode_ends(array: ZarrArray) -> np.ndarray:
    """[E] int64 row after each episode's last.

    Raises:
        DatasetError: Not integers, empty, or not rising from above 0.
    """
    if len(array.shape) != 1 or array.dtype.kind not in "iu" or not array.shape[0]:
        raise DatasetError(array.path, array.key, f"is {array.dtype} {array.shape}; integers [episodes] are needed")
    ends = array.rows(0, array.shape[0]).astype(np.int64)
    if ends[0] < 1 or (np.diff(ends) < 1).any():
        raise DatasetError(array.path, array.key, "must rise from above 0; an episode would be empty")
    return ends


def _rate(stamps: ZarrArray, frames: int) -> float:
    """Rate of the first episode's time stamps, Hz; `FPS` where they do not tell."""
    steps = np.diff(stamps.rows(0, frames).astype(np.float64).ravel())
    step = float(np.median(steps)) if len(steps) else 1 / FPS
    return round(1 / step, 3) if 1e-3 <= step <= 100 else FPS


def _parts(arrays: dict[str, ZarrArray], start: int, stop: int, path: Path) -> Parts:
    """Observations of some rows."""
    found = {name: array.rows(start, stop) for name, array in arrays.items() if name not in APART}
    return split_parts(found, path, f"data, rows {start} to {stop}")


def _recordings(arrays: dict[str, ZarrArray], ends: np.ndarray, fps: float, path: Path) -> Iterator[Recording]:
    """The episodes, one by one."""
    for start, stop in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        action = as_float(arrays["action"].rows(start, stop), 2, path, f"data/action, rows from {start} on")
        yield make_recording(_parts(arrays, start, stop, path).arrays | {ACTION: action}, fps, "demonstration")
