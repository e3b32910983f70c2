"""meta/info.json and meta/armflow.json: written from a schema, read back without trusting them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from armflow.learning.store import layout
from armflow.learning.store.errors import DatasetError, reading
from armflow.learning.store.schema import DEPTH_CODES, DEPTHS, OURS, Feature, Schema
from armflow.learning.store.video import video_facts
from armflow.robot.errors import StackError

__all__ = ["Counts", "Info", "armflow_json", "info_json", "load_json", "parse_info", "read_info"]

MOST_BYTES = 64 << 20  # of one JSON file
MOST_FEATURES = 512
MOST_FRAMES = 1 << 36
FORMAT = 1  # of meta/armflow.json
OUR_TYPES = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64"}
OUR_TYPES["task_index"] = "int64"
AXES = ["height", "width", "channels"]  # what LeRobot calls the axes of pictures


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of a dataset is joined and announced: what another reader sees."""

    episodes: int = 0
    frames: int = 0
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class Info:
    """What meta/info.json and meta/armflow.json say.

    Attributes:
        schema: The columns that can be read here.
        counts: Totals.
        data_path: Template of the data files.
        video_path: Template of the videos, or "".
        unread: Names of columns of types that are not read (text, pictures inside parquet, depth in logarithms).
    """

    schema: Schema
    counts: Counts
    data_path: str = layout.DATA
    video_path: str = layout.VIDEO
    unread: tuple[str, ...] = ()


