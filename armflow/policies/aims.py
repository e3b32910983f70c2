"""Later frames that ask for something: relabelled goals in which things have moved.

In long play the next seconds often change nothing that a goal speaks of: a hand comes near, waits, wanders. A policy
told such goals learns to play on whatever it is asked, and the few that tell one act from another are lost among them.
"""

import numpy as np

__all__ = ["first_changes"]


def first_changes(goals: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Find, for each frame of an episode, the first later frame at which a goal column has moved by at least so much.

    Args:
        goals: [T, G] goal columns of the frames.
        least: [G] how much counts.

    Returns:
        [T] frames; T where nothing moves any more.
    """
    frames = len(goals)
    far = np.zeros((frames, frames), bool)
    for column, enough in zip(goals.T, least, strict=True):
        far |= np.abs(column[None] - column[:, None]) >= enough
    far &= np.arange(frames)[None] > np.arange(frames)[:, None]
    return np.where(far.any(axis=1), far.argmax(axis=1), frames)
