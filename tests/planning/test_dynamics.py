"""Learned dynamics: what holds for every model."""

import dataclasses
import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from armflow.learning.checkpoint import save_checkpoint
from armflow.planning.dynamics import (
    DT,
    MODELS,
    DynamicsError,
    DynamicsModel,
    Particles,
    ToolPath,
    load_dynamics,
    make_dynamics,
    save_dynamics,
)
from armflow.planning.dynamics.dense import rollout_dense
from armflow.planning.dynamics.fast import FastDynamics
from armflow.planning.dynamics.types import rotation_matrices, tool_steps
from armflow.robot.errors import ChoiceError, FormatError

LEARNED = ("fast", "pgnd", "gbnd")
CODE = 8


def make_state(B: int = 2, N: int = 40, T: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Particles, ToolPath]:
    """A little cloud a hand's breadth above the table, and a closed tool that passes through it while it turns."""
    random = torch.Generator().manual_seed(3)
    points = torch.rand(B, N, 3, generator=random, dtype=dtype) * torch.tensor([0.2, 0.1, 0.03], dtype=dtype)
    points[..., 2] += 0.05
    velocities = 0.05 * torch.randn(B, 2, N, 3, generator=random, dtype=dtype)
    code = torch.rand(B, CODE, generator=random, dtype=dtype)
    rest = points + 0.003 * torch.randn(B, N, 3, generator=random, dtype=dtype)
    steps = 0.01 * torch.randn(B, T + 1, 3, generator=random, dtype=dtype)
    places = torch.tensor([0.1, 0.05, 0.06], dtype=dtype) + steps.cumsum(dim=1)
    half = 0.1 * torch.arange(T + 1, dtype=dtype)
    turns = torch.stack((half.cos(), 0 * half, 0 * half, half.sin()), dim=-1).expand(B, -1, -1)
    return Particles(points, velocities, rest, code), ToolPath(places, turns, torch.ones(B, T + 1, dtype=dtype))


def make_model(name: str) -> DynamicsModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_dynamics(name).double().eval()


def moved(state: Particles, tools: ToolPath, shift: torch.Tensor) -> tuple[Particles, ToolPath]:
    particles = dataclasses.replace(
        state, points=state.points + shift, rest=state.rest + shift, ground=state.ground + float(shift[2])
    )
    return particles, dataclasses.replace(tools, points=tools.points + shift)


@pytest.mark.parametrize("name", MODELS)
def test_rollouts_move_with_the_world(name: str):
    state, tools = make_state()
    model, shift = make_model(name), torch.tensor([0.313, -0.127, 0.071], dtype=torch.float64)
    found = model.rollout(*moved(state, tools, shift)) - shift
    torch.testing.assert_close(found, model.rollout(state, tools), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_rollouts_do_not_depend_on_the_order_of_particles(name: str):
    state, tools = make_state()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    parts = {"points": state.points[:, order], "rest": state.rest[:, order]}
    shuffled = dataclasses.replace(state, **parts, velocities=state.velocities[:, :, order])
    model = make_model(name)
    torch.testing.assert_close(model.rollout(shuffled, tools), model.rollout(state, tools)[:, :, order])


@pytest.mark.parametrize("name", MODELS)
def test_one_start_for_many_tools_is_that_start_for_each(name: str):
    state, tools = make_state(B=3)
    one = Particles(state.points[:1], state.velocities[:1], state.rest[:1], state.code[:1])
    model = make_model(name)
    torch.testing.assert_close(model.rollout(one, tools), model.rollout(one.expand(3), tools))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "pgnd"])
def test_a_batch_equals_a_loop(name: str):
    state, tools = make_state(B=2)
    model = make_model(name)
    for b in range(2):
        one = Particles(*(part[b : b + 1] for part in (state.points, state.velocities, state.rest, state.code)))
        path = ToolPath(tools.points[b : b + 1], tools.rotations[b : b + 1], tools.closed[b : b + 1])
        torch.testing.assert_close(model.rollout(one, path)[0], model.rollout(state, tools)[b])


