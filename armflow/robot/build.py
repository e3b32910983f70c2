"""Build a `RobotModel` from an embodiment: compose the URDF, read the chain, fit the capsules, or take them cached."""

import hashlib
import io
import logging
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from armflow.robot import capsules as capsules_module
from armflow.robot import meshes, urdf
from armflow.robot.cache import cache_dir, write_atomic
from armflow.robot.capsules import Capsules, fit_capsules
from armflow.robot.description import Embodiment
from armflow.robot.errors import RobotError
from armflow.robot.model import Gripper, RobotModel
from armflow.robot.self_collision import find_self_pairs

if TYPE_CHECKING:
    from armflow.robot.pinocchio_arm import PinocchioArm

__all__ = ["build_model"]

_log = logging.getLogger(__name__)
_SIZES = ("max_width", "tip", "finger_depth", "finger_thickness", "pad_width", "pad_height")
_SPACING = 0.012  # between the surface points that capsules must contain, m


def build_model(embodiment: Embodiment) -> RobotModel:
    """Build the model of an arm; quick when the composed URDF and the capsules are in the cache.

    Raises:
        RobotError: A limit is missing, or the description contradicts the URDF; the message names the field.
        FormatError: A file cannot be read.
    """
    key = _key(embodiment)
    record = cache_dir() / "arms" / f"{embodiment.name}-{key}.npz"
    parts = _load(record)
    if parts is None:
        parts = _compute(embodiment)
        _save(record, parts)
    return _assemble(embodiment, parts)


