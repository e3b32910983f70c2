"""Meshes from files: Wavefront .obj with its .mtl colours, .stl and COLLADA .dae, kept simplified in a cache."""

import hashlib
import io
import logging
import struct
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.decimate import decimate
from armflow.envs.mesh import Mesh, merge_meshes, transform_mesh, weld
from armflow.robot.cache import cache_dir, write_atomic
from armflow.robot.errors import ChoiceError, FormatError, StackError

__all__ = ["load_mesh"]

_LOG = logging.getLogger(__name__)
_CACHE_FORMAT = "2"
_DAMAGE = (ValueError, IndexError, KeyError, AttributeError, StopIteration, struct.error, ElementTree.ParseError)
"""What readers raise on files that do not keep to their format."""


def load_mesh(path: str | Path, scale: float | np.ndarray = 1.0, max_faces: int | None = None) -> Mesh:
    """Read a mesh file, join equal vertices, scale it and simplify it; the result is kept in a cache directory.

    Args:
        path: A .obj, .stl or .dae file.
        scale: One factor or three, file units to m.
        max_faces: Simplify to at most so many triangles.

    Raises:
        ChoiceError: Unknown ending.
        FormatError: The file is missing or cannot be read as what its ending says.
    """
    path = Path(path)
    if path.suffix.lower() not in _READERS:
        raise ChoiceError("mesh format", path.suffix, _READERS)
    if not path.is_file():
        raise FormatError(path, "file", "does not exist")
    factors = np.broadcast_to(np.asarray(scale, dtype=float), 3)
    stat = path.stat()
    key = repr((_CACHE_FORMAT, str(path.resolve()), stat.st_mtime_ns, stat.st_size, factors.tolist(), max_faces))
    cached = cache_dir() / "meshes" / f"{path.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    mesh = _from_cache(cached)
    if mesh is None:
        mesh = _read(path)
        mesh = transform_mesh(mesh, np.diag([*factors, 1.0]))
        mesh = mesh if max_faces is None else decimate(mesh, max_faces)
        _to_cache(cached, mesh)
    return mesh


def _read(path: Path) -> Mesh:
    try:
        mesh = weld(_READERS[path.suffix.lower()](path), 1e-6)
    except FormatError:
        raise
    except (*_DAMAGE, StackError) as error:
        raise FormatError(path, path.suffix, f"cannot be read ({error})") from error
    if len(mesh.faces) == 0 or not np.isfinite(mesh.vertices).all():
        raise FormatError(path, "triangles", "none, or some are not finite")
    return mesh