@pytest.mark.parametrize("name", LEARNED)
def test_no_particle_goes_through_the_table(name: str):
    state, tools = make_state()
    falling = dataclasses.replace(state, velocities=state.velocities - 3.0, ground=0.04)
    assert float(make_model(name).rollout(falling, tools)[..., 2].min().detach()) >= 0.04 - 1e-9


@pytest.mark.parametrize("name", LEARNED)
def test_gradients_match_finite_differences(name: str):
    state, tools = make_state(B=1, N=20, T=2)
    model, random = make_model(name), torch.Generator().manual_seed(5)
    weights = torch.randn(1, 2, 20, 3, generator=random, dtype=torch.float64)
    ways = [
        0.1 * torch.randn(part.shape, generator=random, dtype=torch.float64)
        for part in (state.velocities, tools.points)
    ]

    def total(step: torch.Tensor) -> torch.Tensor:
        particles = dataclasses.replace(state, velocities=state.velocities + step * ways[0])
        return (
            model.rollout(particles, dataclasses.replace(tools, points=tools.points + step * ways[1])) * weights
        ).sum()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(total(step), step)
    h = 1e-7
    with torch.no_grad():
        numeric = (total(step + h) - total(step - h)) / (2 * h)
    torch.testing.assert_close(slope, numeric, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("name", LEARNED)
def test_every_parameter_learns(name: str):
    state, tools = make_state(T=3)
    model = make_model(name).train()
    model.rollout(state, tools).square().sum().backward()
    assert all(part.grad is not None and bool(torch.isfinite(part.grad).all()) for part in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_predicts_the_same(name: str, tmp_path):
    state, tools = make_state()
    model = make_model(name)
    save_dynamics(tmp_path, name, model, {"category": "rope"})
    torch.testing.assert_close(
        load_dynamics(tmp_path).double().rollout(state, tools), model.rollout(state, tools), atol=1e-6, rtol=0
    )


def test_the_constant_models_do_what_they_say():
    state, tools = make_state(T=2)
    still, constant, carried = (
        make_model(name).rollout(state, tools) for name in ("still", "constant_velocity", "move_with_tool")
    )
    assert torch.equal(still, state.points[:, None].expand(-1, 2, -1, -1))
    torch.testing.assert_close(constant[:, 1], state.points + 2 * DT * state.velocities[:, -1])
    turns = rotation_matrices(tools.rotations)
    arms = (state.points - tools.points[:, :1]) @ (turns[:, 2] @ turns[:, 0].mT).mT
    torch.testing.assert_close(carried[:, 1], arms + tools.points[:, 2:])


def test_dense_points_where_particles_are_move_as_they_do():
    state, tools = make_state(B=3, dtype=torch.float32)
    one = Particles(state.points[:1], state.velocities[:1], state.rest[:1], state.code[:1])
    model = FastDynamics()
    found = rollout_dense(model, one, tools, one.points)
    torch.testing.assert_close(found.points, model.rollout(one, tools).detach())
    torch.testing.assert_close(found.passive, found.points, atol=1e-6, rtol=0)


def test_dense_points_that_no_node_reaches_follow_the_nearest_particle():
    state, tools = make_state(B=1, T=1)
    lost = state.points[:, :1] + torch.tensor([-0.3, 0.0, 0.2], dtype=torch.float64)
    found = rollout_dense(make_model("fast"), state, tools, lost)  # type: ignore[arg-type]
    shifts = found.points[0, 0] - state.points[0]
    assert bool(torch.isclose(found.passive[0, 0, 0] - lost[0, 0], shifts, atol=1e-9).all(dim=-1).any())


def test_rotation_matrices_are_those_of_scipy():
    quaternions = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = Rotation.from_quat(quaternions.numpy(), scalar_first=True).as_matrix()
    torch.testing.assert_close(rotation_matrices(quaternions), torch.from_numpy(wanted))


def test_tool_steps_carry_points_exactly_around():
    _, tools = make_state(T=1)
    (step,) = tool_steps(tools)
    turns = rotation_matrices(tools.rotations)
    local = torch.rand(2, 5, 3, dtype=torch.float64)
    before, after = (local @ turns[:, t].mT + tools.points[:, t, None] for t in (0, 1))
    torch.testing.assert_close(before + DT * step.velocity_at(before), after)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"points": s.points[:, :0]}, "empty cloud"),
        (lambda s: {"points": s.points[:, :1]}, "one particle"),
        (lambda s: {"points": s.points * math.nan}, "not finite"),
        (lambda s: {"velocities": s.velocities[:, :1]}, "velocities: shape"),
        (lambda s: {"rest": s.rest[:, 1:]}, "rest: shape"),
        (lambda s: {"points": s.points.int()}, "floating-point"),
    ],
)
def test_particles_without_a_shape_to_predict_are_refused(change, message: str):
    state, _ = make_state()
    with pytest.raises(DynamicsError, match=message):
        dataclasses.replace(state, **change(state))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {"points": t.points[:0]}, "no tool path"),
        (lambda t: {"points": t.points[:, :1]}, "no tool path"),
        (lambda t: {"points": t.points * math.inf}, "not finite"),
        (lambda t: {"rotations": t.rotations * 0}, "near zero"),
    ],
)
def test_a_missing_tool_is_refused(change, message: str):
    _, tools = make_state()
    with pytest.raises(DynamicsError, match=message):
        dataclasses.replace(tools, **change(tools))


