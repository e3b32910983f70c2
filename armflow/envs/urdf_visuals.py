"""The visuals of a whole URDF, ready for the renderer."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.mesh import Mesh, box_mesh, capsule_mesh, cylinder_mesh, sphere_mesh
from armflow.envs.mesh_files import load_mesh
from armflow.robot.errors import FormatError

__all__ = ["Visual", "load_urdf_visuals"]

_GREY = (0.7, 0.7, 0.7, 1.0)


class Visual(NamedTuple):
    """One visual of a URDF link; `rgba` multiplies the mesh's own colours, so hand both to `Renderer.add`."""

    link: str
    mesh: Mesh
    T_link_visual: np.ndarray
    rgba: tuple[float, float, float, float]


def load_urdf_visuals(urdf_path: str | Path, max_faces: int | None = 4000) -> list[Visual]:
    """Read what each link looks like: meshes, boxes, cylinders, spheres and capsules, in the order of the file.

    A mesh that cannot be read is replaced by the link's collision mesh, where it has one.

    Args:
        urdf_path: Mesh names may be absolute, relative to this file, or package:// and file:// addresses that are found
            by walking up from this file.
        max_faces: Triangles kept of each mesh; None for all.

    Raises:
        FormatError: The file is no URDF, or neither a visual mesh nor its collision mesh can be read.
    """
    path = Path(urdf_path)
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise FormatError(path, "robot", str(error)) from error
    named = {m.get("name"): rgba for m in root.iter("material") if (rgba := _rgba(m)) is not None}
    visuals = []
    for link in root.findall("link"):
        for visual in link.findall("visual"):
            mesh = _geometry(path, link, visual, max_faces)
            material = visual.find("material")
            rgba = None if material is None else _rgba(material) or named.get(material.get("name"))
            plain = bool((mesh.colors == 1.0).all())
            default = _GREY if plain else (1.0, 1.0, 1.0, 1.0)
            visuals.append(Visual(link.get("name", ""), mesh, _origin(visual), rgba or default))
    return visuals


def _rgba(material: ElementTree.Element) -> tuple[float, float, float, float] | None:
    color = material.find("color")
    if color is None:
        return None
    red, green, blue, alpha = (float(x) for x in color.get("rgba", "0.7 0.7 0.7 1").split())
    return red, green, blue, alpha


def _floats(element: ElementTree.Element | None, name: str, default: str) -> np.ndarray:
    text = default if element is None else element.get(name, default)
    return np.array(text.split(), dtype=float)


def _origin(visual: ElementTree.Element) -> np.ndarray:
    """Return T_link_visual [4, 4] of a <visual> or <collision>."""
    origin = visual.find("origin")
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("xyz", _floats(origin, "rpy", "0 0 0")).as_matrix()
    T[:3, 3] = _floats(origin, "xyz", "0 0 0")
    return T


def _geometry(path: Path, link: ElementTree.Element, visual: ElementTree.Element, max_faces: int | None) -> Mesh:
    geometry = visual.find("geometry")
    shape = geometry[0] if geometry is not None and len(geometry) else None
    name = link.get("name", "")
    if shape is None:
        raise FormatError(path, f"link {name}", "a visual without geometry")
    if shape.tag != "mesh":
        return _primitive(path, name, shape)
    try:
        return _mesh(path, shape, max_faces)
    except FormatError:
        spare = link.find("collision/geometry/mesh")
        if spare is None or spare.get("filename") == shape.get("filename"):
            raise
        return _mesh(path, spare, max_faces)


def _primitive(path: Path, name: str, shape: ElementTree.Element) -> Mesh:
    radius, length = float(shape.get("radius", "0")), float(shape.get("length", "0"))
    makers = {
        "box": lambda: box_mesh(_floats(shape, "size", "0 0 0") / 2),
        "cylinder": lambda: cylinder_mesh(radius, length),
        "sphere": lambda: sphere_mesh(radius),
        "capsule": lambda: capsule_mesh(radius, length),
    }
    if shape.tag not in makers:
        raise FormatError(path, f"link {name}", f"geometry {shape.tag!r} is none of mesh, {', '.join(makers)}")
    return makers[shape.tag]()


def _mesh(path: Path, shape: ElementTree.Element, max_faces: int | None) -> Mesh:
    name = shape.get("filename", "")
    scale = _floats(shape, "scale", "1 1 1")
    if name.startswith("file://"):
        name = name.removeprefix("file://")
    if not name.startswith("package://"):
        return load_mesh(path.parent / name, scale, max_faces)
    inside = Path(name.removeprefix("package://"))
    for folder in path.resolve().parents:
        for candidate in (folder / inside, folder / Path(*inside.parts[1:])):
            if candidate.is_file():
                return load_mesh(candidate, scale, max_faces)
    raise FormatError(path, "mesh", f"{name} is in no folder above the file")
