"""Compose one complete URDF, arm and gripper, with absolute mesh paths, limits and sane inertias."""

import copy
import hashlib
import importlib.util
import sysconfig
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.robot import meshes
from armflow.robot.cache import cache_dir, cached_file
from armflow.robot.description import Embodiment, Mount, Rod
from armflow.robot.errors import FormatError, RobotError

__all__ = ["TOOL_LINK", "compose", "find_urdf", "joint_ends", "link_triangles", "read_urdf", "write_composed"]

TOOL_LINK = "tool"
_GRIPPER_FILE = Path(__file__).with_name("parallel_gripper.urdf")
_EXAMPLE_DATA = "cmeel.prefix/share/example-robot-data/robots"


def find_urdf(source: str, beside: Path) -> Path:
    """Find the URDF file that a YAML file names.

    Args:
        source: "pybullet_data:…", "example-robot-data:…" (path inside that package's data), or a path.
        beside: Directory that a relative path starts from.

    Raises:
        FormatError: No such file; the message says where it was looked for.
    """
    package, _, rest = source.partition(":")
    if package == "pybullet_data":
        spec = importlib.util.find_spec("pybullet_data")
        places = [Path(place) / rest for place in (spec.submodule_search_locations or ())] if spec else []
    elif package == "example-robot-data":
        roots = [Path(sysconfig.get_path(key)) for key in ("purelib", "platlib")]
        spec = importlib.util.find_spec("pinocchio")
        if spec and spec.origin:  # the same wheel prefix, also where packages lie outside the environment
            roots += list(Path(spec.origin).parents)
        places = [root / _EXAMPLE_DATA / rest for root in roots]
    else:
        places = [beside / Path(source).expanduser()]
    for place in places:
        if place.is_file():
            return place.resolve()
    tried = ", ".join(dict.fromkeys(map(str, places))) or f"package {package} is not installed"
    raise FormatError(source, "urdf", f"no such file; looked for {tried}")


def read_urdf(path: Path) -> ElementTree.Element:
    """Read a URDF file, its mesh file names made absolute; only links, joints and materials are kept.

    Raises:
        FormatError: The file is no URDF, or a mesh file cannot be found.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise FormatError(path, "file", f"cannot be read as URDF: {error}") from None
    if root.tag != "robot":
        raise FormatError(path, "root element", f"is <{root.tag}>, not <robot>")
    for child in list(root):
        if child.tag not in ("link", "joint", "material"):
            root.remove(child)
    for mesh in root.iter("mesh"):
        mesh.set("filename", str(_find_mesh(mesh.get("filename", ""), path)))
    return root


def _find_mesh(name: str, urdf: Path) -> Path:
    bare = name.partition("://")[2] if "://" in name else name
    without_package = bare.partition("/")[2]
    for folder in urdf.parents:
        for candidate in (bare, without_package):
            if candidate and (folder / candidate).is_file():
                return (folder / candidate).resolve()
    raise FormatError(urdf, "mesh", f"no file {name}")


def compose(embodiment: Embodiment) -> ElementTree.Element:
    """Join arm and gripper into one robot with the embodiment's limits and a link named "tool".

    Raises:
        FormatError: A file cannot be read.
        RobotError: The embodiment names a link or joint that the URDF does not have.
    """
    root = read_urdf(find_urdf(embodiment.urdf, embodiment.path.parent))
    root.set("name", embodiment.name)
    _keep_below(root, embodiment.base_link, embodiment.drop_links)
    for name in embodiment.bare_links:
        _strip_geometry(_link(root, name))
    mount, rod = embodiment.gripper.mount, embodiment.gripper.rod
    if mount is None or rod is not None:
        ElementTree.SubElement(root, "link", name=TOOL_LINK)
        _attach(root, TOOL_LINK, embodiment.tool)
    if mount is not None and rod is not None:
        root.append(_rod_link(rod))
        _attach(root, "rod", mount)
    elif mount is not None:
        gripper = read_urdf(_GRIPPER_FILE)
        _scale_masses(gripper, embodiment.gripper.mass)
        _refuse_duplicates(root, gripper)
        root.extend(copy.deepcopy(list(gripper)))
        _attach(root, "gripper_palm", mount)
    _set_limits(root, embodiment)
    _part_names(root)
    for link in root.findall("link"):
        _set_sane_inertia(link)
    return root


def _link(root: ElementTree.Element, name: str) -> ElementTree.Element:
    for link in root.findall("link"):
        if link.get("name") == name:
            return link
    names = ", ".join(link.get("name", "") for link in root.findall("link"))
    raise RobotError(f"robot {root.get('name')}: no link '{name}'; this URDF has {names}")


def joint_ends(joint: ElementTree.Element) -> tuple[str, str]:
    """Names of a joint's parent and child links."""
    return tuple(joint.find(side).get("link") for side in ("parent", "child"))  # type: ignore[union-attr,return-value]


