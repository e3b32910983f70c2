"""Goals that ask for something."""

import numpy as np

from armflow.learning.store.table import EpisodeTable
from armflow.policies.aims import first_changes
from armflow.policies.play import PlayConfig, PlayData, PlayFields


def moves() -> EpisodeTable:
    """Two episodes [frame, thing] of 40 frames: the thing stays at 0 until frame 20 and at 1 from there on."""
    state = np.array([(t, float(t >= 20)) for _ in range(2) for t in range(40)], np.float32)
    return EpisodeTable({"observation.state": state, "action": state[:, :1]}, np.array([0, 40, 80]))


def test_the_first_change_is_the_first_later_frame_that_differs_enough() -> None:
    rng = np.random.default_rng(0)
    goals, least = rng.normal(size=(60, 3)).cumsum(axis=0), np.array([1.0, 2.0, 4.0])
    for frame, found in enumerate(first_changes(goals, least)):
        differs = [t for t in range(frame + 1, 60) if (np.abs(goals[t] - goals[frame]) >= least).any()]
        assert found == (differs[0] if differs else 60)


def test_goals_with_a_change_lie_from_the_change_on() -> None:
    config = PlayConfig(window=1, horizon=5, changed_share=1.0, holdout=0.0)
    data = PlayData.split(moves(), PlayFields((0, 1), (1,)), config)[0]
    windows = data.sample(400, rng=np.random.default_rng(0))
    before = windows.states[:, -1, 0] < 20
    assert (windows.goals[before, -1, 0] == 1).all()
    assert before.any()


def test_without_a_change_ahead_goals_are_drawn_as_ever() -> None:
    shares = (0.0, 1.0)
    table, fields = moves(), PlayFields((0, 1), (1,))
    drawn = []
    for share in shares:
        config = PlayConfig(window=1, horizon=5, changed_share=share, holdout=0.0)
        data = PlayData.split(table, fields, config)[0]
        drawn.append(data.windows(np.arange(25, 39), rng=np.random.default_rng(0)).goals)
    assert (drawn[0] == drawn[1]).all()
