"""RGB-D recordings from disk: npz archives and folders of PNG pairs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.perception.frame import RGBDFrame
from armflow.robot.errors import FormatError

__all__ = ["Recording", "load_recording"]


@dataclass(frozen=True, slots=True)
class Recording:
    """Frames in order, in the camera's own frame (T_world_camera is the identity), and the task in words, if known."""

    frames: tuple[RGBDFrame, ...]
    instruction: str | None


def load_recording(path: str | Path, *, period: float = 0.2) -> Recording:
    """Read a recording.

    An .npz holds `rgb` [T, H, W, 3] uint8; `depth_mm` [T, H, W] integers in mm (0 = no reading) or `depth` [T, H, W] in
    m; and `K` [3, 3] in px or `hfov_deg`, the horizontal field of view. A folder holds rgb_0000.png, depth_0000.png
    (16 bit, mm), ... and intrinsics.json with fx, fy, cx, cy in px. Both may hold an `instruction` and a `period` in s.

    Args:
        path: File or folder.
        period: Time between frames where the recording does not say, s.

    Raises:
        FormatError: Anything is missing or malformed; names the file and the field.
    """
    path = Path(path)
    if path.is_dir():
        return _from_folder(path, period)
    if not path.is_file():
        raise FormatError(path, "file", "does not exist")
    if path.suffix != ".npz":
        raise FormatError(path, "file", f"has the suffix {path.suffix!r}; give an .npz file or a folder of PNG pairs")
    return _from_npz(path, period)


def _from_npz(path: Path, period: float) -> Recording:
    """Read an archive; nothing in it may be a pickle."""
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
            keys = set(archive.files)
        except (OSError, ValueError, EOFError, AttributeError, NotImplementedError, BadZipFile) as error:
            raise FormatError(path, "file", f"is no npz archive ({error})") from error
        values = {key: _member(path, archive, key) for key in keys & {*_FIELDS, "rgb", "depth", "depth_mm"}}
    rgb = _need(path, values, "rgb")
    if rgb.ndim != 4 or rgb.shape[-1] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise FormatError(path, "rgb", f"is {rgb.dtype} {rgb.shape}; it must be uint8 [T, H, W, 3]")
    depth = _depth(path, values)
    if depth.shape != rgb.shape[:3]:
        raise FormatError(path, "depth", f"is {depth.shape}; it must be {rgb.shape[:3]} like rgb")
    K = _intrinsics(path, values, rgb.shape[1:3])
    period = _number(path, values, "period", period)
    instruction = str(values["instruction"]) if "instruction" in values else None
    return Recording(_frames(rgb, depth, K, period), instruction)


_FIELDS = ("K", "hfov_deg", "instruction", "period")


