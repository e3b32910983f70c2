"""What a URDF says about an arm: its chain of turning joints and, perhaps, its fingers."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.robot.errors import ChoiceError, RobotError
from armflow.robot.urdf import joint_ends, link_triangles, read_urdf

__all__ = ["UrdfTree", "read_tree"]

TURNING = ("revolute", "continuous")
PAD = 0.01  # the tool is this far behind the fingertips, m


@dataclass(frozen=True, slots=True)
class UrdfTree:
    """An arm of D joints as found in a URDF.

    Attributes:
        base: First link.
        joints: D names of turning joints, base to tip.
        q_min: [D] lower limits, rad; -pi where the URDF has none (loading the arm then names the joint).
        q_max: [D] upper limits, rad.
        hand_lines: Lines of YAML that describe the gripper.
        hand_note: The same in words.
    """

    base: str
    joints: tuple[str, ...]
    q_min: np.ndarray
    q_max: np.ndarray
    hand_lines: tuple[str, ...]
    hand_note: str


def read_tree(path: Path, base: str = "", tip: str = "") -> UrdfTree:
    """Find the arm in a URDF.

    Args:
        path: The file.
        base: First link; the root if empty.
        tip: Last link; the end of the chain with the most turning joints if empty.

    Raises:
        FormatError: The file is no URDF.
        ChoiceError: It has no link of that name.
        RobotError: There is no turning joint between base and tip.
    """
    root = read_urdf(path)
    links = [str(link.get("name")) for link in root.findall("link")]
    above = {joint_ends(joint)[1]: joint for joint in root.findall("joint")}
    base = base or next(link for link in links if link not in above)
    for name in (base, tip or base):
        if name not in links:
            raise ChoiceError("link", name, links)
    fingers = _fingers(root, above)
    chain = _chain(above, base, tip) if tip else max((_chain(above, base, link) for link in links), key=_rank)
    turning = [joint for joint in chain if joint.get("type") in TURNING]
    if not turning:
        raise RobotError(f"robot {path.stem}: no turning joint between '{base}' and '{tip or 'any link'}'")
    tip = tip or joint_ends(chain[-1])[1]
    lines, note = _own_hand(root, fingers) if len(fingers) == 2 else _parallel_hand(tip)
    low = np.array([_limit(joint, "lower", -np.pi) for joint in turning])
    high = np.array([_limit(joint, "upper", np.pi) for joint in turning])
    return UrdfTree(base, tuple(str(joint.get("name")) for joint in turning), low, high, lines, note)


def _chain(above: dict[str, Element], base: str, link: str) -> list[Element]:
    """Joints from base to link; empty when the link is not below the base."""
    joints: list[Element] = []
    while link != base:
        if link not in above:
            return []
        joints.append(above[link])
        link = joint_ends(above[link])[0]
    return joints[::-1]


def _rank(chain: list[Element]) -> tuple[int, bool, int]:
    """Most turning joints first, then a flange by name, then the longer chain; none through a sliding joint.

    ROS-Industrial's names for a flange with z pointing out are tool0 and flange.
    """
    slides = any(joint.get("type") == "prismatic" for joint in chain)
    turning = -1 if slides else sum(joint.get("type") in TURNING for joint in chain)
    return turning, bool(chain) and joint_ends(chain[-1])[1] in ("tool0", "flange"), len(chain)


def _fingers(root: Element, above: dict[str, Element]) -> list[Element]:
    """Sliding joints on one common link, with turning joints somewhere before it."""
    slides = [joint for joint in root.findall("joint") if joint.get("type") == "prismatic"]
    parents = {joint_ends(joint)[0] for joint in slides}
    return slides if len(slides) == 2 and len(parents) == 1 and next(iter(parents)) in above else []


def _parallel_hand(tip: str) -> tuple[tuple[str, ...], str]:
    lines = (
        "gripper:",
        "  kind: parallel   # armflow's own gripper, as the URDF has none with two sliding fingers",
        f"  mount: {{link: {tip}, xyz: [0, 0, 0], rpy: [0, 0, 0]}}   # guess: z points out of this flange",
    )
    return lines, f"armflow's parallel gripper on '{tip}'"


def _own_hand(root: Element, fingers: list[Element]) -> tuple[tuple[str, ...], str]:
    """Measure the fingers: which way they close, which way they point, and where the pads meet."""
    palm = joint_ends(fingers[0])[0]
    shapes = [_finger_points(root, joint) for joint in fingers]
    closing = _axis(fingers[0])
    points = np.concatenate(shapes)
    extents = points - closing * (points @ closing)[:, None]
    approach = max(_sideways(closing), key=lambda axis: float((extents @ axis).max()))
    origin = approach * float((points @ approach).max() - PAD)
    R = np.column_stack([np.cross(closing, approach), closing, approach])
    rpy = Rotation.from_matrix(R).as_euler("xyz")
    names = ", ".join(str(joint.get("name")) for joint in fingers)
    opened, closed = (_words(end) for end in zip(*(_ends(joint) for joint in fingers), strict=True))
    lines = (
        f"tool: {{link: {palm}, xyz: {_words(origin)}, rpy: {_words(rpy)}}}   # guess: between the pads",
        f"gripper: {{joints: [{names}], open: {opened}, closed: {closed}}}   # guess: which end is open",
    )
    return lines, f"its own gripper with {names}"


def _finger_points(root: Element, joint: Element) -> np.ndarray:
    """Corners [N, 3] of a finger's shapes in the palm's frame, at joint position 0."""
    link = next(one for one in root.findall("link") if one.get("name") == joint_ends(joint)[1])
    corners = np.asarray(link_triangles(link)).reshape(-1, 3)
    corners = corners if len(corners) else np.zeros((1, 3))
    return _origin(joint).apply(corners)


def _origin(joint: Element) -> RigidTransform:
    origin = joint.find("origin")
    xyz, rpy = ("0 0 0", "0 0 0") if origin is None else (origin.get("xyz", "0 0 0"), origin.get("rpy", "0 0 0"))
    rotation = Rotation.from_euler("xyz", np.fromstring(rpy, sep=" "))
    return RigidTransform.from_components(np.fromstring(xyz, sep=" "), rotation)


def _axis(joint: Element) -> np.ndarray:
    """Unit axis [3] along which a finger slides, in the palm's frame."""
    axis = joint.find("axis")
    direction = np.fromstring("1 0 0" if axis is None else axis.get("xyz", "1 0 0"), sep=" ")
    return _origin(joint).rotation.apply(direction / np.linalg.norm(direction))


def _sideways(axis: np.ndarray) -> list[np.ndarray]:
    """The four directions along the frame's axes that are square to `axis`, as far as they are."""
    square = [one for one in np.eye(3) if abs(one @ axis) < 0.5]
    return [sign * one for one in square for sign in (1.0, -1.0)]


def _ends(joint: Element) -> tuple[float, float]:
    """Positions of a finger, open and closed: closed is the end nearer to 0."""
    low, high = _limit(joint, "lower", 0.0), _limit(joint, "upper", 0.04)
    return (high, low) if abs(high) >= abs(low) else (low, high)


def _words(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def _limit(joint: Element, key: str, default: float) -> float:
    limit = joint.find("limit")
    text = None if limit is None or joint.get("type") == "continuous" else limit.get(key)
    return default if text is None else float(text)
