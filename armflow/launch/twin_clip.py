"""What `armflow twin` works from: a recording of one or several still cameras, and what the hand did meanwhile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from armflow.launch.choices import arm_names
from armflow.perception.frame import RGBDFrame
from armflow.perception.segment import RobotCapsules
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ChoiceError, FormatError, ShapeError, StackError, ValueRangeError

if TYPE_CHECKING:
    from armflow.learning.store.reader import Dataset

__all__ = ["RECORDED", "Clip", "HandPath", "load_clip", "load_hand"]

RECORDED = "recorded"
"""The path of the recording's own hand."""
HAND, JOINTS = "observation.state", "observation.joints"
TRACKS = "tracks"
LASTS = (0.1, 600.0)  # s, of a path in a file
HAND_SIZE = 8  # position, quaternion wxyz, opening
IMAGES, DEPTHS = "observation.images.", "observation.depth."


@dataclass(frozen=True, slots=True)
class HandPath:
    """What a hand does over time.

    Attributes:
        states: [T, 8] point between the fingertips, m, world; quaternion wxyz; opening, 0 closed to 1.
        period: Time between rows, s.
    """

    states: np.ndarray
    period: float

    def __post_init__(self) -> None:
        """Check shapes and numbers.

        Raises:
            ShapeError: Not [T, 8], not finite, or a quaternion near zero.
            ValueRangeError: A period that is not above 0.
        """
        check_shape("states", self.states, f"T {HAND_SIZE}")
        check_finite("states", self.states)
        if len(self.states) < 2 or np.linalg.norm(self.states[:, 3:7], axis=1).min() < 0.5:
            raise ShapeError("states", "at least two rows with unit quaternions wxyz in columns 3 to 6", "others")
        if not (np.isfinite(self.period) and self.period > 0):
            raise ValueRangeError("period", self.period, "above 0 s")

    @property
    def duration(self) -> float:
        """Time from the first row to the last, s."""
        return (len(self.states) - 1) * self.period

    def at(self, times: np.ndarray) -> np.ndarray:
        """States [K, 8] at times [K], s since the first row; before and after it the hand rests."""
        rows = np.clip(times / self.period, 0, len(self.states) - 1)
        low = np.floor(rows).astype(int)
        high, share = np.minimum(low + 1, len(self.states) - 1), (rows - low)[:, None]
        last = self.states[high].copy()
        last[(self.states[low, 3:7] * last[:, 3:7]).sum(axis=1) < 0, 3:7] *= -1
        found = (1 - share) * self.states[low] + share * last
        found[:, 3:7] /= np.linalg.norm(found[:, 3:7], axis=1, keepdims=True)
        return found


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording.

    Attributes:
        name: Where it comes from.
        cameras: Their names.
        stamps: [T] s.
        posed: Whether the cameras' poses are known, in a world with z up.
        ground: Height of the table, m; None where it is not known.
        instruction: The task in words, if known.
        category: What the object is, if known.
        hand: What the hand did, if recorded.
        robot: From the number of a frame to the robot's capsules then, if its joints are recorded.
        tracks: [T, N, 3] where points of the object truly were, m, if recorded; for scoring only.
        read: From a camera's name and a range of frames to those frames, one after the other.
    """

    name: str
    cameras: tuple[str, ...]
    stamps: np.ndarray
    posed: bool
    ground: float | None
    instruction: str | None
    category: str | None
    hand: HandPath | None
    robot: Callable[[int], RobotCapsules] | None
    tracks: np.ndarray | None
    read: Callable[[str, range], Iterator[RGBDFrame]]

    def frames_at(self, index: int) -> dict[str, RGBDFrame]:
        """What every camera saw at one moment."""
        return {name: next(self.read(name, range(index, index + 1))) for name in self.cameras}


def load_clip(path: Path, episode: int = 0) -> Clip:
    """Open a recording: an episode of a dataset, an .npz, or a folder of PNG pairs.

    Raises:
        ChoiceError: The dataset has no such episode.
        FormatError: The recording is malformed; names the file and the field.
        StackError: The dataset is damaged; names the file and the field.
    """
    from armflow.learning.store.layout import INFO

    return _from_dataset(path, episode) if (path / INFO).exists() else _from_recording(path)


def load_hand(path: Path) -> HandPath:
    """Read a hand's path from an .npz with `states` [T, 8] and `period`, s.

    Raises:
        FormatError: The file is missing or holds something else.
    """
    if not path.is_file():
        raise FormatError(
            path, "path", f"does not exist; give an .npz, or {RECORDED} for what the recording's hand did"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            hand = HandPath(np.asarray(archive["states"], float), float(archive["period"]))
    except (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile, StackError) as error:
        raise FormatError(path, "path", f"needs states [T, {HAND_SIZE}] and period in an .npz ({error})") from error
    if not LASTS[0] <= hand.duration <= LASTS[1]:
        raise FormatError(path, "path", f"lasts {hand.duration:g} s; it must be {LASTS[0]:g} to {LASTS[1]:g} s")
    return hand


def _from_recording(path: Path) -> Clip:
    from armflow.perception.recording import load_recording

    recording = load_recording(path)
    stamps = np.array([frame.stamp for frame in recording.frames])

    def read(_: str, rows: range) -> Iterator[RGBDFrame]:
        return iter(recording.frames[rows.start : rows.stop])

    return Clip(str(path), ("camera",), stamps, False, None, recording.instruction, None, None, None, None, read)


def _from_dataset(path: Path, episode: int) -> Clip:
    from armflow.learning.store import open_dataset

    dataset = open_dataset(path)
    episodes, schema = dataset.episodes, dataset.schema
    if not 0 <= episode < len(episodes):
        raise ChoiceError("episode", episode, [f"0 to {len(episodes) - 1}"])
    cameras = _cameras(path, dataset)
    entry, stamps = dataset.entries[episode], dataset.stamps(episode)

    def read(name: str, rows: range) -> Iterator[RGBDFrame]:
        K, T, scale = cameras[name]
        films = (dataset.pictures(entry, kind + name) for kind in (IMAGES, DEPTHS))
        for index, (rgb, codes) in islice(enumerate(zip(*films, strict=True)), rows.start, rows.stop):
            yield RGBDFrame(rgb, np.where(codes == 0, np.nan, codes * scale), K, T, float(stamps[index]))

    category = schema.extra.get("category")  # told where a hand plays with one object
    hand, tracks = None, None
    if category is not None and HAND in schema.features and schema.features[HAND].shape == (HAND_SIZE,):
        hand = HandPath(dataset.read(episode, [HAND]).arrays[HAND].astype(float), 1.0 / schema.fps)
    if TRACKS in schema.features:
        tracks = dataset.read(episode, [TRACKS]).arrays[TRACKS].astype(float)
    return Clip(
        name=f"{path}, episode {episode}",
        cameras=tuple(cameras),
        stamps=stamps,
        posed=True,
        ground=float(schema.extra["ground"]) if "ground" in schema.extra else None,
        instruction=episodes[episode].task,
        category=category,
        hand=hand,
        robot=_robot(dataset, episode, hand),
        tracks=tracks,
        read=read,
    )


def _robot(dataset: "Dataset", episode: int, hand: HandPath | None) -> Callable[[int], RobotCapsules] | None:
    """The robot's capsules at each frame, where its joints are recorded and its model is known."""
    from armflow.robot.capsules import capsule_ends
    from armflow.robot.embodiments import load_arm

    schema = dataset.schema
    if hand is None or JOINTS not in schema.features or schema.robot not in arm_names():
        return None
    arm, joints = load_arm(schema.robot), dataset.read(episode, [JOINTS]).arrays[JOINTS].astype(float)
    if joints.shape[1] != arm.dof:
        return None

    def capsules_at(index: int) -> RobotCapsules:
        shape = arm.capsules_at(float(np.clip(hand.states[index, 7], 0.0, 1.0)))
        starts, ends = capsule_ends(arm.frames(joints[index]), shape.frame, shape.a, shape.b)
        return starts, ends, shape.radius

    return capsules_at


def _cameras(path: Path, dataset: "Dataset") -> dict[str, tuple[np.ndarray, Any, float]]:
    """Intrinsics, pose and metres of a code of each camera with colour and depth."""
    from scipy.spatial.transform import RigidTransform

    schema, found = dataset.schema, {}
    for name in (key.removeprefix(IMAGES) for key in schema.features if key.startswith(IMAGES)):
        facts = schema.extra.get("cameras", {}).get(name, {})
        if DEPTHS + name not in schema.features or "intrinsics" not in facts or "extrinsics" not in facts:
            continue
        try:
            K, T = (np.asarray(facts[key], float) for key in ("intrinsics", "extrinsics"))
            check_shape("intrinsics", K, "3 3")
            check_shape("extrinsics", T, "4 4")
            found[name] = (K, RigidTransform.from_matrix(T), schema.depth_scale(DEPTHS + name))
        except (TypeError, ValueError, ShapeError) as error:
            raise FormatError(path, f"cameras.{name}", str(error)) from error
    if not found:
        raise FormatError(path, "cameras", "no camera with colour, depth, intrinsics and pose; record with --images")
    return found