def _keep_below(root: ElementTree.Element, base: str, drop: Iterable[str]) -> None:
    """Remove every link that does not hang below the base, and those dropped with all below them."""
    _link(root, base)
    joints = root.findall("joint")
    kept, frontier, dropped = {base}, [base], set(drop)
    while frontier:
        parent = frontier.pop()
        below = [
            joint_ends(joint)[1]
            for joint in joints
            if joint_ends(joint)[0] == parent and joint_ends(joint)[1] not in dropped
        ]
        frontier += below
        kept.update(below)
    for link in root.findall("link"):
        if link.get("name") not in kept:
            root.remove(link)
    for joint in joints:
        if not kept.issuperset(joint_ends(joint)):
            root.remove(joint)


def _strip_geometry(link: ElementTree.Element) -> None:
    for element in link.findall("visual") + link.findall("collision"):
        link.remove(element)


def _attach(root: ElementTree.Element, child: str, mount: Mount) -> None:
    _link(root, mount.link)
    joint = ElementTree.SubElement(root, "joint", name=f"{child}_mount", type="fixed")
    ElementTree.SubElement(joint, "parent", link=mount.link)
    ElementTree.SubElement(joint, "child", link=child)
    ElementTree.SubElement(joint, "origin", xyz=_text(mount.xyz), rpy=_text(mount.rpy))


def _rod_link(rod: Rod) -> ElementTree.Element:
    """The link "rod": a dark cylinder from its frame's origin along z."""
    link = ElementTree.Element("link", name="rod")
    for tag in ("visual", "collision"):
        shape = ElementTree.SubElement(link, tag)
        ElementTree.SubElement(shape, "origin", xyz=_text((0, 0, rod.length / 2)), rpy="0 0 0")
        geometry = ElementTree.SubElement(shape, "geometry")
        ElementTree.SubElement(geometry, "cylinder", radius=_text((rod.radius,)), length=_text((rod.length,)))
        if tag == "visual":
            material = ElementTree.SubElement(shape, "material", name="rod")
            ElementTree.SubElement(material, "color", rgba="0.12 0.25 0.45 1")
    inertial = ElementTree.SubElement(link, "inertial")
    ElementTree.SubElement(inertial, "mass", value=repr(rod.mass))  # the moments follow from the shape
    return link


def _text(numbers: Iterable[float]) -> str:
    return " ".join(f"{number:.12g}" for number in numbers)


def _refuse_duplicates(arm: ElementTree.Element, gripper: ElementTree.Element) -> None:
    names = {(element.tag, element.get("name")) for element in arm}
    clash = [f"{e.tag} '{e.get('name')}'" for e in gripper if (e.tag, e.get("name")) in names]
    if clash:
        raise RobotError(f"robot {arm.get('name')}: {', '.join(clash)} is also a name in the parallel gripper")


def _set_limits(root: ElementTree.Element, embodiment: Embodiment) -> None:
    """Write the embodiment's limits into the joints; a continuous joint becomes revolute within ±2 pi."""
    found = {joint.get("name"): joint for joint in root.findall("joint")}
    for name in (*embodiment.joints, *embodiment.gripper.joints):
        if name not in found:
            choices = ", ".join(key for key, joint in found.items() if key and joint.get("type") != "fixed")
            raise RobotError(f"robot {embodiment.name}: no joint '{name}'; this URDF has {choices}")
    for index, name in enumerate(embodiment.joints):
        joint = found[name]
        limit = joint.find("limit")
        if limit is None:
            limit = ElementTree.SubElement(joint, "limit", effort="0")
        if joint.get("type") == "continuous":
            joint.set("type", "revolute")
            limit.set("lower", str(-2 * np.pi))
            limit.set("upper", str(2 * np.pi))
        for key, attribute in (("q_min", "lower"), ("q_max", "upper"), ("v_max", "velocity")):
            if key in embodiment.limits:
                limit.set(attribute, repr(embodiment.limits[key][index]))


def _part_names(root: ElementTree.Element) -> None:
    """Rename fixed joints that share their name with a link, which URDF allows and pinocchio does not."""
    links = {link.get("name") for link in root.findall("link")}
    for joint in root.findall("joint"):
        if joint.get("type") == "fixed" and joint.get("name") in links:
            joint.set("name", f"{joint.get('name')}_fixed")


def _scale_masses(root: ElementTree.Element, total: float) -> None:
    masses = [float(mass.get("value", 0)) for mass in root.iter("mass")]
    factor = total / sum(masses) if total > 0 else 1.0
    for mass in root.iter("mass"):
        mass.set("value", repr(float(mass.get("value", 0)) * factor))
    for inertia in root.iter("inertia"):
        for key, value in inertia.items():
            inertia.set(key, repr(float(value) * factor))