def _key(embodiment: Embodiment) -> str:
    """A hash of everything that the computed files depend on, this code included."""
    source = urdf.find_urdf(embodiment.urdf, embodiment.path.parent)
    code = [Path(str(module.__file__)) for module in (urdf, meshes, capsules_module)] + [Path(__file__)]
    files = [embodiment.path, source, Path(__file__).with_name("parallel_gripper.urdf"), *code]
    files.append(Path(__file__).with_name("self_collision.py"))
    digest = hashlib.sha256(str(source).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _load(path: Path) -> dict[str, np.ndarray] | None:
    """Read cached parts; None when they, or the URDF that they name, are gone or unreadable."""
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = dict(file)
        return parts if Path(str(parts["urdf"])).is_file() and _meshes_exist(Path(str(parts["urdf"]))) else None
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _meshes_exist(path: Path) -> bool:
    return all(Path(mesh.get("filename", "")).is_file() for mesh in ElementTree.parse(path).iter("mesh"))


def _save(path: Path, parts: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **parts)  # type: ignore[arg-type]
    try:
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        _log.warning("cannot cache %s: %s", path, error)


def _compute(embodiment: Embodiment) -> dict[str, np.ndarray]:
    """Everything slow: the composed URDF, the chain and its limits, the capsules and their pairs."""
    from armflow.robot.pinocchio_arm import PinocchioArm  # loads slowly, and a cached arm does without

    root = urdf.compose(embodiment)
    text = ElementTree.tostring(root, encoding="unicode")
    gripper = embodiment.gripper
    opened = dict(zip(gripper.joints, gripper.open, strict=True))
    limits = _limits(embodiment, root)  # first, as pinocchio's parser says less about a limit that is missing
    arm = PinocchioArm.from_urdf(text, embodiment.joints, opened, urdf.TOOL_LINK)
    clouds = _link_clouds(root, arm, gripper.joints)
    parts = {"urdf": np.array(str(urdf.write_composed(root, embodiment.name))), **limits}
    parts |= {"placements": arm.placements, "axes": arm.axes}
    parts |= _fit(clouds) | _measure_gripper(clouds, embodiment)
    for low, high, name in zip(limits["q_min"], limits["q_max"], embodiment.joints, strict=True):
        if not low < high:
            raise RobotError(f"robot {embodiment.name}: joint '{name}': position limits are missing")
    fitted = Capsules(*(parts[name] for name in ("frame", "a", "b", "radius", "side")))
    home = np.array(embodiment.home)
    pairs = find_self_pairs(arm.placements, arm.axes, fitted, (limits["q_min"], limits["q_max"]), home)
    names = parts["links"].tolist()
    ignored = [set(pair) for pair in embodiment.ignore_pairs]
    parts["self_pairs"] = pairs[[{names[i], names[j]} not in ignored for i, j in pairs]].reshape(-1, 2)
    return parts


def _limits(embodiment: Embodiment, root: ElementTree.Element) -> dict[str, np.ndarray]:
    """Position, velocity and acceleration limits [D] of the arm joints, from the YAML file, else from the URDF.

    Raises:
        RobotError: A limit is in neither.
    """
    joints = {joint.get("name"): joint for joint in root.findall("joint")}
    table: dict[str, list[float]] = {"q_min": [], "q_max": [], "v_max": [], "a_max": []}
    for index, name in enumerate(embodiment.joints):
        soft, hard = joints[name].find("safety_controller"), joints[name].find("limit")
        given = {key: values[index] for key, values in embodiment.limits.items()}
        for key, attribute in (
            ("q_min", "lower"),
            ("q_max", "upper"),
            ("v_max", "velocity"),
            ("a_max", "acceleration"),
        ):
            value = given.get(key, None if hard is None else hard.get(attribute))
            bound = None if soft is None or key in given else soft.get(f"soft_{attribute}_limit")
            value = value if bound is None else bound
            if value is None or (key[1:] == "_max" and key != "q_max" and not float(value) > 0):
                raise RobotError(f"robot {embodiment.name}: joint '{name}': {key} is missing in URDF and YAML")
            table[key].append(float(value))
    return {key: np.array(values) for key, values in table.items()}


def _link_clouds(root: ElementTree.Element, arm: "PinocchioArm", fingers: tuple[str, ...]) -> dict[str, tuple]:
    """Surface points of every link: name -> (frame row, finger side, points [N, 3] in that frame, m).

    The hand, to which the fingers are joined, and the fingers are in the tool frame, fingers open.
    """
    dof = arm.model.njoints - 1
    T_tool_last = np.linalg.inv(arm.placements[-1])
    ends = {joint.get("name"): urdf.joint_ends(joint) for joint in root.findall("joint")}
    hands = {ends[name][0] for name in fingers}
    tips = {ends[name][1] for name in fingers}
    clouds = {}
    for link in root.findall("link"):
        name, triangles = link.get("name", ""), urdf.link_triangles(link)
        if len(triangles) == 0:
            continue
        joint, T = arm.link_frame(name)
        row = dof + 1 if joint < 0 else joint
        if name in hands | tips:
            row, T = dof, T_tool_last @ T
        points = meshes.surface_points(triangles, _SPACING) @ T[:3, :3].T + T[:3, 3]
        side = np.sign(points[:, 1].mean()) if name in tips else 0.0
        clouds[name] = (row, side, points)
    return clouds


def _fit(clouds: dict[str, tuple]) -> dict[str, np.ndarray]:
    rows = []
    for name, (row, side, points) in clouds.items():
        rows += [(name, row, side, a, b, r) for a, b, r in fit_capsules(points)]
    links, frame, side, a, b, radius = zip(*rows, strict=True)
    return {
        "links": np.array(links),
        "frame": np.array(frame, np.int64),
        "side": np.array(side, float),
        "a": np.array(a),
        "b": np.array(b),
        "radius": np.array(radius),
    }


def _measure_gripper(clouds: dict[str, tuple], embodiment: Embodiment) -> dict[str, np.ndarray]:
    """Sizes of the open gripper, from the geometry of its fingers and palm in the tool frame."""
    if not embodiment.gripper.joints:  # a rod neither opens nor holds
        return {key: np.array(0.0) for key in _SIZES}
    row = max(row for row, _, _ in clouds.values() if row <= len(embodiment.joints))
    fingers = [points for _, side, points in clouds.values() if side != 0]
    palm = [points for r, side, points in clouds.values() if r == row and side == 0]
    if not fingers or row != len(embodiment.joints):
        raise RobotError(f"robot {embodiment.name}: gripper: its finger joints carry no collision geometry")
    points = np.concatenate(fingers)
    tip = points[:, 2].max()
    pad_height = 2 * min(tip, 0.02)
    inner = [np.abs(finger[np.abs(finger[:, 2]) < pad_height / 2 + 1e-4][:, 1]).min() for finger in fingers]
    front = np.concatenate(palm)[:, 2].max() if palm else points[:, 2].min()
    thickness = max(np.ptp(finger[:, 1]) for finger in fingers)
    width = max(np.ptp(finger[:, 0]) for finger in fingers)
    values = (sum(inner), tip, tip - front, thickness, width, pad_height)
    return {key: np.array(float(value)) for key, value in zip(_SIZES, values, strict=True)}


def _assemble(embodiment: Embodiment, parts: dict[str, np.ndarray]) -> RobotModel:
    gripper = Gripper(
        embodiment.gripper.joints,
        np.array(embodiment.gripper.open),
        np.array(embodiment.gripper.closed),
        *(float(parts[name]) for name in _SIZES),
    )
    return RobotModel(
        name=embodiment.name,
        joint_names=embodiment.joints,
        **{name: parts[name] for name in ("q_min", "q_max", "v_max", "a_max", "placements", "axes", "self_pairs")},
        home=np.array(embodiment.home),
        gripper=gripper,
        capsules=Capsules(*(parts[name] for name in ("frame", "a", "b", "radius", "side"))),
        workspace=np.array(embodiment.workspace),
        bench_center=np.array(embodiment.bench_center),
        bench_half=np.array(embodiment.bench_half),
        urdf_file=Path(str(parts["urdf"])),
        tool_link=urdf.TOOL_LINK,
    )
