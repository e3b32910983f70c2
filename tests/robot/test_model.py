from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pybullet
import pytest

from armflow.robot import embodiments
from armflow.robot.description import read_embodiment
from armflow.robot.embodiments import ARMS, load_arm
from armflow.robot.errors import ChoiceError, FormatError, RobotError, ShapeError
from armflow.robot.pinocchio_arm import PinocchioArm
from armflow.robot.self_collision import self_distance
from armflow.robot.urdf import TOOL_LINK, compose, link_triangles
from tests.robot.boxes import write_arm


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ARMFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path


def distance_to_capsules(points, a, b, radius):
    """Distance [N] of points [N, 3] from the nearest of capsules, negative inside, m."""
    gaps = []
    for start, end, r in zip(a, b, radius, strict=True):
        along = end - start
        share = np.clip((points - start) @ along / max(along @ along, 1e-12), 0.0, 1.0)
        gaps.append(np.linalg.norm(points - start - share[:, None] * along, axis=1) - r)
    return np.min(gaps, axis=0)


@pytest.mark.parametrize("name", ARMS)
def test_home_keeps_the_limits_the_workspace_and_a_distance_from_itself(name):
    arm = load_arm(name)
    tool, c = arm.tool(arm.home).translation, arm.capsules
    assert (arm.workspace[0] <= tool).all()
    assert (tool <= arm.workspace[1]).all()
    assert self_distance(arm.frames(arm.home), c.frame, c.a, c.b, c.radius, arm.self_pairs).min() > 0.0


@pytest.mark.parametrize("name", ARMS)
def test_capsules_contain_every_corner_of_the_collision_geometry(name):
    arm = load_arm(name)
    embodiment = read_embodiment(Path(embodiments.__path__[0]) / f"{name}.yaml")
    root = compose(embodiment)
    opened = dict(zip(arm.gripper.joints, arm.gripper.open, strict=True))
    reference = PinocchioArm.from_urdf(ElementTree.tostring(root, encoding="unicode"), arm.joint_names, opened, "tool")
    q = np.random.default_rng(0).uniform(arm.q_min, arm.q_max)  # a posture where few links hide behind others
    frames, (a, b) = arm.frames(q), arm.capsule_ends(q)
    for link in root.findall("link"):
        corners = np.unique(link_triangles(link).reshape(-1, 3), axis=0)
        joint, T_joint_link = reference.link_frame(link.get("name", ""))
        T = T_joint_link if joint < 0 else frames[joint] @ T_joint_link
        points = corners @ T[:3, :3].T + T[:3, 3]
        assert len(points) == 0 or distance_to_capsules(points, a, b, arm.capsules.radius).max() < 1e-6


@pytest.mark.parametrize("name", ARMS)
def test_composed_urdf_moves_alike_in_pybullet(name):
    arm, client = load_arm(name), pybullet.connect(pybullet.DIRECT)
    try:
        body = pybullet.loadURDF(str(arm.urdf_path()), useFixedBase=True, physicsClientId=client)
        joints = [pybullet.getJointInfo(body, j, client) for j in range(pybullet.getNumJoints(body, client))]
        rows = {joint[1].decode(): joint[0] for joint in joints}
        links = {joint[12].decode(): joint[0] for joint in joints}
        assert {*arm.joint_names, *arm.finger_joints} <= set(rows)
        for joint, q in zip(arm.joint_names, arm.home, strict=True):
            pybullet.resetJointState(body, rows[joint], q, physicsClientId=client)
        state = pybullet.getLinkState(body, links[TOOL_LINK], computeForwardKinematics=True, physicsClientId=client)
        np.testing.assert_allclose(state[4], arm.tool(arm.home).translation, atol=1e-6)  # single precision inside
    finally:
        pybullet.disconnect(client)


@pytest.mark.parametrize("name", ARMS)
def test_pads_meet_at_the_tool_and_open_along_y(name):
    hand = load_arm(name).gripper
    assert 0.06 < hand.max_width < 0.1
    assert 0.0 < hand.tip < hand.finger_depth
    np.testing.assert_array_equal(hand.positions(0.0), hand.closed)
    np.testing.assert_array_equal(hand.positions(2.0), hand.open)


