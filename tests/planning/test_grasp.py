from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.detection import Detection, TablePlane
from armflow.planning.grasp import (
    antipodal_grasps,
    free_axis_of,
    handle_grasps,
    object_grasps,
    push_contacts,
    rank_grasps,
)
from armflow.planning.grasp.antipodal import estimate_normals
from armflow.planning.grasp.hand import hand_boxes
from armflow.planning.solid import body_points, solid_of
from armflow.robot.errors import ShapeError
from armflow.robot.kinematics import chain_tool
from tests.planning.scenes import PlainArm, carry, detection, plain_arm, scene

UP = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def arm() -> PlainArm:
    return plain_arm()


def moved(target: Detection, T: RigidTransform) -> Detection:
    state = replace(target.state, points_world=T.apply(target.state.points_world))
    return replace(target, state=state, T_world_object=T * target.T_world_object)


@pytest.mark.parametrize("kind", ["block", "pen", "cup", "mug"])
def test_grasps_are_proper_poses_that_carry_their_object(kind: str, arm: PlainArm) -> None:
    target = detection(kind, 0.45, 0.1, 0.3)
    grasps = object_grasps(target, scene(target), arm, rng=np.random.default_rng(0))
    assert len(grasps) >= 10
    for grasp in grasps:
        R = grasp.T_world_tool[:3, :3]
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(R) > 0
        np.testing.assert_allclose(
            grasp.T_world_tool @ grasp.T_tool_object, target.T_world_object.as_matrix(), atol=1e-9
        )


@pytest.mark.parametrize("kind", ["block", "pen", "cup", "mug", "drawer"])
def test_widths_and_openings_fit_the_gripper(kind: str, arm: PlainArm) -> None:
    target = detection(kind, 0.45, 0.1, np.pi)
    grasps = object_grasps(target, scene(target), arm, rng=np.random.default_rng(0))
    assert grasps
    assert all(0 < grasp.width < grasp.opening <= arm.gripper.max_width for grasp in grasps)


def test_an_object_wider_than_the_hand_has_no_grasp(arm: PlainArm) -> None:
    target = replace(detection("block", 0.45, 0.1), size=np.array([0.12, 0.11, 0.12]))
    rim = RigidTransform.from_translation([0.0, 0.0, 0.04])
    points = (rim * target.T_world_object).apply(solid_of(target).surface(0.005)[0])  # type: ignore[union-attr]
    target = replace(moved(target, rim), state=replace(target.state, points_world=points, velocities_world=0 * points))
    assert object_grasps(target, scene(target), arm, rng=np.random.default_rng(0)) == []


def test_antipodal_contacts_lie_in_both_friction_cones(arm: PlainArm) -> None:
    target = detection("block", 0.45, 0.1, 0.3)
    grasps = antipodal_grasps(target, scene(target), arm, rng=np.random.default_rng(1))
    faces = target.T_world_object.rotation.as_matrix()
    assert grasps
    for grasp in grasps:
        assert np.abs(faces.T @ grasp.T_world_tool[:3, 1]).max() >= np.cos(np.arctan(0.5)) - 1e-9


def test_the_open_hand_meets_neither_object_nor_table(arm: PlainArm) -> None:
    target = detection("cup", 0.45, 0.1)
    body = target.T_world_object.apply(body_points(target, spacing=0.006))
    for grasp in object_grasps(target, scene(target), arm, rng=np.random.default_rng(0)):
        local = (body - grasp.T_world_tool[:3, 3]) @ grasp.T_world_tool[:3, :3]
        for low, high in zip(*hand_boxes(arm.gripper, grasp.opening), strict=True):
            assert ((local > low) & (local < high)).all(axis=1).sum() <= 3
            corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
            assert (grasp.T_world_tool[:3, :3] @ corners)[2].min() + grasp.T_world_tool[2, 3] > 0


def test_a_neighbour_takes_away_the_grasps_on_its_side(arm: PlainArm) -> None:
    target, wall = detection("cup", 0.45, 0.1), detection("block", 0.45, 0.16)
    free = object_grasps(target, scene(target), arm, rng=np.random.default_rng(0))
    beside = object_grasps(target, scene(target, wall), arm, rng=np.random.default_rng(0))
    assert 0 < len(beside) < len(free)


def test_moving_the_world_moves_the_grasps(arm: PlainArm) -> None:
    target = detection("cup", 0.45, 0.1)
    T = RigidTransform.from_components([0.1, -0.2, 0.05], Rotation.from_euler("z", 0.7))
    shifted = replace(scene(moved(target, T)), table=TablePlane(UP, 0.05))
    before = object_grasps(target, scene(target), arm, rng=np.random.default_rng(0))
    after = object_grasps(shifted.target, shifted, arm, rng=np.random.default_rng(0))
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(T.as_matrix() @ a.T_world_tool, b.T_world_tool, atol=1e-9)


