"""Small files in the layouts of others, with the arrays that an importer must find in them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

STATE, ACTION = "observation.state", "action"
Episode = dict[str, np.ndarray]
LENGTHS = (5, 8, 3)


def walk(seed: int, frames: int, width: int) -> np.ndarray:
    """Some finite float32 numbers [frames, width]."""
    return np.random.default_rng(seed).normal(size=(frames, width)).astype(np.float32)


def padded(episodes: list[np.ndarray], frames: int) -> np.ndarray:
    """[E, frames, width], zeros after each episode's end."""
    return np.stack([np.pad(episode, ((0, frames - len(episode)), (0, 0))) for episode in episodes])


def mask(frames: int) -> np.ndarray:
    return (np.arange(frames) < np.array(LENGTHS)[:, None]).astype(np.float32)


def plain_episodes(state: int, action: int) -> list[Episode]:
    return [{STATE: walk(i, n, state), ACTION: walk(100 + i, n, action)} for i, n in enumerate(LENGTHS)]


def write_block_push(folder: Path) -> tuple[Path, list[Episode]]:
    episodes, final = plain_episodes(16, 2), walk(7, len(LENGTHS), 16)
    np.savez_compressed(
        folder / "block_push_oracle.npz",
        observations=padded([e[STATE] for e in episodes], 10),
        actions=padded([e[ACTION] for e in episodes], 10),
        masks=mask(10),
        final_observations=final,
        seeds=np.arange(len(LENGTHS), dtype=np.int32),
        solved=np.ones(len(LENGTHS), bool),
        pushes=np.array([[0, 3], [2, 1], [1, -1]], np.int8),
    )
    return folder, [
        {
            STATE: np.concatenate([episode[STATE], last[None]]),
            ACTION: np.concatenate([episode[ACTION], np.zeros((1, 2), np.float32)]),
            "action.valid": np.arange(len(episode[ACTION]) + 1) < len(episode[ACTION]),
        }
        for episode, last in zip(episodes, final, strict=True)
    ]


def write_cbet_push(folder: Path) -> tuple[Path, list[Episode]]:
    episodes = plain_episodes(16, 2)
    np.save(folder / "multimodal_push_observations.npy", padded([e[STATE] for e in episodes], 9).astype(np.float64))
    np.save(folder / "multimodal_push_actions.npy", padded([e[ACTION] for e in episodes], 9).astype(np.float64))
    np.save(folder / "multimodal_push_masks.npy", mask(9).astype(np.float64))
    return folder, episodes


WRITERS: dict[str, Callable[[Path], tuple[Path, list[Episode]]]] = {
    "block-push": write_block_push,
    "cbet-push": write_cbet_push,
}
