"""Model predictive path integral control: the search, its limits, and plans with models of an object."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from armflow.perception.cloud import farthest_points
from armflow.perception.particles import ShapeState
from armflow.planning.mppi.arm_motion import ArmReach, follow, travel
from armflow.planning.mppi.config import HandLimits, MPPIConfig
from armflow.planning.mppi.contacts import CONTACTS, ContactConfig, find_contacts
from armflow.planning.mppi.objective import CostConfig, Objective, assign, chamfer
from armflow.planning.mppi.paths import disturb, integrate, keep_within, shift, spline_basis
from armflow.planning.mppi.planner import HandPlan, ShapePlanner, hand_limits
from armflow.planning.mppi.search import PlanningError, Start, search, weights
from armflow.planning.planner import Refusal
from armflow.robot.embodiments import load_arm
from armflow.robot.errors import ShapeError, StackError, ValueRangeError

BOX = HandLimits(np.array([-1.0, -1.0, 0.0]), np.array([1.0, 1.0, 1.0]), 0.5)
ROPE = np.stack([np.linspace(0.3, 0.5, 40), np.zeros(40), np.full(40, 0.015)], axis=1)


class Elastic:
    """A rope as a formula: particles follow the hand by how near they are to where it took hold, exp(-(d/l)^2)."""

    def start(self, state: ShapeState):
        points = torch.as_tensor(state.points_world, dtype=torch.float32)

        def predict(paths, rotations, closed):
            path = torch.as_tensor(paths, dtype=torch.float32)
            share = torch.exp(-(((points[None] - path[:, :1]) / 0.06) ** 2).sum(-1))
            return points[None, None] + share[:, None, :, None] * (path[:, 1:, None] - path[:, :1, None])

        return predict


@pytest.fixture(scope="module")
def arm():
    return load_arm("xarm6")


def rope_state(points=ROPE) -> ShapeState:
    return ShapeState("rope", points, np.zeros_like(points), points, 0.0)


def planner(arm, seed=0, **changes) -> ShapePlanner:
    config = replace(MPPIConfig(samples=16, rounds=8, contacts=4), **changes)
    return ShapePlanner(arm, Elastic(), rng=np.random.default_rng(seed), config=config)


def bent_goal(way) -> np.ndarray:
    share = np.exp(-(((ROPE - ROPE[-1]) / 0.06) ** 2).sum(-1))
    return ROPE + share[:, None] * np.asarray(way)


# The cost.


def test_chamfer_of_a_cloud_with_itself_is_zero():
    cloud = torch.rand(30, 3)
    assert float(chamfer(cloud, cloud)) < 1e-3  # cdist in single precision takes roots of rounding errors


def test_chamfer_of_two_single_points_is_their_distance():
    assert float(chamfer(torch.tensor([[0.0, 0, 0]]), torch.tensor([[3.0, 4, 0]]))) == pytest.approx(5.0)


def test_chamfer_is_symmetric_and_averages_both_ways():
    first, second = torch.tensor([[0.0, 0, 0], [1.0, 0, 0]]), torch.tensor([[0.0, 0, 0]])
    assert float(chamfer(first, second)) == pytest.approx(0.25)  # (0 + 1) / 2 one way, 0 the other
    assert float(chamfer(second, first)) == pytest.approx(0.25)


def test_earth_movers_distance_of_a_shift_is_its_length():
    way = np.array([0.3, 0.0, 0.0])
    objective = Objective(ROPE, ROPE + way, CostConfig(running=0.0))
    near = float(chamfer(torch.as_tensor(ROPE), torch.as_tensor(ROPE + way)))
    assert objective.still(ROPE) == pytest.approx(near + 0.3, rel=1e-5)


def test_a_met_goal_costs_nothing():
    assert Objective(ROPE, ROPE).still(ROPE) < 1e-3


def test_the_cost_does_not_depend_on_the_order_of_the_points():
    rng = np.random.default_rng(0)
    points, goal = rng.random((50, 3)), rng.random((50, 3))
    shuffled = points[rng.permutation(50)]
    assert Objective(shuffled, goal).still(shuffled) == pytest.approx(Objective(points, goal).still(points), rel=1e-6)


def test_a_longer_path_and_a_raised_hand_cost_more():
    objective = Objective(ROPE, ROPE, CostConfig(effort=1.0, height=1.0))
    paths = np.zeros((3, 3, 3))
    paths[1, 1:, 0], paths[2, 1:, 2] = 0.1, 0.1
    assert objective.hand(paths) == pytest.approx([0.0, 0.1, 0.2])


def test_the_penalty_of_reach_is_added():
    objective = Objective(ROPE, ROPE, CostConfig(reach=10.0))
    assert objective.hand(np.zeros((2, 3, 3)), lambda paths: np.array([0.0, 0.02])) == pytest.approx([0.0, 0.2])


def test_farthest_points_of_a_line_are_its_ends_first():
    assert set(farthest_points(ROPE, 2)) == {0, 39}


def test_assign_undoes_a_shuffle():
    order = np.random.default_rng(1).permutation(40)
    assert np.array_equal(order[assign(ROPE, ROPE[order])], np.arange(40))


@pytest.mark.parametrize("broken", [np.zeros((0, 3)), np.zeros((1, 3)), np.full((5, 3), np.nan), np.zeros((5, 2))])
def test_an_unusable_goal_is_refused_by_name(broken):
    with pytest.raises(ShapeError, match="goal_points"):
        Objective(ROPE, broken)


@pytest.mark.parametrize("broken", [np.zeros((0, 3)), np.zeros((1, 3)), np.full((5, 3), np.nan)])
def test_unusable_particles_are_refused_by_name(broken):
    with pytest.raises(ShapeError, match="points"):
        Objective(broken, ROPE)


# Paths.


def test_spline_basis_rows_sum_to_one():
    for knots in (1, 2, 4, 7):
        assert spline_basis(10, knots).sum(axis=1) == pytest.approx(np.ones(10))


def test_disturbances_have_the_mean_and_the_deviation_asked_for():
    rng, mean = np.random.default_rng(0), np.full((5, 3), 0.2)
    drawn = disturb(mean, np.array([0.1, 0.2, 0.0]), 1, 20000, rng=rng)
    assert drawn.mean(axis=(0, 1)) == pytest.approx([0.2, 0.2, 0.2], abs=5e-3)
    assert drawn[:, 0].std(axis=0) == pytest.approx([0.1, 0.2, 0.0], rel=0.03)


def test_paths_never_leave_speed_or_box_and_neither_do_their_averages():
    rng = np.random.default_rng(0)
    start, wild = np.array([0.9, -0.9, 0.05]), rng.normal(size=(200, 10, 3)) * 3
    kept = keep_within(start, wild, 0.1, BOX)
    share = rng.dirichlet(np.ones(200))
    for velocities in (kept, np.einsum("k,kti->ti", share, kept)[None]):
        path = integrate(start, velocities, 0.1)
        assert np.linalg.norm(velocities, axis=-1).max() <= BOX.speed + 1e-12
        assert (path >= BOX.low - 1e-12).all()
        assert (path <= BOX.high + 1e-12).all()


def test_velocities_within_the_limits_stay_as_they_are():
    calm = np.random.default_rng(0).normal(size=(20, 10, 3)) * 0.05
    assert keep_within(np.full(3, 0.5), calm, 0.1, BOX) == pytest.approx(calm)


def test_a_warm_start_is_what_is_left_of_the_plan_and_then_rest():
    plan = np.arange(15.0).reshape(5, 3)
    assert np.array_equal(shift(plan, 2)[:3], plan[2:])
    assert not shift(plan, 2)[3:].any()
    assert not shift(plan, 9).any()


# The search.


def convex(target):
    """Squared distance of the path's end to a target."""
    return lambda index, paths: ((paths[:, -1] - target) ** 2).sum(-1)


