"""The rope in the second simulator: it keeps its length, rests on the table, and a push moves it."""

import numpy as np
import pytest

from armflow.envs.deformable.free_hand import FreeHand, hand_down
from armflow.envs.deformable.pybullet_rope import SEGMENTS, BulletRope
from armflow.envs.deformable.rope import SIDES, draw_cord
from armflow.robot.embodiments import load_arm


@pytest.fixture(scope="module")
def world():
    made = BulletRope(load_arm("xarm6"))
    made.load(draw_cord(np.array([0.42, 0.0]), rng=np.random.default_rng(1)))
    yield made
    made.close()


def rings(world: BulletRope) -> np.ndarray:
    """Middles of the rope's rings, from end to end, without the caps."""
    return world.vertices().reshape(SEGMENTS + 3, SIDES, 3).mean(axis=1)[1:-1]


def test_the_rope_rests_on_the_table_where_it_was_laid(world):
    heights = world.vertices()[:, 2]
    assert heights.min() > -0.001
    assert heights.max() < 0.021
    assert np.linalg.norm(rings(world).mean(axis=0)[:2] - [0.42, 0.0]) < 0.01


def test_a_push_moves_the_rope_and_keeps_its_length(world):
    before = rings(world)
    middle = before[SEGMENTS // 2]
    along = before[SEGMENTS // 2 + 1] - before[SEGMENTS // 2 - 1]
    across = np.array([-along[1], along[0]]) / np.linalg.norm(along[:2])
    start = np.append(middle[:2] - 0.04 * across, 0.004)
    hand = FreeHand(world, hand_down(start, 0.0, 0.0))
    for share in np.linspace(0.05, 1.0, 20):
        hand.step(hand_down(start + np.append(0.08 * share * across, 0.0), 0.0, 0.0))
    after = rings(world)
    assert world.poisoned is None
    assert (after[SEGMENTS // 2] - middle)[:2] @ across > 0.02
    steps = np.linalg.norm(np.diff(after, axis=0), axis=1)
    assert np.allclose(steps, np.linalg.norm(np.diff(before, axis=0), axis=1), atol=2e-3)