def load_json(path: Path, root: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        DatasetError: Missing, too large, not JSON, or not an object.
    """
    name = path.relative_to(root)
    with reading(name, "JSON"):
        if not path.is_file():
            raise DatasetError(name, "file", "is missing")
        if path.stat().st_size > MOST_BYTES:
            raise DatasetError(name, "file", f"is larger than {MOST_BYTES >> 20} MB")
        value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        raise DatasetError(name, "JSON", f"is a {type(value).__name__}; it must be an object")
    return value


def info_json(info: Info) -> dict[str, Any]:
    """What meta/info.json holds."""
    schema, counts = info.schema, info.counts
    features = {name: _feature_json(name, feature, schema) for name, feature in schema.features.items()}
    ours = {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in OUR_TYPES.items()}
    moving = any(feature.moving for feature in schema.features.values())
    return {
        "codebase_version": layout.VERSION,
        "fps": int(schema.fps) if float(schema.fps).is_integer() else schema.fps,
        "features": features | ours,
        "total_episodes": counts.episodes,
        "total_frames": counts.frames,
        "total_tasks": counts.tasks,
        "chunks_size": layout.CHUNK_FILES,
        "data_files_size_in_mb": layout.DATA_MEGABYTES,
        "video_files_size_in_mb": layout.VIDEO_MEGABYTES,
        "data_path": info.data_path,
        "video_path": info.video_path if moving and info.video_path else None,
        "robot_type": schema.robot or None,
        "splits": {"train": f"0:{counts.episodes}"} if counts.episodes else {},
    }


def _feature_json(name: str, feature: Feature, schema: Schema) -> dict[str, Any]:
    names = None if feature.names is None else list(feature.names)
    if not feature.moving:
        return {"dtype": feature.dtype, "shape": list(feature.shape), "names": names}
    shape = [*feature.shape[:2], 1] if feature.dtype == "depth" else list(feature.shape)
    return {
        "dtype": "video",
        "shape": shape,
        "names": names or AXES,
        "info": video_facts(feature, schema.fps, schema.depth_scale(name)),
    }


def armflow_json(info: Info) -> dict[str, Any]:
    """What meta/armflow.json holds: our own facts, and a copy of info.json from which it can be restored."""
    return {"armflow_format": FORMAT, **info.schema.extra, "info": info_json(info)}


def read_info(root: Path) -> Info:
    """Read meta/info.json and, where there is one, meta/armflow.json.

    Raises:
        DatasetError: Missing, of another version, or a field that cannot be.
    """
    if not (root / layout.INFO).is_file():
        raise DatasetError(root, layout.INFO, "is missing; this is not a LeRobot dataset")
    ours = load_json(root / layout.ARMFLOW, root) if (root / layout.ARMFLOW).exists() else {}
    return parse_info(load_json(root / layout.INFO, root), ours)


def parse_info(raw: dict[str, Any], ours: dict[str, Any]) -> Info:
    """Check what the two files hold, field by field.

    Raises:
        DatasetError: Another version, or a field that cannot be.
    """
    version = raw.get("codebase_version")
    if not isinstance(version, str) or not version.startswith("v3."):
        raise DatasetError(layout.INFO, "codebase_version", f"is {str(version)[:40]!r}; this reads v3.0")
    listed = raw.get("features")
    if not isinstance(listed, dict) or len(listed) > MOST_FEATURES:
        raise DatasetError(layout.INFO, "features", f"must be an object of at most {MOST_FEATURES} features")
    features = {str(name): _parse_feature(str(name), value) for name, value in listed.items() if name not in OURS}
    extra = _parse_extra({name: value for name, value in ours.items() if name not in ("armflow_format", "info")})
    depths = [name for name, feature in features.items() if feature is not None and feature.dtype == "depth"]
    extra = _with_depth_scales(extra, {name: listed[name].get("info") or {} for name in depths})
    fps = raw.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, int | float):
        raise DatasetError(layout.INFO, "fps", f"is {str(fps)[:40]!r}; it must be a number, Hz")
    with reading(layout.INFO, "schema"):
        robot = str(raw.get("robot_type") or "")
        try:
            schema = Schema(fps, {name: f for name, f in features.items() if f is not None}, robot, extra)
        except StackError as error:
            raise DatasetError(layout.INFO, "features", str(error)) from error
    totals = {name: _whole(raw, f"total_{name}") for name in ("episodes", "frames", "tasks")}
    unread = tuple(name for name, feature in features.items() if feature is None)
    return Info(schema, Counts(**totals), _template(raw, "data_path"), _template(raw, "video_path"), unread)


def _parse_feature(name: str, raw: object) -> Feature | None:
    """One entry of "features"; None for a type that is not read here, depth in logarithms among them."""
    if not isinstance(raw, dict):
        raise DatasetError(layout.INFO, f"features.{name}", "must be an object")
    dtype, shape, names = raw.get("dtype"), raw.get("shape"), raw.get("names")
    said = raw.get("info")
    facts: dict[str, Any] = said if isinstance(said, dict) else {}
    depth = dtype == "video" and (facts.get("is_depth_map") or facts.get("video.is_depth_map"))
    if dtype in ("string", "image", "language") or (depth and not _linear(facts)):
        return None
    if depth:
        dtype, shape = "depth", shape[:2] if isinstance(shape, list) else shape
    if not isinstance(shape, list) or not isinstance(dtype, str):
        raise DatasetError(layout.INFO, f"features.{name}", f"dtype {str(dtype)[:40]!r} and shape {str(shape)[:40]}")
    plain = isinstance(names, list) and names != AXES and all(isinstance(entry, str) for entry in names)
    try:
        return Feature(dtype, tuple(shape), tuple(names) if plain and names else None)
    except (StackError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(layout.INFO, f"features.{name}", str(error)) from error


def _linear(facts: dict[str, Any]) -> bool:
    """Whether depth codes are proportional to metres; LeRobot's are logarithms unless it says otherwise."""
    return facts.get("video.use_log", True) is False and facts.get("video.depth_min") == 0.0


def _parse_extra(extra: dict[str, Any]) -> dict[str, Any]:
    cameras = extra.get("cameras", {})
    if not isinstance(cameras, dict) or not all(isinstance(camera, dict) for camera in cameras.values()):
        raise DatasetError(layout.ARMFLOW, "cameras", "must be an object of objects")
    for name, camera in cameras.items():
        scale = camera.get("depth_scale", 0.001)
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < 1:
            raise DatasetError(layout.ARMFLOW, f"cameras.{name}.depth_scale", f"is {str(scale)[:40]!r}, not in 0..1 m")
    return extra


def _with_depth_scales(extra: dict[str, Any], depths: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Take the metres of one depth code from info.json for cameras of which armflow.json does not say it."""
    cameras = dict(extra.get("cameras", {}))
    for name, facts in depths.items():
        camera, last = name.removeprefix(DEPTHS), facts.get("video.depth_max")
        if "depth_scale" not in cameras.get(camera, {}):
            if isinstance(last, bool) or not isinstance(last, int | float) or not 0 < last < DEPTH_CODES - 1:
                raise DatasetError(
                    layout.INFO, f"features.{name}.info.video.depth_max", f"is {str(last)[:40]!r}, not m"
                )
            cameras[camera] = cameras.get(camera, {}) | {"depth_scale": last / (DEPTH_CODES - 1)}
    return extra | {"cameras": cameras} if depths else extra


def _whole(raw: dict[str, Any], name: str) -> int:
    value = raw.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_FRAMES:
        raise DatasetError(layout.INFO, name, f"is {str(value)[:40]!r}; it must be a whole number")
    return value


def _template(raw: dict[str, Any], name: str) -> str:
    default = {"data_path": layout.DATA, "video_path": layout.VIDEO}[name]
    value = raw.get(name, default)
    if value is None and name == "video_path":
        return ""
    if not isinstance(value, str):
        raise DatasetError(layout.INFO, name, "must be a text")
    layout.fill(value, 0, 0, "camera")
    return value