def test_the_optimum_of_a_convex_cost_is_found():
    target, start = np.array([0.3, -0.2, 0.1]), Start(np.zeros(3), np.zeros((10, 3)))
    found = search(
        [start], convex(target), BOX, MPPIConfig(contacts=1, noise=(0.3, 0.3, 0.3)), rng=np.random.default_rng(0)
    )
    assert np.linalg.norm(found.path[-1] - target) < 0.01
    assert found.evaluations == 32 * 20


def test_a_target_out_of_the_box_is_met_at_the_wall():
    config, start = MPPIConfig(contacts=1, noise=(0.3, 0.3, 0.3)), Start(np.array([0.8, 0.0, 0.5]), np.zeros((10, 3)))
    found = search([start], convex(np.array([1.5, 0.0, 0.5])), BOX, config, rng=np.random.default_rng(0))
    assert found.path[-1, 0] == pytest.approx(1.0, abs=0.01)
    assert found.path[:, 0].max() <= 1.0


def test_the_better_of_two_contacts_wins():
    starts = [Start(np.array([x, 0.0, 0.5]), np.zeros((10, 3))) for x in (-0.9, -0.5, 0.1, 0.6)]
    config = MPPIConfig(contacts=4)
    found = search(starts, convex(np.array([0.9, 0.0, 0.5])), BOX, config, rng=np.random.default_rng(0))
    assert found.contact == 3
    assert found.tried.argmin() == 3
    assert found.evaluations == 32 * 20