def _member(path: Path, archive: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    """One array of the archive."""
    try:
        return archive[key]
    except Exception as error:  # zip, LZMA and npy readers raise types of their own on damaged bytes
        raise FormatError(path, key, f"cannot be read ({error})") from error


def _need(path: Path, values: Mapping[str, Any], key: str) -> Any:
    if key not in values:
        raise FormatError(path, key, f"is missing; there are {', '.join(sorted(values)) or 'no known fields'}")
    return values[key]


def _depth(path: Path, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Depth in m, NaN without reading, from millimetres or metres."""
    name = "depth_mm" if "depth_mm" in values else "depth"
    depth = _need(path, values, name)
    if depth.dtype.kind not in "uif" or depth.ndim != 3:
        raise FormatError(path, name, f"is {depth.dtype} {depth.shape}; it must be numbers [T, H, W]")
    metres = depth.astype(float) / (1000.0 if name == "depth_mm" else 1.0)
    return np.where(np.isfinite(metres) & (metres > 0), metres, np.nan)


def _number(path: Path, values: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """A positive number."""
    value = values.get(key, default) if default is not None else _need(path, values, key)
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise FormatError(path, key, f"is {value!r}; it must be a number") from error
    if not (np.isfinite(number) and number > 0):
        raise FormatError(path, key, f"is {number}; it must be positive and finite")
    return number


def _intrinsics(path: Path, values: Mapping[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """K [3, 3] from itself, from fx, fy, cx, cy, or from the horizontal field of view."""
    H, W = shape
    if "K" in values:
        try:
            K = np.asarray(values["K"], float)
        except (TypeError, ValueError) as error:
            raise FormatError(path, "K", "must be numbers [3, 3]") from error
        if K.shape != (3, 3) or not np.isfinite(K).all() or min(K[0, 0], K[1, 1]) <= 0:
            raise FormatError(path, "K", f"is {K.tolist()}; it must be [3, 3], finite, with positive focal lengths")
        return K
    if "fx" in values:
        fx, fy, cx, cy = (_number(path, values, key) for key in ("fx", "fy", "cx", "cy"))
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    angle = _number(path, values, "hfov_deg")
    if angle >= 179:
        raise FormatError(path, "hfov_deg", f"is {angle}; it must be below 179 degrees")
    f = 0.5 * W / np.tan(0.5 * np.deg2rad(angle))
    return np.array([[f, 0, (W - 1) / 2], [0, f, (H - 1) / 2], [0, 0, 1]])


def _frames(rgb: np.ndarray, depth: np.ndarray, K: np.ndarray, period: float) -> tuple[RGBDFrame, ...]:
    """Frames at equal steps of time, seen from the origin."""
    still = RigidTransform.identity()
    return tuple(RGBDFrame(c, d, K, still, i * period) for i, (c, d) in enumerate(zip(rgb, depth, strict=True)))


def _from_folder(path: Path, period: float) -> Recording:
    """Read PNG pairs."""
    values = _json(path / "intrinsics.json")
    names = sorted(path.glob("rgb_*.png"))
    if not names:
        raise FormatError(path, "rgb_0000.png", "is missing; a folder must hold rgb_*.png and depth_*.png pairs")
    colors = [_image(n, "rgb", cv2.IMREAD_COLOR, _is_color)[..., ::-1] for n in names]
    pairs = [name.with_name(name.name.replace("rgb", "depth", 1)) for name in names]
    depths = [_image(n, "depth", cv2.IMREAD_UNCHANGED, _is_depth) for n in pairs]
    for name, color, depth in zip(names, colors, depths, strict=True):
        if color.shape[:2] != depth.shape or color.shape != colors[0].shape:
            first = colors[0].shape[:2]
            raise FormatError(name, "size", f"is {color.shape[:2]}, its depth {depth.shape}, the first {first}")
    metres = np.stack(depths) / 1000.0
    shape = (colors[0].shape[0], colors[0].shape[1])
    K = _intrinsics(path / "intrinsics.json", values, shape)
    period = _number(path / "intrinsics.json", values, "period", period)
    frames = _frames(np.ascontiguousarray(np.stack(colors)), np.where(metres > 0, metres, np.nan), K, period)
    return Recording(frames, str(values["instruction"]) if "instruction" in values else None)


def _json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    if not path.is_file():
        raise FormatError(path, "file", "does not exist; it must hold fx, fy, cx, cy in px")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(path, "file", f"is no JSON ({error})") from error
    if not isinstance(values, dict):
        raise FormatError(path, "file", f"holds a {type(values).__name__}; it must be an object with fx, fy, cx, cy")
    return values


def _image(path: Path, field: str, mode: int, good: Callable[[np.ndarray], bool]) -> np.ndarray:
    """One picture that passes the check."""
    if not path.is_file():
        raise FormatError(path, field, "does not exist")
    picture = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), mode)
    if picture is None:
        raise FormatError(path, field, "is no picture")
    if not good(picture):
        raise FormatError(path, field, f"is {picture.dtype} {picture.shape}; depth must be 16 bit with one channel")
    return picture


def _is_color(picture: np.ndarray) -> bool:
    return picture.dtype == np.uint8 and picture.ndim == 3


def _is_depth(picture: np.ndarray) -> bool:
    return picture.dtype == np.uint16 and picture.ndim == 2
