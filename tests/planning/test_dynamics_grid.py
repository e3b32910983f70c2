"""The grid of learned dynamics: the spline, the edits and the anchors."""

import numpy as np
import pytest
import torch

from armflow.planning.dynamics import Particles, ToolPath
from armflow.planning.dynamics.edits import carry, inside, keep_above, push, window
from armflow.planning.dynamics.fast_anchors import make_anchors
from armflow.planning.dynamics.fast_kernels import farthest_points
from armflow.planning.dynamics.fast_messages import messages, messages_plain
from armflow.planning.dynamics.fast_network import tool_features
from armflow.planning.dynamics.grid import GridConfig, place_grid
from armflow.planning.dynamics.spline import active_nodes, gather, gather_plain, scatter, scatter_plain, spline_weights
from armflow.planning.dynamics.types import tool_steps
from armflow.robot.errors import ValueRangeError

CELLS = 12


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def places(P: int = 30) -> torch.Tensor:
    return 1 + (CELLS - 3) * numbers(1, P, 3)


def test_spline_weights_sum_to_one_and_reproduce_lines():
    u = places()
    found = active_nodes(u, CELLS)
    weights = spline_weights(u[0])
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(30, dtype=torch.float64))
    torch.testing.assert_close(gather(u[0], found.slots[0], found.nodes.double()), u[0])
    assert float(weights.min()) >= 0


def test_active_nodes_are_those_of_each_sample_once():
    u = torch.cat((places(), places() + 0.4))
    found = active_nodes(u, CELLS)
    rows = torch.cat((found.owners[:, None], found.nodes), dim=1)
    assert len(torch.unique(rows, dim=0)) == len(rows) == int(found.slots.max()) + 1
    base = torch.floor(u - 0.5).int()
    assert torch.equal(found.nodes[found.slots.long()].amin(dim=2), base)
    assert torch.equal(found.nodes[found.slots.long()].amax(dim=2), base + 2)
    assert torch.equal(found.owners[found.slots.long()], torch.arange(2).int()[:, None, None].expand(2, 30, 27))


@pytest.mark.parametrize("back", [False, True])
def test_compiled_and_plain_splines_agree_in_value_and_gradient(back: bool):
    u = places()
    found = active_nodes(u, CELLS)
    slots, M = found.slots[0], len(found.nodes)
    values = numbers(M if back else 30, 5, seed=1)
    outs = []
    for spread, read in ((scatter, gather), (scatter_plain, gather_plain)):
        at, given = u[0].clone().requires_grad_(), values.clone().requires_grad_()
        out = read(at, slots, given) if back else spread(at, slots, given, M)
        outs.append((out, *torch.autograd.grad((out * numbers(*out.shape, seed=2)).sum(), (at, given))))
    for fast, plain in zip(*outs, strict=True):
        torch.testing.assert_close(fast, plain)


def test_a_push_leaves_nothing_closing_in_and_the_rest_alone():
    arms, velocity, tool = 0.1 * (numbers(50, 3) - 0.5), numbers(50, 3, seed=1) - 0.5, numbers(50, 3, seed=2)
    found = push(velocity, tool, arms, 0.05)
    normal = arms / arms.norm(dim=-1, keepdim=True)
    near = arms.norm(dim=-1) < 0.05
    assert float(((tool - found) * normal).sum(-1)[near].max()) <= 1e-8
    assert torch.equal(found[~near], velocity[~near])
    away = ((tool - velocity) * normal).sum(-1) <= 0
    torch.testing.assert_close(found[away], velocity[away])


def test_a_closed_tool_carries_what_is_inside_exactly_and_nothing_else():
    arms, velocity, tool = 0.1 * (numbers(50, 3) - 0.5), numbers(50, 3, seed=1), numbers(50, 3, seed=2)
    amount = inside(arms, torch.ones(50), 0.04)
    found = carry(velocity, tool, amount)
    held = arms.norm(dim=-1) < 0.04
    assert torch.equal(found[~held], velocity[~held])
    torch.testing.assert_close(found[held], tool[held], atol=1e-15, rtol=0)
    assert float(inside(arms, torch.zeros(50), 0.04).max()) == 0


def test_nearness_falls_from_one_to_nothing_at_two_radii():
    arms = torch.tensor([[0.0, 0, 0], [0.02, 0, 0], [0.04, 0, 0], [0.1, 0, 0]])
    torch.testing.assert_close(window(arms, 0.02), torch.tensor([1.0, 0.5625, 0.0, 0.0]))


def test_the_table_stops_what_would_pass_it_and_friction_slows_it():
    velocity = torch.tensor([[1.0, 0.0, -1.0], [1.0, 0.0, -1.0], [0.1, 0.0, -1.0], [0.3, 0.2, 0.5]])
    height = torch.tensor([0.5, 0.05, 0.0, 0.0])
    found = keep_above(velocity, height, 0.1, 0.4)
    wanted = torch.tensor([[1.0, 0.0, -1.0], [0.8, 0.0, -0.5], [0.0, 0.0, 0.0], [0.3, 0.2, 0.5]])
    torch.testing.assert_close(found, wanted)


