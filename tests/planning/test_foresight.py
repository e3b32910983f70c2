"""Learned dynamics as what a planner asks."""

import numpy as np
import pytest
import torch

from armflow.perception.particles import ShapeState
from armflow.planning.dynamics import DynamicsError, make_dynamics, shipped_dynamics
from armflow.planning.mppi.contacts import hand_down
from armflow.planning.mppi.foresight import DynamicsForesight, particles_of
from armflow.robot.errors import ChoiceError

TIP = 0.01


def rope(count: int = 60) -> ShapeState:
    along = np.linspace(-0.15, 0.15, count)
    points = np.column_stack([0.4 + along, np.zeros(count), np.full(count, 0.008)])
    return ShapeState("rope", points, np.zeros_like(points), points, 0.0)


def hand(shift: list[float], count: int = 1, at: tuple[float, float, float] = (0.5, 0.0, 0.018)) -> np.ndarray:
    """Paths [count, 6, 3] of the tool, whose fingertips begin at the rope."""
    return np.array(at) + np.linspace(0, 1, 6)[None, :, None] * np.linspace(1, 0.5, count)[:, None, None] * shift


def down(count: int) -> np.ndarray:
    return np.stack([hand_down(0.3)] * count)


def test_fingertips_lie_in_front_of_the_tool():
    tools = DynamicsForesight(make_dynamics("still"), "rope", tip=TIP).tools(hand([0, 0, 0]), down(1), np.ones(1))
    np.testing.assert_allclose(tools.points[0, 0].numpy(), [0.5, 0.0, 0.008], atol=1e-6)


def test_a_batch_of_paths_equals_one_after_the_other():
    predict = DynamicsForesight(shipped_dynamics("rope"), "rope", tip=TIP).start(rope())
    paths, turns = hand([0.0, 0.1, 0.0], 3), down(3)
    together = predict(paths, turns, np.ones(3))
    alone = torch.cat([predict(paths[k : k + 1], turns[:1], np.ones(1)) for k in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_what_is_grasped_goes_along_and_the_far_end_less():
    motion = DynamicsForesight(shipped_dynamics("rope"), "rope", tip=TIP).start(rope())(
        hand([0.0, 0.1, 0.0]), down(1), np.ones(1)
    )
    way = (motion[0, -1].numpy() - rope().points_world)[:, 1]
    held = np.abs(rope().points_world[:, 0] - 0.5) < 0.01
    assert way[held].mean() == pytest.approx(0.1, abs=0.02)
    assert abs(way[:5].mean()) < 0.05


def test_a_path_that_is_not_finite_is_refused():
    predict = DynamicsForesight(make_dynamics("still"), "rope", tip=TIP).start(rope())
    with pytest.raises(DynamicsError, match="not finite"):
        predict(hand([np.nan, 0, 0]), down(1), np.ones(1))


def test_one_particle_is_refused():
    point = np.array([[0.4, 0.0, 0.01]])
    state = ShapeState("rope", point, 0 * point, point, 0.0)
    with pytest.raises(DynamicsError, match="one particle"):
        particles_of(state, torch.zeros(8))


def test_an_unknown_category_is_refused_with_the_choices():
    with pytest.raises(ChoiceError, match="rope, cloth, plush, box"):
        DynamicsForesight(make_dynamics("still"), "spoon", tip=TIP)
