"""Things that bend, in MuJoCo: a rope keeps its length and comes to rest, and episodes repeat."""

import numpy as np
import pytest

from armflow.envs.deformable.episode import SoftTaskWorld
from armflow.envs.deformable.goals import SHAPES, chamfer, drawn_shape
from armflow.envs.deformable.rope import SEGMENTS
from armflow.robot.errors import ChoiceError, ValueRangeError


@pytest.fixture(scope="module")
def episode() -> SoftTaskWorld:
    return SoftTaskWorld("RopeShape", "xarm6", camera_size=(64, 48), noise=False)


def rope_steps(episode: SoftTaskWorld) -> np.ndarray:
    starts = np.array([episode.world.data.body(f"rope_{k}").xpos for k in range(SEGMENTS)])
    return np.linalg.norm(np.diff(starts, axis=0), axis=1)


def test_episodes_repeat_bit_for_bit(episode: SoftTaskWorld) -> None:
    seen = []
    for _ in range(2):
        episode.reset(np.random.default_rng(3))
        seen.append((episode.world.vertices(), episode.goal_points()))
    assert np.array_equal(seen[0][0], seen[1][0])
    assert np.array_equal(seen[0][1], seen[1][1])


def test_rope_keeps_its_length_under_random_actions(episode: SoftTaskWorld) -> None:
    rng = np.random.default_rng(0)
    episode.reset(rng)
    before = rope_steps(episode)
    for _ in range(45):
        q = episode.arm.read_q() + rng.uniform(-0.2, 0.2, 6)
        episode.arm.command(q, float(rng.uniform()))
    assert episode.failure() is None
    assert np.allclose(rope_steps(episode), before, atol=1e-9)


def test_rope_comes_to_rest_on_the_table(episode: SoftTaskWorld) -> None:
    episode.reset(np.random.default_rng(1))
    heights = episode.world.vertices()[:, 2]
    assert heights.min() > -0.002
    assert heights.max() < 0.025


def test_restoring_a_state_repeats_what_followed(episode: SoftTaskWorld) -> None:
    episode.reset(np.random.default_rng(2))
    saved, ends = episode.world.save(), []
    q = episode.arm.read_q()
    for _ in range(2):
        episode.world.restore(saved)
        for k in range(8):
            episode.world.step(q + 0.02 * (k + 1), 0.5)
        ends.append(episode.world.vertices())
    assert np.array_equal(*ends)


@pytest.mark.parametrize("name", SHAPES)
def test_drawn_shapes_have_the_length_that_was_asked_for(name: str) -> None:
    points = drawn_shape(name, 0.3, 400)
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).sum() == pytest.approx(0.3, rel=0.01)


def test_chamfer_of_a_shifted_plane_is_its_shift() -> None:
    plane = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0), [0.0]), -1).reshape(-1, 3)
    assert chamfer(plane, plane + np.array([0.0, 0.0, 0.1])) == pytest.approx(0.1)


def test_chamfer_refuses_an_empty_cloud() -> None:
    with pytest.raises(ValueRangeError, match="cloud a"):
        chamfer(np.zeros((0, 3)), np.zeros((4, 3)))


def test_rope_shape_refuses_other_arms() -> None:
    with pytest.raises(ChoiceError, match="arm for RopeShape"):
        SoftTaskWorld("RopeShape", "panda")
