"""The arm's URDF as the physics takes it: with flat finger pads, and without what only the eye needs.

A pad is a box on each fingertip that is made of a mesh: Bullet finds one point of contact a step between a convex mesh
and a box, and what is held by two points turns freely. Two boxes meet in up to eight points, which is how pads hold.
"""

import xml.etree.ElementTree as ElementTree

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.urdf_tree import UrdfTree
from armflow.robot.model import Gripper

__all__ = ["physics_urdf"]

_PROUD = 0.0018  # m by which a pad stands out of the mesh: more than Bullet's margin, within which normals may flip
_THICKNESS = 0.006  # m


def physics_urdf(urdf: str, gripper: Gripper, tool_link: str, *, visuals: bool) -> str:
    """Add a pad to each sliding finger whose collision shape is a mesh; boxes are left as they are.

    Args:
        urdf: The composed URDF.
        gripper: Its gripper; the pads' inner faces are `max_width` apart when it is open, less what they stand out.
        tool_link: Name of the tool's link.
        visuals: Whether to keep the visual shapes, which take pybullet a second to load.

    Returns:
        The URDF.
    """
    robot = ElementTree.fromstring(urdf)
    for link in robot.findall("link"):
        for visual in () if visuals else link.findall("visual"):
            link.remove(visual)
    joints = {joint.get("name"): joint for joint in robot.findall("joint")}
    links = {link.get("name"): link for link in robot.findall("link")}
    tree = UrdfTree(robot)
    opened = tree.frames(dict(zip(gripper.joints, gripper.open.tolist(), strict=True)))
    closed = tree.frames(dict(zip(gripper.joints, gripper.closed.tolist(), strict=True)))
    T_tool_root = np.linalg.inv(opened[tool_link])
    for name in gripper.joints:
        child = joints[name].find("child")
        finger = "" if child is None else child.get("link", "")
        if joints[name].get("type") != "prismatic" or links[finger].find("collision/geometry/mesh") is None:
            continue
        side = np.sign((T_tool_root @ (opened[finger] - closed[finger]))[1, 3])
        center = np.array([0.0, side * (gripper.max_width / 2 - _PROUD + _THICKNESS / 2), 0.0, 1.0])
        T_finger_tool = np.linalg.inv(T_tool_root @ opened[finger])
        size = (gripper.pad_width, _THICKNESS, gripper.pad_height)
        _add_box(links[finger], (T_finger_tool @ center)[:3], T_finger_tool[:3, :3], size)
    return ElementTree.tostring(robot, encoding="unicode")


def _add_box(link: ElementTree.Element, center: np.ndarray, turn: np.ndarray, size: tuple[float, float, float]) -> None:
    rpy = Rotation.from_matrix(turn).as_euler("xyz")
    pad = ElementTree.SubElement(link, "collision")
    ElementTree.SubElement(pad, "origin", xyz="{} {} {}".format(*center), rpy="{} {} {}".format(*rpy))
    ElementTree.SubElement(ElementTree.SubElement(pad, "geometry"), "box", size="{} {} {}".format(*size))