def _from_cache(path: Path) -> Mesh | None:
    try:
        with np.load(path) as data:
            return Mesh(data["vertices"], data["faces"], data["colors"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, StackError):
        return None


def _to_cache(path: Path, mesh: Mesh) -> None:
    data = io.BytesIO()
    np.savez(data, vertices=mesh.vertices, faces=mesh.faces, colors=mesh.colors)
    try:
        write_atomic(path, data.getvalue())
    except OSError as error:
        _LOG.info("mesh not cached: %s", error)


def _read_obj(path: Path) -> Mesh:
    """Read polygons with the Kd colour, times the map_Kd texture where there is one, of their material."""
    vertices, textures, faces, colors = [], [], [], []
    materials: dict[str, _Material] = {}
    material = _Material()
    for line in path.read_text(errors="replace").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif word == "vt":
            textures.append([float(x) for x in rest.split()[:2]])
        elif word == "mtllib":
            materials.update(_read_mtl(path.parent / rest.strip()))
        elif word == "usemtl":
            material = materials.get(rest.strip(), _Material())
        elif word == "f":
            corners = [corner.split("/") for corner in rest.split()]
            index = [_obj_row(c[0], len(vertices)) for c in corners]
            color = material.diffuse
            if material.picture is not None and all(len(c) > 1 and c[1] for c in corners):
                color = material.color([textures[_obj_row(c[1], len(textures))] for c in corners])
            faces += [[index[0], a, b] for a, b in pairwise(index[1:])]
            colors += [color] * (len(index) - 2)
    return Mesh(np.array(vertices, dtype=float), np.array(faces, np.int32), np.array(colors, np.float32))


def _obj_row(text: str, count: int) -> int:
    number = int(text)
    return number - 1 if number > 0 else count + number


class _Material:
    """Kd and an optional texture picture."""

    def __init__(self) -> None:
        self.diffuse = np.ones(3)
        self.picture: np.ndarray | None = None

    def color(self, where: list[list[float]]) -> np.ndarray:
        """Return the colour in the middle of texture coordinates [[u, v], …], red, green, blue in 0 … 1."""
        assert self.picture is not None
        height, width = self.picture.shape[:2]
        u, v = sum(w[0] for w in where) / len(where), sum(w[1] for w in where) / len(where)
        row, column = int((1.0 - v % 1.0) * height), int(u % 1.0 * width)
        return self.diffuse * self.picture[min(row, height - 1), min(column, width - 1), ::-1] / 255.0


def _read_mtl(path: Path) -> dict[str, _Material]:
    """Read the materials of a .mtl file; none where the file is missing, as often happens."""
    materials: dict[str, _Material] = {}
    if not path.is_file():
        return materials
    material = _Material()
    for line in path.read_text(errors="replace").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "newmtl":
            material = materials.setdefault(rest.strip(), _Material())
        elif word == "Kd":
            material.diffuse = np.array([float(x) for x in rest.split()[:3]])
        elif word == "map_Kd" and (path.parent / rest.strip()).is_file():
            material.picture = cv2.imread(str(path.parent / rest.strip()), cv2.IMREAD_COLOR)
    return materials


def _read_stl(path: Path) -> Mesh:
    data = path.read_bytes()
    count = struct.unpack_from("<I", data, 80)[0] if len(data) >= 84 else -1
    if len(data) == 84 + 50 * count:
        record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
        corners = np.frombuffer(data, record, count, 84)["corners"].astype(float)
    else:
        lines = (line.split() for line in data.decode("ascii", "replace").splitlines())
        corners = np.array([[float(x) for x in words[1:4]] for words in lines if words[:1] == ["vertex"]]).reshape(
            -1, 3, 3
        )
    return _soup(corners.reshape(-1, 3), np.ones(3))


def _soup(points: np.ndarray, color: np.ndarray) -> Mesh:
    """Make a mesh of corners [3 F, 3] that share nothing."""
    faces = np.arange(len(points), dtype=np.int32).reshape(-1, 3)
    return Mesh(points, faces, np.tile(np.asarray(color, np.float32), (len(faces), 1)))


# ------------------------------------------------------------------------------------------------------------ COLLADA


class _Collada:
    """The few elements of a COLLADA 1.4 document that rigid visuals use."""

    def __init__(self, path: Path) -> None:
        self.root = ElementTree.parse(path).getroot()
        for element in self.root.iter():  # drop the namespace, so that paths read like the format
            element.tag = element.tag.rpartition("}")[2]
        self.by_id = {e.get("id"): e for e in self.root.iter() if e.get("id")}

    def look_up(self, reference: str | None) -> ElementTree.Element:
        """Return the element that "#id" names."""
        return self.by_id[(reference or "").lstrip("#")]

    def numbers(self, reference: str | None) -> np.ndarray:
        """Return a <source>'s values, [count, stride]."""
        source = self.look_up(reference)
        accessor = source.find("technique_common/accessor")
        stride = int(accessor.get("stride", "1")) if accessor is not None else 3
        return np.array((source.findtext("float_array") or "").split(), dtype=float).reshape(-1, stride)

    def diffuse(self, material: str | None) -> np.ndarray:
        """Return a material's diffuse colour; white where it has a texture or none."""
        if (material or "").lstrip("#") not in self.by_id:
            return np.ones(3)
        instance = self.look_up(material).find("instance_effect")
        effect = self.look_up(instance.get("url")) if instance is not None else None
        text = effect.findtext(".//diffuse/color") if effect is not None else None
        return np.array(text.split()[:3], dtype=float) if text else np.ones(3)


def _read_dae(path: Path) -> Mesh:
    document = _Collada(path)
    meshes: list[Mesh] = []
    unit = document.root.find("asset/unit")
    T = np.diag([float(unit.get("meter", "1")) if unit is not None else 1.0] * 3 + [1.0])
    if (document.root.findtext("asset/up_axis") or "Y_UP").strip() == "Y_UP":
        T = T @ np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    scene = document.root.find("scene/instance_visual_scene")
    roots = document.look_up(scene.get("url")) if scene is not None else next(document.root.iter("visual_scene"))
    for node in roots.findall("node"):
        _walk_dae(document, node, T, meshes)
    return merge_meshes(meshes)


def _walk_dae(document: _Collada, node: ElementTree.Element, T_parent: np.ndarray, meshes: list[Mesh]) -> None:
    """Collect the meshes of a node and of those below it, carried into the document's frame."""
    T = T_parent
    for element in node:
        if element.tag in _DAE_MOVES:
            T = T @ _DAE_MOVES[element.tag](np.array((element.text or "").split(), dtype=float))
    for instance in node.findall("instance_geometry"):
        bound = {e.get("symbol"): e.get("target") for e in instance.iter("instance_material")}
        for group in document.look_up(instance.get("url")).findall("mesh/*"):
            if group.tag in ("triangles", "polylist", "polygons"):
                symbol = group.get("material")
                color = document.diffuse(bound.get(symbol, symbol))
                meshes.append(transform_mesh(_dae_faces(document, group, color), T))
    for child in node.findall("node"):
        _walk_dae(document, child, T, meshes)
    for instance in node.findall("instance_node"):
        _walk_dae(document, document.look_up(instance.get("url")), T, meshes)


def _dae_faces(document: _Collada, group: ElementTree.Element, color: np.ndarray) -> Mesh:
    """Read one <triangles>, <polylist> or <polygons>."""
    inputs = group.findall("input")
    stride = 1 + max(int(i.get("offset", "0")) for i in inputs)
    corner = next(i for i in inputs if i.get("semantic") == "VERTEX")
    position = next(i for i in document.look_up(corner.get("source")) if i.get("semantic") == "POSITION")
    points = document.numbers(position.get("source"))[:, :3]
    lists = [np.array((p.text or "").split(), dtype=np.int64).reshape(-1, stride) for p in group.findall("p")]
    rows = np.concatenate([one[:, int(corner.get("offset", "0"))] for one in lists]) if lists else np.empty(0, np.int64)
    if group.tag == "triangles":
        sides = np.full(len(rows) // 3, 3)
    elif group.tag == "polylist":
        sides = np.array((group.findtext("vcount") or "").split(), dtype=np.int64)
    else:
        sides = np.array([len(one) for one in lists])
    return _soup(points[_fans(rows, sides)], color)


def _fans(rows: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Cut polygons, `sides` corners each, into triangles: [3 F] rows."""
    first = np.cumsum(sides) - sides
    polygon = np.repeat(np.arange(len(sides)), np.maximum(sides - 2, 0))
    step = np.arange(len(polygon)) - np.repeat(np.cumsum(sides - 2) - (sides - 2), sides - 2)
    corners = first[polygon][:, None] + np.stack([np.zeros_like(step), step + 1, step + 2], axis=1)
    return rows[corners].reshape(-1)


def _dae_rotate(values: np.ndarray) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(np.radians(values[3]) * values[:3] / np.linalg.norm(values[:3])).as_matrix()
    return T


def _dae_translate(values: np.ndarray) -> np.ndarray:
    T = np.eye(4)
    T[:3, 3] = values
    return T


_DAE_MOVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "matrix": lambda values: values.reshape(4, 4),
    "rotate": _dae_rotate,
    "translate": _dae_translate,
    "scale": lambda values: np.diag([*values, 1.0]),
}

_READERS: dict[str, Callable[[Path], Mesh]] = {".obj": _read_obj, ".stl": _read_stl, ".dae": _read_dae}
