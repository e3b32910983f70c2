"""Gaussians on disk, as public viewers read them: .ply in the layout of 3D Gaussian splatting, and .splat.

A .ply holds float32 columns x y z, nx ny nz, f_dc_0 … 2 (colour as (c - 0.5) / 0.2821, the constant of the zeroth
spherical harmonic), opacity (logit), scale_0 … 2 (natural logarithm, m) and rot_0 … 3 (wxyz). A .splat holds 32 bytes a
Gaussian: place and scales as float32, red green blue opacity and the quaternion wxyz as bytes, the largest first.
"""

from pathlib import Path

import numpy as np

from armflow.perception.gaussians import GaussianObject
from armflow.robot.cache import write_atomic
from armflow.robot.errors import FormatError, StackError

__all__ = ["read_ply", "write_ply", "write_splat"]

_HARMONIC = 0.28209479177387814  # 1 / (2 sqrt(pi))
_EDGE = 1e-6  # opacities are kept so far from 0 and 1 that their logit is finite
_HEADER = 1 << 16  # bytes within which a header must end
_TYPES = {
    "char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4", "float": "<f4",
    "double": "<f8", "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4",
    "float32": "<f4", "float64": "<f8",
}  # fmt: skip
_PLACE, _NORMAL, _COLOR = ("x", "y", "z"), ("nx", "ny", "nz"), ("f_dc_0", "f_dc_1", "f_dc_2")
_SCALE, _TURN = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3")
_COLUMNS = (*_PLACE, *_NORMAL, *_COLOR, "opacity", *_SCALE, *_TURN)
_SPLAT = np.dtype([("place", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("turn", "u1", 4)])


def write_ply(path: str | Path, gaussians: GaussianObject) -> None:
    """Write a .ply whole or not at all.

    Raises:
        FormatError: The file cannot be written; what was there before is untouched.
    """
    g = gaussians
    opacity = g.opacities.clip(_EDGE, 1.0 - _EDGE)
    columns = np.hstack(
        [
            g.means_world, np.zeros((len(g), 3)), (g.colors - 0.5) / _HARMONIC,
            np.log(opacity / (1.0 - opacity))[:, None], np.log(g.scales), g.quats,
        ]
    )  # fmt: skip
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(g)}"]
    lines += [f"property float {name}" for name in _COLUMNS] + ["end_header", ""]
    _write(path, "\n".join(lines).encode() + columns.astype("<f4").tobytes())


def write_splat(path: str | Path, gaussians: GaussianObject) -> None:
    """Write a .splat whole or not at all.

    Raises:
        FormatError: The file cannot be written; what was there before is untouched.
    """
    g = gaussians
    order = np.argsort(-g.scales.prod(axis=1) * g.opacities, kind="stable")
    rows = np.empty(len(g), _SPLAT)
    rows["place"], rows["scale"] = g.means_world[order], g.scales[order]
    rows["color"] = np.rint(255.0 * np.hstack([g.colors, g.opacities[:, None]])[order])
    rows["turn"] = np.rint(g.quats[order] * 128.0 + 128.0).clip(0, 255)
    _write(path, rows.tobytes())


def _write(path: str | Path, data: bytes) -> None:
    try:
        write_atomic(Path(path), data)
    except OSError as error:
        raise FormatError(path, "file", f"cannot be written: {error.strerror or error}") from error


def read_ply(path: str | Path) -> GaussianObject:
    """Read a .ply of 3D Gaussian splatting; colours that depend on the direction of view are left out.

    Raises:
        FormatError: The file is missing, cut short or no such .ply, or holds values that are not Gaussians.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read()
    except OSError as error:
        raise FormatError(path, "file", f"cannot be read: {error.strerror or error}") from error
    count, row, start = _header(path, data)
    missing = [name for name in _COLUMNS if name not in (row.names or ()) and name not in _NORMAL]
    if missing:
        raise FormatError(path, "properties", f"no {', '.join(missing)}; is it a .ply of Gaussians?")
    if count < 1 or len(data) - start < count * row.itemsize:
        held = (len(data) - start) // row.itemsize
        raise FormatError(path, "vertex", f"{count} Gaussians are announced and {held} are held; at least 1 is needed")
    rows = np.frombuffer(data, row, count, start)
    try:
        return _decode(rows)
    except StackError as error:
        raise FormatError(path, "values", str(error)) from error


def _decode(rows: np.ndarray) -> GaussianObject:
    """Undo what a .ply does to the values of its columns."""

    def columns(names: tuple[str, ...]) -> np.ndarray:
        return np.stack([rows[name].astype(float) for name in names], axis=1)

    with np.errstate(all="ignore"):  # what is not finite is refused by GaussianObject
        quats = columns(_TURN)
        quats = quats / np.linalg.norm(quats, axis=1, keepdims=True)
        logit = np.float64(rows["opacity"])
        return GaussianObject(
            means_world=columns(_PLACE),
            quats=quats,
            scales=np.exp(columns(_SCALE)),
            opacities=1.0 / (1.0 + np.exp(-logit)),
            colors=(0.5 + _HARMONIC * columns(_COLOR)).clip(0.0, 1.0),
        )


def _header(path: str | Path, data: bytes) -> tuple[int, np.dtype, int]:
    """Number of vertices, the type of one, and where they start."""
    end = data.find(b"end_header\n", 0, _HEADER)
    if not data.startswith(b"ply") or end < 0:
        raise FormatError(path, "header", "is not that of a .ply file")
    lines = [line.split() for line in data[:end].decode("ascii", "replace").splitlines()]
    lines = [line for line in lines[1:] if line and line[0] not in ("comment", "obj_info")]
    if not lines or lines[0][:2] != ["format", "binary_little_endian"]:
        raise FormatError(
            path, "format", f"{' '.join(lines[0]) if lines else 'none'}; only binary_little_endian is read"
        )
    if len(lines) < 2 or lines[1][:2] != ["element", "vertex"] or not _is_count(lines[1][2:]):
        raise FormatError(path, "element", "the first must be vertex with a whole number")
    fields: dict[str, str] = {}
    for line in lines[2:]:
        if line[0] == "element":
            break
        if len(line) != 3 or line[1] not in _TYPES or line[2] in fields:
            raise FormatError(path, "property", f"{' '.join(line)!r} is not a plain number or is there twice")
        fields[line[2]] = _TYPES[line[1]]
    if not fields:
        raise FormatError(path, "property", "none of a vertex")
    return int(lines[1][2]), np.dtype(list(fields.items())), end + len(b"end_header\n")


def _is_count(words: list[str]) -> bool:
    """Whether these are one whole number that fits."""
    return len(words) == 1 and words[0].isascii() and words[0].isdigit() and len(words[0]) < 12