def test_mug_grasps_keep_away_from_the_handle(arm: PlainArm) -> None:
    target = detection("mug", 0.45, 0.1, 0.4)
    grasps = [
        grasp
        for grasp in object_grasps(target, scene(target), arm, rng=np.random.default_rng(0))
        if grasp.kind == "antipodal"
    ]
    handle = target.T_world_object.rotation.as_matrix()[:, 0]
    assert grasps
    for grasp in grasps:
        assert abs(grasp.T_world_tool[:3, 1] @ handle) < np.cos(np.deg2rad(39))


def test_pushes_stand_behind_the_block_and_near_the_table(arm: PlainArm) -> None:
    target, ahead = detection("block", 0.45, 0.0, 0.2), np.array([0.6, 0.8, 0.0])
    pushes = push_contacts(target, ahead, scene(target), arm)
    assert len(pushes) == 4
    for push in pushes:
        offset = push.T_world_tool[:3, 3] - target.T_world_object.translation
        assert offset @ ahead < -0.02
        assert abs(np.cross(ahead, offset)[2]) < 1e-9
        assert arm.gripper.tip < push.T_world_tool[2, 3] < 0.03
        assert push.approach @ ahead > 0


def test_a_push_needs_a_direction(arm: PlainArm) -> None:
    target = detection("block", 0.45, 0.0)
    with pytest.raises(ShapeError, match="horizontal direction"):
        push_contacts(target, UP, scene(target), arm)


def test_handle_grasps_close_across_the_bar(arm: PlainArm) -> None:
    target = detection("drawer", 0.5, 0.0, np.pi - 0.2)
    grasps = handle_grasps(target, scene(target), arm)
    bar = target.T_world_object.rotation.as_matrix()[:, 1]
    assert len({round(float(grasp.approach[2]), 2) for grasp in grasps}) >= 4
    assert all(abs(grasp.T_world_tool[:3, 1] @ bar) < 1e-9 for grasp in grasps)


def test_ranked_grasps_carry_the_object_along_the_whole_path(arm: PlainArm) -> None:
    target = detection("block", 0.45, 0.1, 0.3)
    world = scene(target, detection("disc", 0.5, -0.15), q=arm.home)
    candidate = carry(target, [0.15 * UP, np.array([0.05, -0.25, 0.15]), np.array([0.05, -0.25, 0.004])])
    grasps = object_grasps(target, world, arm, rng=np.random.default_rng(0))
    result = rank_grasps(grasps, candidate, world, arm, rng=np.random.default_rng(0))  # type: ignore[arg-type]
    assert len(result.ranked) == 3
    for ranked in result.ranked:
        ends = [chain_tool(arm.placements, arm.axes, q) @ ranked.grasp.T_tool_object for q in ranked.q_path]
        np.testing.assert_allclose(ends, candidate.Ts_world_object.as_matrix(), atol=5e-3)
        np.testing.assert_allclose(np.stack(ends)[:, :3, 3], candidate.Ts_world_object.translation, atol=5e-4)
        assert np.abs(np.diff(ranked.q_path, axis=0)).max() < 0.7
        np.testing.assert_allclose(ranked.q_approach[-1], ranked.q_path[0])


def test_a_path_out_of_reach_leaves_no_grasp_and_says_so(arm: PlainArm) -> None:
    target = detection("block", 0.45, 0.1)
    world, candidate = scene(target, q=arm.home), carry(target, [0.1 * UP, np.array([0.9, 0.0, 0.1])])
    grasps = object_grasps(target, world, arm, rng=np.random.default_rng(0))
    result = rank_grasps(grasps, candidate, world, arm, rng=np.random.default_rng(0))  # type: ignore[arg-type]
    assert result.ranked == []
    assert "out of reach" in result.reason


def test_a_wall_across_the_goal_leaves_no_grasp(arm: PlainArm) -> None:
    target = detection("block", 0.45, 0.1)
    grid = np.stack(np.meshgrid(np.linspace(-0.1, 0.1, 30), np.linspace(-0.1, 0.1, 30), [0.09]), axis=-1).reshape(-1, 3)
    world = replace(scene(target, q=arm.home), obstacles_world=grid + np.array([0.5, -0.15, 0.0]))
    candidate = carry(target, [0.2 * UP, np.array([0.05, -0.25, 0.0])])
    grasps = object_grasps(target, world, arm, rng=np.random.default_rng(0))
    result = rank_grasps(grasps, candidate, world, arm, rng=np.random.default_rng(0))  # type: ignore[arg-type]
    assert result.ranked == []
    assert "hit something" in result.reason


def test_a_round_object_may_turn_about_its_axis_on_the_way(arm: PlainArm) -> None:
    cup, block = detection("cup", 0.45, 0.1), detection("block", 0.45, 0.1)
    np.testing.assert_array_equal(free_axis_of(cup, arm, "grasp"), UP)  # type: ignore[arg-type]
    assert not free_axis_of(block, arm, "grasp").any()  # type: ignore[arg-type]
    assert not free_axis_of(cup, arm, "push").any()  # type: ignore[arg-type]


def test_normals_of_a_noisy_plane_point_to_the_camera() -> None:
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.05, 0.05, (400, 2)), rng.normal(0, 5e-4, 400)])
    normals = estimate_normals(points, points[:50], np.array([0.2, 0.1, 1.0]))
    assert (normals[:, 2] > np.cos(np.deg2rad(20))).all()
