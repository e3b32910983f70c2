"""What the planner does when a motion that it counted on is in the way of something."""

from dataclasses import replace

import numpy as np
import pytest

from armflow.perception.instruction import parse_instruction
from armflow.planning.distance import build_field
from armflow.planning.flow_model.goal_flow import GoalFlow
from armflow.planning.planner import Plan, Planner, Refusal
from armflow.robot.embodiments import load_arm
from tests.planning.scenes import TABLE, detection, scene

ARM = load_arm("panda")


def made_plan(sentence: str, target: str, reference: str) -> tuple[Planner, Plan]:
    planner = Planner(ARM, GoalFlow(), rng=np.random.default_rng(0))
    world = scene(detection(target, 0.45, -0.15), detection(reference, 0.5, 0.15), q=ARM.home)
    plan = planner.plan(world, parse_instruction(sentence))
    assert isinstance(plan, Plan), plan.reason
    return planner, plan


@pytest.fixture(scope="module")
def placing() -> tuple[Planner, Plan]:
    return made_plan("put the red block on the red disc", "block", "disc")


@pytest.fixture(scope="module")
def pouring() -> tuple[Planner, Plan]:
    return made_plan("pour the red cup into the red cup", "cup", "cup")


def walled(plan: Plan, center: np.ndarray) -> Plan:
    """The same plan in a scene with a solid cube of 24 cm around a place [3]."""
    sides = np.linspace(-0.12, 0.12, 25)
    cube = np.stack(np.meshgrid(sides, sides, sides), axis=-1).reshape(-1, 3) + center
    return replace(plan, field=build_field(cube, TABLE, ARM.workspace))


def test_a_carry_is_refused_when_both_the_solver_and_the_ranked_path_would_hit_something(placing):
    planner, plan = placing
    middle = plan.ranked.Ts_world_object[len(plan.ranked.Ts_world_object) // 2, :3, 3]
    answer = planner.plan_after_grip(walled(plan, middle), plan.ranked.q_path[0])
    assert isinstance(answer, Refusal)
    assert answer.reason.startswith("carry: ")
    assert "refused the known path" in answer.reason


def test_a_carry_is_refused_when_the_arm_stands_elsewhere_than_planned_and_nothing_else_is_found(placing):
    planner, plan = placing
    away = plan.ranked.q_path[0] + np.array([1.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    middle = plan.ranked.Ts_world_object[len(plan.ranked.Ts_world_object) // 2, :3, 3]
    answer = planner.plan_after_grip(walled(plan, middle), away)
    assert isinstance(answer, Refusal)
    assert "from where the arm stands" in answer.reason


def test_the_hand_leaves_straight_back_along_its_approach(placing):
    planner, plan = placing
    (away,) = planner.leave(plan, plan.ranked.q_path[-1])
    shift = ARM.frames(away.q[-1])[-1][:3, 3] - ARM.frames(away.q[0])[-1][:3, 3]
    back = -plan.ranked.grasp.approach  # the block keeps its orientation
    assert shift @ back > 0.045
    assert np.linalg.norm(shift - (shift @ back) * back) < 0.01


def test_a_hand_without_a_clear_way_off_stays_and_says_why(placing):
    planner, plan = placing
    q = plan.ranked.q_path[-1]
    answer = planner.leave(walled(plan, ARM.frames(q)[-1][:3, 3] + [0.0, 0.0, 0.2]), q)
    assert isinstance(answer, Refusal)
    assert "no way back" in answer.reason


def test_a_hand_without_a_clear_way_home_stays_and_says_why(placing):
    planner, plan = placing
    q = plan.ranked.q_path[-1]
    answer = planner.return_home(q, 1.0, walled(plan, ARM.frames(q)[-1][:3, 3] + [0.0, 0.0, 0.2]).field)
    assert isinstance(answer, Refusal)
    assert "no way home" in answer.reason


def test_a_poured_cup_goes_back_to_where_it_stood(pouring):
    planner, plan = pouring
    segments = planner.plan_after_grip(plan, plan.ranked.q_path[0])
    assert not isinstance(segments, Refusal), segments.reason
    assert [segment.label for segment in segments] == ["carry", "empty", "set down", "release"]
    np.testing.assert_allclose(
        segments[-1].Ts_world_object[-1], plan.scene.target.T_world_object.as_matrix(), atol=2e-3
    )
    assert segments[2].holds
    assert segments[-1].gripper[-1] > plan.ranked.grasp.width / ARM.gripper.max_width
