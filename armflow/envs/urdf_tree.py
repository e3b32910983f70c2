"""Frames of all links of a URDF, for drawing and for placing finger pads; plain matrices, no library."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

__all__ = ["UrdfTree", "origin_matrix"]


def _numbers(text: str | None, default: str) -> np.ndarray:
    return np.array((text or default).split(), dtype=float)


def origin_matrix(element: ElementTree.Element) -> np.ndarray:
    """Return the <origin> of a joint or shape as a matrix [4, 4], m; the identity where there is none."""
    T = np.eye(4)
    origin = element.find("origin")
    if origin is not None:
        T[:3, :3] = Rotation.from_euler("xyz", _numbers(origin.get("rpy"), "0 0 0")).as_matrix()
        T[:3, 3] = _numbers(origin.get("xyz"), "0 0 0")
    return T


@dataclass(frozen=True, slots=True)
class _Joint:
    name: str
    parent: str
    child: str
    slides: bool
    moves: bool
    axis: np.ndarray
    T_parent_joint: np.ndarray


def _read_joint(joint: ElementTree.Element) -> _Joint:
    parent, child = ("" if (end := joint.find(tag)) is None else end.get("link", "") for tag in ("parent", "child"))
    axis = joint.find("axis")
    unit = _numbers(None if axis is None else axis.get("xyz"), "1 0 0")
    unit = unit / max(float(np.linalg.norm(unit)), 1e-12)
    kind = joint.get("type", "fixed")
    return _Joint(
        joint.get("name", ""), parent, child, kind == "prismatic", kind != "fixed", unit, origin_matrix(joint)
    )


class UrdfTree:
    """The joints of a URDF from the root outwards.

    Attributes:
        root: Name of the root link.
    """

    def __init__(self, robot: ElementTree.Element) -> None:
        joints = [_read_joint(joint) for joint in robot.findall("joint")]
        children = {joint.child for joint in joints}
        self.root = next(name for link in robot.findall("link") if (name := link.get("name", "")) not in children)
        self._joints: list[_Joint] = []
        reached = {self.root}
        while joints:
            ready = [joint for joint in joints if joint.parent in reached]
            if not ready:
                break  # links that hang on nothing are not drawn
            self._joints += ready
            reached |= {joint.child for joint in ready}
            joints = [joint for joint in joints if joint.child not in reached]

    def frames(self, positions: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Frames of all links.

        Args:
            positions: Joint name -> rad or m; joints left out stand at 0.

        Returns:
            Link name -> T_root_link [4, 4], m.
        """
        frames = {self.root: np.eye(4)}
        for joint in self._joints:
            T = frames[joint.parent] @ joint.T_parent_joint
            value = positions.get(joint.name, 0.0)
            if joint.moves and value:
                T = T @ _moved(joint, value)
            frames[joint.child] = T
        return frames


def _moved(joint: _Joint, value: float) -> np.ndarray:
    """The motion of a joint: a slide along its axis, or a turn about it (Rodrigues)."""
    T = np.eye(4)
    if joint.slides:
        T[:3, 3] = value * joint.axis
        return T
    x, y, z = joint.axis
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    T[:3, :3] += np.sin(value) * K + (1 - np.cos(value)) * (K @ K)
    return T
