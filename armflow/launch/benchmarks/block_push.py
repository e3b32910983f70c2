"""How like the benchmark's own simulation BlockPush is: recorded actions played again, without looking.

`python -m armflow.launch.benchmarks.block_push --data block_push_oracle.npz --episodes 20` prints

- how far the end effector is from the recorded one, root mean square over all steps;
- how far a pushed block is from the recorded one ten steps after a recorded moment is set up again;
- how many episodes are solved when their actions are played from the first state to the last.

Pushing with a point is unstable: a tenth of a millimetre at the rod grows to several at the block within ten steps, in
the benchmark's simulation as well. Played from recorded moments, that one is 3.1 mm off (median 1.3 mm).
"""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from armflow.robot.errors import FormatError

if TYPE_CHECKING:
    from armflow.envs.block_push.env import BlockPushEnv

__all__ = ["Fidelity", "compare", "main"]

AHEAD = 10  # steps played from a recorded moment
MOVED = 0.05  # m that the blocks move in them; other moments say nothing about pushing
STRIDE = 15  # recorded moments tried in an episode: every so many of those


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How far from the recordings.

    Attributes:
        effector: [E] root mean square distance of the end effector in each episode, m.
        blocks: [M] distance of the blocks after `AHEAD` steps of pushing, m.
        moved: [M] how far they were pushed, m.
        solved: [E] whether an episode's actions solve it.
    """

    effector: np.ndarray
    blocks: np.ndarray
    moved: np.ndarray
    solved: np.ndarray


def compare(path: Path, episodes: int) -> Fidelity:
    """Play the first episodes of a recording again.

    Args:
        path: The recording, an .npz with observations, actions, masks and final_observations.
        episodes: How many.

    Raises:
        FormatError: The file is no such recording.
    """
    from armflow.envs.block_push.env import BlockPushEnv

    env = BlockPushEnv(rule="any")
    effector, solved, blocks, moved = [], [], [], []
    for states, actions in _recordings(path, episodes):
        off, done = _play_all(env, states, actions)
        effector.append(off)
        solved.append(done)
        for start, distance in _pushing(states):
            blocks.append(_play_from(env, states, actions, start))
            moved.append(distance)
    env.close()
    return Fidelity(*(np.array(values) for values in (effector, blocks, moved, solved)))


def _recordings(path: Path, episodes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """States [T + 1, 16] and actions [T, 2] of each episode."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = ("observations", "actions", "masks", "final_observations")
            states, actions, masks, last = (np.asarray(file[name], float) for name in names)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(path, "recording", f"cannot be read: {error}") from None
    lengths = masks.sum(axis=1).astype(int)[:episodes]
    return [(np.vstack([states[e, :T], last[e]]), actions[e, :T]) for e, T in enumerate(lengths)]


def _play_all(env: "BlockPushEnv", states: np.ndarray, actions: np.ndarray) -> tuple[float, bool]:
    env.reset(options={"state": states[0]})
    square, done = [], False
    for action, recorded in zip(actions, states[1:], strict=True):
        observation, _, ended, _, _ = env.step(action)
        square.append(np.sum((observation["observation"] - recorded)[6:8] ** 2))
        done |= ended
    return float(np.sqrt(np.mean(square))), done


def _pushing(states: np.ndarray) -> list[tuple[int, float]]:
    """Moments from which the blocks move far, and how far, m."""
    blocks = states[:, [0, 1, 3, 4]]
    moved = np.linalg.norm(blocks[AHEAD:] - blocks[:-AHEAD], axis=1)
    return [(int(start), float(moved[start])) for start in np.flatnonzero(moved > MOVED)[::STRIDE]]


def _play_from(env: "BlockPushEnv", states: np.ndarray, actions: np.ndarray, start: int) -> float:
    observation, _ = env.reset(options={"state": states[start]})
    for action in actions[start : start + AHEAD]:
        observation, *_ = env.step(action)
    return float(np.linalg.norm((observation["observation"] - states[start + AHEAD])[[0, 1, 3, 4]]))


@dataclass(frozen=True)
class _Options:
    data: Path
    """The recording, an .npz."""
    episodes: int = 20
    """How many of its episodes."""


def main(arguments: list[str]) -> None:
    """Measure and print."""
    import tyro

    options = tyro.cli(_Options, args=arguments)
    found = compare(options.data, options.episodes)
    print(f"{len(found.solved)} episodes of {options.data.name}")
    print(f"end effector: {1e3 * np.sqrt(np.mean(found.effector**2)):.2f} mm rms a step")
    print(
        f"blocks after {AHEAD} steps of pushing: {1e3 * found.blocks.mean():.1f} mm off on average, "
        f"median {1e3 * np.median(found.blocks):.1f} mm, of {1e3 * found.moved.mean():.0f} mm "
        f"({len(found.blocks)} moments)"
    )
    print(f"whole episodes without looking: {found.solved.sum()} of {len(found.solved)} solved")


if __name__ == "__main__":
    main(sys.argv[1:])