def test_closing_moves_the_finger_capsules_inwards():
    arm = load_arm("panda")
    shift = arm.capsules_at(0.0).a - arm.capsules.a
    np.testing.assert_allclose(shift[:, 1], -arm.capsules.side * arm.gripper.max_width / 2)
    assert (arm.capsules.side != 0).any()


def test_a_complete_description_loads(folder):
    arm = load_arm(write_arm(folder))
    assert (arm.name, arm.dof, arm.joint_names) == ("two", 2, ("turn", "bend"))
    np.testing.assert_allclose(arm.tool(np.zeros(2)).translation[:2], 0.0, atol=1e-12)


def test_an_arm_comes_out_of_the_cache_as_it_went_in(folder):
    path = write_arm(folder)
    first = load_arm(path)
    embodiments._load.cache_clear()
    second = load_arm(path)
    np.testing.assert_array_equal(first.capsules.a, second.capsules.a)
    np.testing.assert_array_equal(first.placements, second.placements)


def test_unknown_arm_is_refused_with_the_choices():
    with pytest.raises(ChoiceError, match=r"no arm 'pandda'; choose from panda, iiwa"):
        load_arm("pandda")


@pytest.mark.parametrize("field", ["v_max", "a_max", "gripper", "home", "joints", "workspace", "bench", "urdf"])
def test_a_missing_field_is_named(folder, field):
    with pytest.raises(RobotError, match=rf"two.*{field}.*missing"):
        load_arm(write_arm(folder, without=field))


def test_missing_position_limits_name_the_joint(folder):
    with pytest.raises(RobotError, match="joint 'turn': q_min is missing"):
        load_arm(write_arm(folder, limits=""))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[turn, bend]", "[turn, bnd]", "no joint 'bnd'; this URDF has turn, bend"),
        ("link: tip", "link: hand", "no link 'hand'; this URDF has base, link_bend, tip"),
        ("[5.0, 5.0]", "[5.0]", "'a_max' must be 2 finite numbers"),
        ("[5.0, 5.0]", "[5.0, 0.0]", "joint 'bend': a_max is missing"),
        ("home: [0.1, 0.2]", "home: [0.1, 2.5]", "joint 'bend': home 2.5 rad is outside -2.0 to 2.0"),
        ("low: [0.0", "low: [0.9", "workspace low"),
    ],
)
def test_contradictions_are_named(folder, old, new, message):
    path = write_arm(folder)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RobotError, match=message):
        load_arm(path)


def test_a_missing_urdf_says_where_it_was_looked_for(folder):
    path = write_arm(folder)
    (folder / "two.urdf").unlink()
    with pytest.raises(FormatError, match=r"two.urdf: urdf: no such file; looked for .*two.urdf"):
        load_arm(path)


def test_arrays_of_wrong_shape_are_refused():
    arm = load_arm("panda")
    with pytest.raises(ShapeError, match="home must be an array"):
        replace(arm, home=arm.home[:3])


def test_a_fixed_joint_may_share_its_name_with_a_link(folder):
    path = write_arm(folder)
    plate = '<link name="plate"/><joint name="plate" type="fixed"><parent link="tip"/><child link="plate"/></joint>'
    text = (folder / "two.urdf").read_text()
    (folder / "two.urdf").write_text(text.replace("</robot>", plate + "</robot>"))
    assert load_arm(path).dof == 2


def test_a_collision_mesh_that_cannot_be_read_is_refused(folder):
    path = write_arm(folder)
    (folder / "tip.dae").write_text("<COLLADA/>")
    text = (folder / "two.urdf").read_text()
    (folder / "two.urdf").write_text(text.replace('<box size="0.1 0.1 0.1"/>', '<mesh filename="tip.dae"/>'))
    with pytest.raises(FormatError, match=r"tip.dae: collision mesh: '.dae' cannot be read; use .obj or .stl"):
        load_arm(path)