def _set_sane_inertia(link: ElementTree.Element) -> None:
    """Replace a missing inertia, or one that no body of this mass and size can have, by that of the bounding box.

    A rigid body inside a box of diagonal d has no principal moment above m d^2 / 4.
    """
    mass = float(_attribute(link, "inertial/mass", "value", "0"))
    moments = [float(_attribute(link, "inertial/inertia", key, "0")) for key in ("ixx", "iyy", "izz")]
    triangles = link_triangles(link)
    points = triangles.reshape(-1, 3) if len(triangles) else np.zeros((1, 3))
    size = np.maximum(np.ptp(points, axis=0), 0.01)
    if mass > 0 and min(moments) > 0 and max(moments) <= mass * float(size @ size) / 4:
        return
    mass = max(mass, 1e-3)
    if link.find("inertial") is not None:
        link.remove(link.find("inertial"))  # type: ignore[arg-type]
    inertial = ElementTree.SubElement(link, "inertial")
    ElementTree.SubElement(inertial, "origin", xyz=_text((points.max(axis=0) + points.min(axis=0)) / 2), rpy="0 0 0")
    ElementTree.SubElement(inertial, "mass", value=repr(mass))
    box = mass / 12 * (float(size @ size) - size**2)
    values = dict(zip(("ixx", "iyy", "izz"), map(repr, box.tolist()), strict=True))
    ElementTree.SubElement(inertial, "inertia", ixy="0", ixz="0", iyz="0", **values)


def _attribute(element: ElementTree.Element, path: str, key: str, default: str) -> str:
    found = element.find(path)
    return default if found is None else found.get(key, default)


def link_triangles(link: ElementTree.Element) -> np.ndarray:
    """Triangles [N, 3, 3] of a link's collision geometry in the link's frame, m; its visual geometry if it has none."""
    shapes = link.findall("collision") or link.findall("visual")
    parts = [_shape_triangles(shape) for shape in shapes]
    return np.concatenate([np.zeros((0, 3, 3)), *parts])


def _shape_triangles(shape: ElementTree.Element) -> np.ndarray:
    """Triangles of one <collision> or <visual>, in the link's frame, m."""
    xyz = np.array(_attribute(shape, "origin", "xyz", "0 0 0").split(), float)
    rpy = np.array(_attribute(shape, "origin", "rpy", "0 0 0").split(), float)
    T_link_shape = RigidTransform.from_components(xyz, Rotation.from_euler("xyz", rpy))
    triangles = _geometry_triangles(shape)
    return T_link_shape.apply(triangles.reshape(-1, 3)).reshape(-1, 3, 3) if len(triangles) else triangles


def _geometry_triangles(shape: ElementTree.Element) -> np.ndarray:
    geometry = shape.find("geometry")
    kind = None if geometry is None or len(geometry) == 0 else geometry[0]
    if kind is None:
        return np.zeros((0, 3, 3))
    if kind.tag == "mesh":
        path = Path(kind.get("filename", ""))
        if path.suffix.lower() not in (".obj", ".stl"):
            if shape.tag == "collision":
                raise FormatError(path, "collision mesh", f"{path.suffix!r} cannot be read; use .obj or .stl")
            return np.zeros((0, 3, 3))
        return meshes.read_mesh(path) * np.array(kind.get("scale", "1 1 1").split(), float)
    if kind.tag == "box":
        return meshes.box(np.array(kind.get("size", "").split(), float))
    if kind.tag == "cylinder":
        return meshes.cylinder(float(kind.get("radius", 0)), float(kind.get("length", 0)))
    if kind.tag == "sphere":
        return meshes.sphere(float(kind.get("radius", 0)))
    raise RobotError(f"URDF geometry <{kind.tag}> is not one of mesh, box, cylinder, sphere")


def write_composed(root: ElementTree.Element, name: str) -> Path:
    """Write a composed robot into the cache, named by a hash of its text.

    Every collision mesh becomes a convex hull of at most 80 corners (the engine would take the full hull), and a
    visual mesh in a format that only heavy readers know becomes that hull too.
    """
    root = copy.deepcopy(root)
    for link in root.findall("link"):
        for shape in link.findall("collision"):
            _replace_by_hull(shape)
        _replace_unreadable_visuals(link)
    text = ElementTree.tostring(root)
    return cached_file(f"urdf/{name}-{hashlib.sha256(text).hexdigest()[:16]}.urdf", lambda: text)


def _replace_by_hull(shape: ElementTree.Element) -> None:
    mesh = shape.find("geometry/mesh")
    if mesh is None:
        return
    path = Path(mesh.get("filename", ""))
    stamp = path.stat()
    key = f"1 {path} {stamp.st_size} {stamp.st_mtime_ns} {mesh.get('scale', '')} {cache_dir()}"
    hull = cached_file(
        f"hull/{path.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.obj",
        lambda: meshes.obj_text(meshes.simple_hull(_geometry_triangles(shape).reshape(-1, 3))),
    )
    mesh.attrib.clear()
    mesh.set("filename", str(hull))


def _replace_unreadable_visuals(link: ElementTree.Element) -> None:
    names = [Path(mesh.get("filename", "")) for mesh in link.iterfind("visual/geometry/mesh")]
    if all(name.suffix.lower() in (".obj", ".stl") for name in names):
        return
    for visual in link.findall("visual"):
        link.remove(visual)
    for collision in link.findall("collision"):
        visual = copy.deepcopy(collision)
        visual.tag = "visual"
        link.append(visual)
