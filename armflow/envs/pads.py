"""Flat finger pads for the physics: a box on each fingertip that is made of a mesh.

Bullet finds one point of contact a step between a convex mesh and a box, and what is held by two points turns freely.
Two boxes meet in up to eight points, which is how flat pads hold.
"""

import xml.etree.ElementTree as ElementTree

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.robot.model import Gripper

__all__ = ["with_pads"]

_PROUD = 0.0010  # m by which a pad stands out of the mesh, so that it is the pad that touches
_THICKNESS = 0.006  # m


def _numbers(text: str | None) -> list[float]:
    return [float(word) for word in (text or "0 0 0").split()]


def _origin(element: ElementTree.Element) -> RigidTransform:
    origin = element.find("origin")
    if origin is None:
        return RigidTransform.identity()
    turn = Rotation.from_euler("xyz", _numbers(origin.get("rpy")))
    return RigidTransform.from_components(_numbers(origin.get("xyz")), turn)


def _root_to(robot: ElementTree.Element, link: str, positions: dict[str, float]) -> RigidTransform:
    """T_root_link with the named sliding joints at their positions and all others at 0."""
    above = {joint.find("child").get("link"): joint for joint in robot.findall("joint")}  # type: ignore[union-attr]
    T = RigidTransform.identity()
    while link in above:
        joint = above[link]
        axis = joint.find("axis")
        slide = positions.get(joint.get("name", ""), 0.0) * np.array(
            _numbers(None if axis is None else axis.get("xyz"))
        )
        T = _origin(joint) * RigidTransform.from_translation(slide) * T
        link = joint.find("parent").get("link")  # type: ignore[union-attr]
    return T


def with_pads(urdf: str, gripper: Gripper, tool_link: str) -> str:
    """Add a pad to each sliding finger whose collision shape is a mesh.

    Args:
        urdf: The composed URDF.
        gripper: Its gripper; the pads' inner faces are `max_width` apart when it is open.
        tool_link: Name of the tool's link.

    Returns:
        The URDF with the pads; unchanged where the fingers are boxes already.
    """
    robot = ElementTree.fromstring(urdf)
    joints = {joint.get("name"): joint for joint in robot.findall("joint")}
    links = {link.get("name"): link for link in robot.findall("link")}
    opened = dict(zip(gripper.joints, gripper.open.tolist(), strict=True))
    T_root_tool = _root_to(robot, tool_link, opened)
    for name in gripper.joints:
        joint = joints[name]
        finger = joint.find("child").get("link")  # type: ignore[union-attr]
        if joint.get("type") != "prismatic" or links[finger].find("collision/geometry/mesh") is None:
            continue
        T_tool_finger = T_root_tool.inv() * _root_to(robot, str(finger), opened)
        T_tool_shut = T_root_tool.inv() * _root_to(robot, str(finger), {})
        side = np.sign((T_tool_finger.translation - T_tool_shut.translation)[1])
        center = [0.0, side * (gripper.max_width / 2 - _PROUD + _THICKNESS / 2), 0.0]
        T = T_tool_finger.inv() * RigidTransform.from_translation(center)
        xyz, rpy = T.translation, T.rotation.as_euler("xyz")
        size = (gripper.pad_width, _THICKNESS, gripper.pad_height)
        pad = ElementTree.SubElement(links[finger], "collision")
        ElementTree.SubElement(pad, "origin", xyz="{} {} {}".format(*xyz), rpy="{} {} {}".format(*rpy))
        ElementTree.SubElement(ElementTree.SubElement(pad, "geometry"), "box", size="{} {} {}".format(*size))
    return ElementTree.tostring(robot, encoding="unicode")
