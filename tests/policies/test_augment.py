"""Variants of windows: what changes and what must not."""

import numpy as np
import torch

from armflow.policies.augment import displace, exchange, settle
from armflow.policies.play import PlayFields, PlayWindows

FIELDS = PlayFields(observe=(0, 1, 2, 3, 4, 5), goal=(2, 0, 1, 3), alike=((0, 1), (2, 3)), moved=((4, 5),), stride=0.5)


def windows(count: int = 200) -> PlayWindows:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(count, 3, 6, generator=generator)
    return PlayWindows(
        states=states,
        actions=torch.randn(count, 3, 2, 1, generator=generator),
        goals=states[:, -1:, list(FIELDS.goal)] + 1.0,
        valid=torch.ones(count, 3, 2, dtype=torch.bool),
    )


def test_objects_change_places_in_state_and_goal_together() -> None:
    before = windows()
    after = exchange(before, FIELDS, rng=np.random.default_rng(0))
    torch.testing.assert_close(after.goals, after.states[:, -1:, list(FIELDS.goal)] + 1.0)
    swapped = (after.states[:, 0, 0] == before.states[:, 0, 2]).numpy()
    torch.testing.assert_close(after.states[swapped][..., :4], before.states[swapped][..., [2, 3, 0, 1]])
    torch.testing.assert_close(after.states[~swapped], before.states[~swapped])
    assert 0.35 < swapped.mean() < 0.65


def test_a_displaced_robot_still_ends_where_it_was_to_go() -> None:
    before = windows()
    after = displace(before, FIELDS, 0.01, rng=np.random.default_rng(0))
    for column in (4, 5):
        torch.testing.assert_close(
            after.states[:, -1, column] + 0.5 * after.actions[:, -1, 0, 0],
            before.states[:, -1, column] + 0.5 * before.actions[:, -1, 0, 0],
        )
    assert abs(float((after.states - before.states)[:, 0, 4].std()) - 0.01) < 0.002
    torch.testing.assert_close(after.states[..., :4], before.states[..., :4])
    torch.testing.assert_close(after.actions[:, :-1], before.actions[:, :-1])


def test_a_missing_action_stays_nothing_when_the_robot_is_displaced() -> None:
    before = windows()
    before.valid[:, -1] = False
    before.actions[:, -1] = 0.0
    after = displace(before, FIELDS, 0.01, rng=np.random.default_rng(0))
    assert (after.actions[:, -1] == 0).all()


def test_settled_readings_agree_with_their_command() -> None:
    before = windows()
    after = settle(before, FIELDS, 0.5, rng=np.random.default_rng(0))
    settled = (after.states[:, 0, 4] == before.states[:, 0, 5]).numpy()
    assert 0.35 < settled.mean() < 0.65
    torch.testing.assert_close(after.states[settled][..., 4], before.states[settled][..., 5])
    torch.testing.assert_close(after.states[~settled], before.states[~settled])


def test_the_windows_given_are_left_alone() -> None:
    before, kept = windows(), windows()
    rng = np.random.default_rng(0)
    settle(displace(exchange(before, FIELDS, rng=rng), FIELDS, 0.01, rng=rng), FIELDS, 0.5, rng=rng)
    for name, tensor in kept.tensors().items():
        torch.testing.assert_close(before.tensors()[name], tensor)