def test_costs_never_rise_from_round_to_round():
    start = Start(np.zeros(3), np.zeros((10, 3)))
    found = search([start], convex(np.full(3, 0.3)), BOX, MPPIConfig(contacts=1), rng=np.random.default_rng(0))
    assert (np.diff(found.history) <= 0).all()


def test_updating_beats_shooting_at_random_with_the_same_budget():
    start, cost = Start(np.zeros(3), np.zeros((10, 3))), convex(np.array([0.4, 0.2, 0.2]))
    ends = {
        update: search([start], cost, BOX, MPPIConfig(contacts=1, update=update), rng=np.random.default_rng(0))
        for update in (True, False)
    }
    assert ends[True].cost < 0.3 * ends[False].cost
    assert ends[True].evaluations == ends[False].evaluations


def test_the_same_seed_finds_the_same_plan():
    def once():
        start = Start(np.zeros(3), np.zeros((10, 3)))
        return search([start], convex(np.full(3, 0.3)), BOX, MPPIConfig(contacts=1), rng=np.random.default_rng(7)).path

    assert np.array_equal(once(), once())


def test_a_cold_temperature_follows_the_best_sample():
    costs = np.array([0.3, 0.1, 0.2])
    assert weights(costs, 1e-6) == pytest.approx([0.0, 1.0, 0.0])


def test_a_hot_temperature_follows_the_mean():
    assert weights(np.array([0.3, 0.1, 0.2]), 1e6) == pytest.approx(np.full(3, 1 / 3), rel=1e-5)


def test_weights_have_the_closed_form():
    costs = np.array([0.0, 1.0, 2.0])
    raw = np.exp(-costs / (0.5 * costs.std()))
    assert weights(costs, 0.5) == pytest.approx(raw / raw.sum())


def test_weights_do_not_change_with_the_unit_or_the_level_of_the_costs():
    costs = np.random.default_rng(0).random(9)
    assert weights(7 + 1000 * costs, 0.3) == pytest.approx(weights(costs, 0.3))


def test_paths_without_a_finite_cost_weigh_nothing():
    assert weights(np.array([np.nan, 1.0, np.inf]), 1.0) == pytest.approx([0.0, 1.0, 0.0])
    assert not weights(np.array([np.nan, np.inf]), 1.0).any()


def test_equal_costs_weigh_the_same():
    assert weights(np.full(4, 0.2), 0.1) == pytest.approx(np.full(4, 0.25))