@pytest.mark.parametrize("name", ["fast", "pgnd"])
@pytest.mark.parametrize("lift", [3.0, -3.0])
def test_an_object_out_of_the_grid_is_refused(name: str, lift: float):
    state, tools = make_state()
    with pytest.raises(DynamicsError, match="out of the grid"):
        make_model(name).rollout(dataclasses.replace(state, points=state.points + lift), tools)


def test_batches_and_codes_that_disagree_are_refused():
    state, tools = make_state(B=2)
    model = make_model("fast")
    path = ToolPath(*(part[:1].expand(3, *part.shape[1:]) for part in (tools.points, tools.rotations, tools.closed)))
    with pytest.raises(DynamicsError, match="2 objects and 3 tool paths"):
        model.rollout(state, path)
    with pytest.raises(DynamicsError, match="code: 2 numbers"):
        model.rollout(dataclasses.replace(state, code=state.code[:, :2]), tools)


def test_a_checkpoint_that_is_no_dynamics_model_is_refused(tmp_path):
    with pytest.raises(ChoiceError, match="fast, pgnd, gbnd"):
        make_dynamics("slow")
    with pytest.raises(DynamicsError, match="unexpected keyword"):
        make_dynamics("fast", {"size": 3})
    for config in ({"method": "beso"}, {"method": "fast", "model": 3}, {"method": "fast", "model": {"width": 8}}):
        save_checkpoint(tmp_path, make_model("fast").state_dict(), config)
        with pytest.raises(FormatError, match=r"config\.json|model\.safetensors"):
            load_dynamics(tmp_path)


@pytest.mark.parametrize("B", [1, 3])
def test_the_compiled_field_equals_the_differentiable_one(B: int):
    state, tools = make_state(B=B, T=3)
    for objects in (state, Particles(state.points[:1], state.velocities[:1], state.rest[:1], state.code[:1])):
        model = make_model("fast")
        with torch.no_grad():
            compiled = model.rollout(objects, tools)
        torch.testing.assert_close(compiled, model.rollout(objects, tools).detach(), atol=1e-9, rtol=0)


def test_anchors_are_kept_for_the_same_rest_shape_and_no_other():
    state, _ = make_state()
    model = FastDynamics().double()
    first = model.prepare(state).anchors
    assert model.prepare(state).anchors is first
    state.rest.mul_(1.1)
    assert model.prepare(state).anchors is not first
