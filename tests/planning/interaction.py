"""Interaction with an object whose motion is known: a bar that a closed tool carries, in the store's format."""

from pathlib import Path

import numpy as np

from armflow.learning.store import DatasetWriter, Recording, infer_schema

FPS = 30


def carried_bar(frames: int, points: int, *, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One episode: the hand waits for half a second, closes, then carries the bar along at a constant velocity."""
    bar = np.column_stack([np.linspace(-0.1, 0.1, points), np.zeros(points), np.full(points, 0.02)])
    bar[:, :2] += rng.uniform(-0.05, 0.05, 2)
    velocity = np.append(rng.uniform(-0.05, 0.05, 2), 0.0)
    time = np.maximum(np.arange(frames) - FPS // 2, 0) / FPS
    path = time[:, None] * velocity
    state = np.zeros((frames, 8), np.float32)
    state[:, :3] = bar.mean(axis=0) + path
    state[:, 3] = 1.0
    state[: FPS // 2, 7] = 1.0
    tracks = (bar + path[:, None]).astype(np.float32)
    material = np.tile(rng.uniform(size=4).astype(np.float32), (frames, 1))
    return {"observation.state": state, "action": state.copy(), "tracks": tracks, "material": material}


def write_interaction(
    folder: Path, episodes: int = 4, *, frames: int = 150, points: int = 20, seed: int = 0, category: str = "rope"
) -> Path:
    """Write a dataset of `episodes` carried bars."""
    rng = np.random.default_rng(seed)
    extra = {"environment": "RopeShape", "category": category, "tool_radius": 0.01, "ground": 0.0}
    drawn = [carried_bar(frames, points, rng=rng) for _ in range(episodes)]
    recordings = [Recording(arrays, np.arange(frames) / FPS, "move the rope") for arrays in drawn]
    with DatasetWriter(folder, infer_schema(recordings[0], FPS, "xarm6", extra)) as writer:
        for recording in recordings:
            writer.add(recording)
    return folder