def test_a_search_without_contacts_is_refused():
    with pytest.raises(PlanningError, match="no contact"):
        search([], convex(np.zeros(3)), BOX, MPPIConfig(), rng=np.random.default_rng(0))


def test_a_contact_out_of_the_limits_is_refused():
    with pytest.raises(PlanningError, match="outside"):
        search(
            [Start(np.full(3, 2.0), np.zeros((10, 3)))],
            convex(np.zeros(3)),
            BOX,
            MPPIConfig(),
            rng=np.random.default_rng(0),
        )


@pytest.mark.parametrize("change", [{"samples": 0}, {"temperature": 0.0}, {"noise": (-1.0, 0, 0)}, {"knots": 99}])
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueRangeError, match=next(iter(change))):
        MPPIConfig(**change)


# Contacts, reach and whole plans.


def test_grasps_lie_on_the_object_and_close_across_it():
    goal = ROPE + np.array([0.0, 0.1, 0.0])
    for contact in find_contacts(ROPE, goal, BOX, 10, 0.1, ContactConfig(count=5)):
        assert np.abs(ROPE[:, :2] - contact.point[:2]).sum(axis=1).min() < 1e-9
        assert contact.point[2] == pytest.approx(ROPE[0, 2] / 2)  # half-way down to where the tool may go
        w, x, y, z = contact.rotation
        closing = np.array([2 * (x * y - w * z), 1 - 2 * (x * x + z * z)])  # the tool's y axis, seen from above
        assert abs(closing[0]) < 0.05  # the rope runs along x


def test_fingers_close_narrowly_over_the_edge_of_a_sheet_in_from_it():
    side = np.linspace(0.3, 0.5, 15)
    sheet = np.stack([*np.meshgrid(side, side - 0.4), np.full((15, 15), 0.004)], axis=-1).reshape(-1, 3)
    middle = sheet.mean(axis=0)
    for contact in find_contacts(sheet, sheet + np.array([0.1, 0.0, 0.0]), BOX, 10, 0.1, CONTACTS["cloth"]):
        edge = sheet[contact.particle, :2] - middle[:2]
        if np.isclose(np.abs(edge), 0.1).sum() != 1:
            continue  # a corner, or in the middle
        out = np.abs(edge) > 0.099
        closing = Rotation.from_quat(contact.rotation, scalar_first=True).apply([0.0, 1.0, 0.0])[:2]
        assert np.abs(closing[out]) > 0.9
        assert np.linalg.norm(contact.point[:2] - middle[:2]) < np.linalg.norm(edge)
        assert contact.ready < 0.5


def test_pushes_start_beside_the_object_and_move_towards_it():
    goal, config = ROPE + np.array([0.0, 0.1, 0.0]), ContactConfig(("push",), count=5)
    for contact in find_contacts(ROPE, goal, BOX, 10, 0.1, config):
        gap = np.linalg.norm(ROPE - contact.point, axis=1).min()
        assert config.finger < gap < 0.05
        assert contact.point[1] < 0
        assert contact.guess[0, 1] > 0


def test_the_hand_comes_down_to_a_push_past_what_leans_over_it():
    along, across = np.meshgrid(np.linspace(0.0, 0.1, 15), np.linspace(-0.05, 0.05, 11))
    lid = np.stack([0.4 - 0.5 * along, across, 0.05 + along], axis=-1).reshape(-1, 3)  # leans towards -x
    config = ContactConfig(("push",), count=8)
    found = find_contacts(lid, lid + np.array([0.05, 0.0, 0.0]), BOX, 10, 0.1, config)
    assert found
    for contact in found:
        above = lid[lid[:, 2] > contact.point[2]]
        assert contact.point[0] < above[:, 0].min(initial=1.0) - config.finger


def test_reach_is_free_in_front_of_the_arm_and_missed_far_away(arm):
    reach = ArmReach(arm, arm.home, rng=np.random.default_rng(0))
    down = np.tile([0.0, 1.0, 0.0, 0.0], (2, 1))
    near, far = np.array([[0.4, 0.0, 0.05]]), np.array([[1.6, 0.0, 0.05]])
    excess = reach.excess(np.stack([near, far]), down)
    assert excess[0] == 0.0
    assert excess[1] > 0.5