def test_edits_have_the_gradients_that_differences_show():
    arms, velocity = 0.05 * (numbers(6, 3) - 0.5), (numbers(6, 3, seed=1) - 0.5).requires_grad_()
    tool = numbers(6, 3, seed=2).requires_grad_()
    height = numbers(6, seed=3) * 0.02

    def edited(v: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return keep_above(carry(push(v, t, arms, 0.03), t, window(arms, 0.01)), height, 0.1, 0.3)

    assert torch.autograd.gradcheck(edited, (velocity, tool))


def test_edits_turn_with_the_world():
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    arms, velocity, tool = 0.05 * (numbers(9, 3) - 0.5), numbers(9, 3, seed=1) - 0.5, numbers(9, 3, seed=2)
    plain = keep_above(push(velocity, tool, arms, 0.03), arms[:, 2], 0.1, 0.3)
    turned = keep_above(push(velocity @ turn.T, tool @ turn.T, arms @ turn.T, 0.03), arms[:, 2], 0.1, 0.3)
    torch.testing.assert_close(turned, plain @ turn.T)


def test_rest_moved_rigidly_has_no_strain_and_stretched_evenly_little():
    rest = numbers(2, 200, 3) * torch.tensor([0.2, 0.2, 0.05])
    anchors = make_anchors(rest, 12, 4)
    turn = torch.linalg.qr(numbers(3, 3, seed=4)).Q
    for shape, bound in ((rest, 3e-4), (rest @ turn.T + 0.3, 3e-4), (rest * 1.2, 4e-4)):
        _, strain = anchors.strain(shape)
        assert float(strain.norm(dim=-1).mean()) < bound
    torn = rest.clone()
    torn[:, 7] += 0.03
    assert float((anchors.strain(torn)[1][:, 7] + 0.03).norm(dim=-1).max()) < 0.02


def test_anchor_maps_are_transposes_and_means():
    rest, values = numbers(2, 60, 3), numbers(2, 60, 4, seed=1)
    anchors = make_anchors(rest, 10, 4)
    torch.testing.assert_close(anchors.mean(torch.ones_like(values)), torch.ones(2, 10, 4, dtype=torch.float64))
    ones = torch.ones(20, 4, dtype=torch.float64)
    torch.testing.assert_close(anchors.spread(ones), torch.ones(120, 4, dtype=torch.float64))
    given = values.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: anchors.spread(anchors.mean(v).flatten(0, 1)), (given,))


def test_farthest_points_cover_a_line_from_its_ends():
    line = np.zeros((1, 101, 3))
    line[0, :, 0] = np.linspace(-0.49, 0.51, 101)
    assert farthest_points(line - line.mean(axis=1, keepdims=True), 3)[0].tolist() == [0, 100, 50]


def test_the_compiled_sight_of_the_tool_equals_the_differentiable_one():
    tools = ToolPath(0.05 * numbers(2, 2, 3), numbers(2, 2, 4, seed=1) + 0.5, numbers(2, 2, seed=2))
    (tool,) = tool_steps(tools)
    points, rows = 0.1 * numbers(20, 3, seed=3), torch.arange(20) % 2
    fast = tool_features(points, rows, tool, tool.point, 0.02)
    plain = tool_features(points.requires_grad_(), rows, tool, tool.point, 0.02)
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other.detach())


def test_the_grid_lies_under_the_object_with_a_node_on_the_table():
    points = numbers(1, 9, 3) * 0.1 + torch.tensor([3.0, -2.0, 0.5])
    state = Particles(points, torch.zeros(1, 2, 9, 3, dtype=torch.float64), points, torch.zeros(1, 8), ground=0.5)
    grid = place_grid(state, GridConfig())
    u = grid.cells(points - grid.origin)
    torch.testing.assert_close(u[0, :, :2].mean(dim=0), torch.full((2,), 24.5, dtype=torch.float64))
    torch.testing.assert_close(
        grid.place(torch.tensor([[0.0, 0.0, 3.0]]))[0, 2], torch.tensor(0.0, dtype=torch.float64)
    )
    with pytest.raises(ValueRangeError, match="cells"):
        GridConfig(cells=4)


def test_compiled_messages_equal_the_formula_in_value_and_gradient():
    given = [numbers(6, 8) - 0.5, numbers(6, 3, 5, seed=1) - 0.5, numbers(4, 5, seed=2) - 0.5]
    near = torch.randint(6, (6, 3), generator=torch.Generator().manual_seed(3))
    outs = []
    for form in (messages, messages_plain):
        parts = [part.clone().requires_grad_() for part in given]
        out = form(*parts, near)
        outs.append((out, *torch.autograd.grad((out * numbers(6, 4, seed=4)).sum(), parts)))
    for fast, plain in zip(*outs, strict=True):
        torch.testing.assert_close(fast, plain)
