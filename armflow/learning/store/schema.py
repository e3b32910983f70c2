"""What a dataset's columns are: features, rate, robot, and facts of our own."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from armflow.robot.errors import ShapeError, ValueRangeError

__all__ = ["DEPTH_CODES", "Feature", "Recording", "Schema", "encode_depth", "infer_schema", "metres"]

DEPTH_CODES = 4096  # 12 bits; code 0 means: no reading
NUMBERS = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
MOVING = ("video", "depth")
IMAGES = "observation.images."
DEPTHS = "observation.depth."
OURS = ("timestamp", "frame_index", "episode_index", "index", "task_index")  # columns that the writer fills in
MOST_NUMBERS = 1_000_000  # in one frame of one feature
MOST_PIXELS = 8192 * 8192


@dataclass(frozen=True, slots=True)
class Recording:
    """One episode.

    Attributes:
        arrays: Name to [T, ...]. Names are LeRobot's: "observation.state" [T, S], "action" [T, A],
            "observation.images.<camera>" [T, H, W, 3] uint8, "observation.depth.<camera>" [T, H, W] uint16 in units
            of the camera's depth scale (0: no reading), and any other numbers [T, ...].
        stamps: [T] capture times, s, rising; any origin.
        task: The instruction in words.
    """

    arrays: dict[str, np.ndarray]
    stamps: np.ndarray
    task: str

    def __post_init__(self) -> None:
        if self.stamps.ndim != 1 or not len(self.stamps) or not np.isfinite(self.stamps).all():
            raise ShapeError("stamps", "finite [T] with T >= 1", self.stamps.shape)
        if (np.diff(self.stamps) <= 0).any():
            raise ShapeError(
                "stamps", "rising", f"a step back at frame {int(np.argmax(np.diff(self.stamps) <= 0)) + 1}"
            )
        for name, array in self.arrays.items():
            if not array.ndim or len(array) != len(self.stamps):
                raise ShapeError(name, f"an array of {len(self.stamps)} frames", array.shape)

    @property
    def length(self) -> int:
        """Number of frames T."""
        return len(self.stamps)


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of a dataset.

    Attributes:
        dtype: A numpy type ("float32", "int64", "bool", ...), "video" for colour [H, W, 3] uint8, or "depth" for
            [H, W] uint16 of 12 bits.
        shape: Of one frame.
        names: What the entries are called, or None.
    """

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.dtype not in NUMBERS + MOVING:
            raise ValueRangeError("dtype", repr(self.dtype), "one of " + ", ".join(NUMBERS + MOVING))
        axes = {"video": 3, "depth": 2}.get(self.dtype, len(self.shape))
        positive = all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in self.shape)
        if len(self.shape) != axes or not 1 <= axes <= 5 or not positive:
            raise ValueRangeError("shape", self.shape, "one to five whole sizes above 0; [H, W, 3] for video")
        if int(np.prod([float(size) for size in self.shape])) > (MOST_PIXELS * 3 if self.moving else MOST_NUMBERS):
            raise ValueRangeError("shape", self.shape, f"at most {MOST_NUMBERS} numbers or {MOST_PIXELS} pixels")

    @property
    def moving(self) -> bool:
        """Whether it is stored as video."""
        return self.dtype in MOVING

    @property
    def numpy(self) -> np.dtype:
        """The type of its arrays in memory."""
        return np.dtype({"video": "uint8", "depth": "uint16"}.get(self.dtype, self.dtype))


@dataclass(frozen=True, slots=True)
class Schema:
    """What every episode of a dataset holds.

    Attributes:
        fps: Frames a second, Hz.
        features: Name to feature.
        robot: Name of the arm, or "".
        extra: Facts of our own, kept in meta/armflow.json: "environment", "observe" (columns of observation.state
            that a policy may see), "goal" (columns that make a goal), "angles" (columns in rad that wrap around),
            "cameras": {name: {"intrinsics": [3][3] px, "extrinsics": [4][4] T_world_camera or T_tool_camera,
            "depth_scale": m, "serial": str}}.
    """

    fps: float
    features: dict[str, Feature]
    robot: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1e-3 <= self.fps <= 1e5:
            raise ValueRangeError("fps", self.fps, "0.001 to 100000 Hz")
        for name in self.features:
            if name in OURS or not name or "/" in name or name.startswith(".") or not name.isprintable():
                raise ValueRangeError("feature name", repr(name), f"a plain name other than {', '.join(OURS)}")

    def depth_scale(self, name: str) -> float:
        """Metres of one unit of a depth feature; 0.001 where the dataset does not say."""
        camera = self.extra.get("cameras", {}).get(name.removeprefix(DEPTHS), {})
        return float(camera.get("depth_scale", 0.001))


def infer_schema(recording: Recording, fps: float, robot: str = "", extra: dict[str, Any] | None = None) -> Schema:
    """Describe a recording: colour and depth by name, everything else by its numpy type."""
    features = {}
    for name, array in recording.arrays.items():
        dtype = "video" if name.startswith(IMAGES) else "depth" if name.startswith(DEPTHS) else array.dtype.name
        features[name] = Feature(dtype, array.shape[1:] or (1,))
    return Schema(fps, features, robot, extra or {})


def encode_depth(depth: np.ndarray, scale: float) -> np.ndarray:
    """Turn metres into 12-bit codes, code = round(depth / scale); NaN and what is out of range become 0, no reading.

    Args:
        depth: [..., H, W] m, NaN where there is no reading.
        scale: Metres of one code; the range is `scale` to 4095 `scale`.
    """
    codes = np.rint(np.nan_to_num(np.asarray(depth, np.float64) / scale, nan=0.0, posinf=0.0, neginf=0.0))
    return np.where((codes > 0) & (codes < DEPTH_CODES), codes, 0).astype(np.uint16)


def metres(codes: np.ndarray, scale: float) -> np.ndarray:
    """Turn codes back into metres [..., H, W]; code 0 becomes NaN."""
    return np.where(codes == 0, np.nan, codes * scale)