def test_travel_ends_at_the_pose_within_the_limits(arm):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.diag([1.0, -1.0, -1.0]), [0.45, 0.1, 0.03]
    rows = travel(arm, arm.home, T, height=0.2, dt=0.04, rng=np.random.default_rng(0))
    assert not isinstance(rows, Refusal)
    assert np.allclose(arm.tool(rows[-1]).as_matrix(), T, atol=1e-3)
    assert (np.abs(np.diff(np.vstack([arm.home, rows]), axis=0)) <= arm.v_max * 0.04).all()
    assert ((rows >= arm.q_min) & (rows <= arm.q_max)).all()


def test_a_pose_out_of_reach_is_refused_with_the_reason(arm):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.diag([1.0, -1.0, -1.0]), [2.0, 0.0, 0.1]
    refused = travel(arm, arm.home, T, height=0.2, dt=0.04, rng=np.random.default_rng(0))
    assert isinstance(refused, Refusal)
    assert "cannot be at" in refused.reason
    assert isinstance(follow(arm, arm.home, T[None], 0.04, rng=np.random.default_rng(0)), Refusal)


def test_a_plan_bends_the_rope_towards_its_goal(arm):
    goal = bent_goal([0.0, 0.12, 0.0])
    plan = planner(arm).plan(rope_state(), goal, arm.home)
    assert isinstance(plan, HandPlan)
    assert plan.gain > 0.5 * plan.still
    assert np.linalg.norm(plan.contact.point - ROPE[-1]) < 0.05
    assert plan.path[-1, 1] > 0.06


def test_a_plan_keeps_the_limits_of_hand_and_arm(arm):
    limits = hand_limits(arm)
    plan = planner(arm).plan(rope_state(), bent_goal([0.0, 0.5, 0.0]), arm.home)
    assert isinstance(plan, HandPlan)
    assert (plan.path >= limits.low - 1e-9).all()
    assert (plan.path <= limits.high + 1e-9).all()
    assert np.linalg.norm(plan.velocities, axis=1).max() <= limits.speed + 1e-9
    assert (
        ArmReach(arm, arm.home, rng=np.random.default_rng(0)).excess(plan.path[None], plan.contact.rotation[None])[0]
        == 0
    )


def test_a_warm_started_plan_goes_on_from_the_hand(arm):
    maker, goal = planner(arm), bent_goal([0.0, 0.12, 0.0])
    plan = maker.plan(rope_state(), goal, arm.home)
    assert isinstance(plan, HandPlan)
    on = maker.follow_up(plan, rope_state(), goal, arm.home, done=2)
    assert isinstance(on, HandPlan)
    assert on.path[0] == pytest.approx(arm.tool(arm.home).translation)
    assert on.contact.kind == "hold"


def test_the_same_seed_plans_the_same_hand_path(arm):
    goal = bent_goal([0.0, 0.1, 0.0])
    first, second = (planner(arm, seed=3).plan(rope_state(), goal, arm.home) for _ in range(2))
    assert isinstance(first, HandPlan)
    assert isinstance(second, HandPlan)
    assert np.array_equal(first.path, second.path)


def test_an_object_out_of_reach_is_a_refusal_with_its_reason(arm):
    far = ROPE + np.array([3.0, 0.0, 0.0])
    refused = planner(arm).plan(rope_state(far), far + np.array([0.0, 0.1, 0.0]), arm.home)
    assert isinstance(refused, Refusal)
    assert "workspace" in refused.reason


def test_bad_input_is_a_typed_error(arm):
    with pytest.raises(StackError, match="goal_points"):
        planner(arm).plan(rope_state(), np.full((5, 3), np.nan), arm.home)
    with pytest.raises(StackError, match="points"):
        planner(arm).plan(rope_state(ROPE[:1]), ROPE, arm.home)
