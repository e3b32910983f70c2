"""Windows and goals cut from play."""

import numpy as np
import pytest

from armflow.learning.store.table import EpisodeTable
from armflow.policies.play import PlayConfig, PlayData, PlayDataError, PlayFields, split_episodes

LENGTHS = (7, 4, 9, 5)


def table() -> EpisodeTable:
    """Episodes whose state is [episode, frame] and whose action is [frame]; the last frame has no action."""
    state = [(e, t) for e, length in enumerate(LENGTHS) for t in range(length)]
    starts = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    acted = np.ones(len(state), bool)
    acted[starts[1:] - 1] = False
    arrays = {
        "observation.state": np.array(state, np.float32),
        "action": np.array(state, np.float32)[:, 1:],
        "action.valid": acted,
    }
    return EpisodeTable(arrays, starts)


def data(**settings: object) -> PlayData:
    config = PlayConfig(**{"window": 3, "holdout": 0.0, **settings})
    return PlayData.split(table(), PlayFields((0, 1), (0, 1)), config)[0]


def test_a_window_stays_in_its_episode_and_repeats_the_first_frame() -> None:
    windows = data().windows(np.arange(data().frames), rng=np.random.default_rng(0))
    episode, frame = windows.states[..., 0].numpy(), windows.states[..., 1].numpy()
    assert (episode == episode[:, -1:]).all()
    assert (frame == np.maximum(frame[:, -1:] + np.arange(-2, 1), 0)).all()


def test_actions_belong_to_their_frames_and_do_not_exist_outside_the_episode() -> None:
    windows = data(chunk=4).windows(np.arange(data().frames), rng=np.random.default_rng(0))
    last = windows.states[:, -1].numpy()
    ahead = last[:, 1, None, None] + np.arange(-2, 1)[:, None] + np.arange(4)
    exists = (ahead >= 0) & (ahead < np.array(LENGTHS)[last[:, 0].astype(int)][:, None, None] - 1)
    np.testing.assert_array_equal(windows.valid.numpy(), exists)
    np.testing.assert_array_equal(windows.actions[..., 0].numpy(), np.where(exists, ahead, 0))


def test_every_frame_with_an_action_ends_one_window() -> None:
    windows = data().windows(np.arange(data().frames), rng=np.random.default_rng(0))
    ends = {tuple(row) for row in windows.states[:, -1].numpy().astype(int).tolist()}
    assert ends == {(e, t) for e, length in enumerate(LENGTHS) for t in range(length - 1)}


def test_goals_come_later_in_the_same_episode() -> None:
    windows = data(horizon=3).sample(400, rng=np.random.default_rng(1))
    ahead = (windows.goals[:, 0] - windows.states[:, -1]).numpy()
    assert (ahead[:, 0] == 0).all()
    assert set(ahead[:, 1].astype(int)) == {1, 2, 3}


def test_goals_at_the_end_are_the_last_frame() -> None:
    windows = data(final_share=1.0, goal_frames=2).sample(50, rng=np.random.default_rng(1))
    last = np.array(LENGTHS)[windows.states[:, -1, 0].numpy().astype(int)] - 1
    np.testing.assert_array_equal(windows.goals[:, -1, 1].numpy(), last)
    assert (windows.goals[:, 0, 1] >= windows.states[:, -1, 1]).all()


def test_the_split_leaves_no_episode_out_and_none_twice() -> None:
    train, aside = split_episodes(950, 0.05)
    assert len(aside) == 48
    np.testing.assert_array_equal(np.sort(np.concatenate([train, aside])), np.arange(950))


def test_the_same_seed_gives_the_same_batch() -> None:
    first, second = (data().sample(16, rng=np.random.default_rng(5)).tensors() for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)


def test_fields_outside_the_state_are_refused_by_number() -> None:
    with pytest.raises(PlayDataError, match=r"columns \[9\], but its state has columns 0 to 4"):
        PlayFields.read({"observe": [0, 9], "goal": [1]}, 5)


def test_a_nan_is_refused_with_its_frame() -> None:
    broken = table()
    broken.arrays["action"][6] = np.nan
    with pytest.raises(PlayDataError, match="'action' is not finite at frame 6"):
        PlayData.split(broken, PlayFields((0,), (1,)), PlayConfig())
