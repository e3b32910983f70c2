"""`Embodiment`: what a YAML file says about an arm, checked field by field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from armflow.robot.errors import FormatError, RobotError

__all__ = ["Embodiment", "GripperSpec", "Mount", "Rod", "read_embodiment"]

PARALLEL_GRIPPER, PUSHER = "parallel", "pusher"


@dataclass(frozen=True, slots=True)
class Mount:
    """A frame fixed to a link.

    Attributes:
        link: Name of the link in the URDF.
        xyz: [3] position in the link's frame, m.
        rpy: [3] fixed-axis roll, pitch and yaw, rad.
    """

    link: str
    xyz: tuple[float, ...]
    rpy: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Rod:
    """A round rod that begins at its mount and points along the mount's z: a hand that only pushes.

    Attributes:
        radius: m.
        length: m.
        mass: kg.
    """

    radius: float
    length: float
    mass: float


@dataclass(frozen=True, slots=True)
class GripperSpec:
    """The hand: the arm's own, the parallel gripper of this package on a mount, or a rod on a mount.

    Attributes:
        mount: Where the parallel gripper is bolted on; None for the arm's own hand.
        joints: Finger joints in the composed URDF.
        open: Position of each finger joint when open, m.
        closed: Position of each finger joint when closed, m.
        mass: Mass of the parallel gripper, kg; 0 leaves it as its URDF says.
        rod: The rod of a hand without fingers, which then has no joints; None for a gripper.
    """

    mount: Mount | None
    joints: tuple[str, ...]
    open: tuple[float, ...]
    closed: tuple[float, ...]
    mass: float
    rod: Rod | None = None


@dataclass(frozen=True, slots=True)
class Embodiment:
    """One arm as its YAML file describes it; the file's own comments are in `embodiments/panda.yaml`."""

    name: str
    path: Path
    urdf: str
    base_link: str
    joints: tuple[str, ...]
    tool: Mount
    gripper: GripperSpec
    limits: Mapping[str, tuple[float, ...]]
    home: tuple[float, ...]
    workspace: tuple[tuple[float, ...], ...]
    bench_center: tuple[float, ...]
    bench_half: tuple[float, ...]
    drop_links: tuple[str, ...]
    bare_links: tuple[str, ...]
    ignore_pairs: tuple[tuple[str, str], ...]


def read_embodiment(path: Path) -> Embodiment:
    """Read and check a YAML file.

    Raises:
        FormatError: The file cannot be read or is no mapping.
        RobotError: A field is missing or has the wrong shape; the message names it.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FormatError(path, "file", f"cannot be read as YAML: {error}") from None
    if not isinstance(raw, Mapping):
        raise FormatError(path, "file", "is no mapping of fields")
    fields = _Fields(raw, path.stem)
    joints = fields.texts("joints")
    gripper, tool = _read_gripper(fields)
    bench = fields.child("bench")
    return Embodiment(
        name=str(raw.get("name", path.stem)),
        path=path.resolve(),
        urdf=fields.text("urdf"),
        base_link=fields.text("base_link"),
        joints=joints,
        tool=tool,
        gripper=gripper,
        limits={key: fields.numbers(key, len(joints)) for key in ("q_min", "q_max", "v_max", "a_max") if key in raw},
        home=fields.numbers("home", len(joints)),
        workspace=tuple(fields.child("workspace").numbers(key, 3) for key in ("low", "high")),
        bench_center=bench.numbers("center", 2),
        bench_half=bench.numbers("half", 2),
        drop_links=fields.texts("drop_links", required=False),
        bare_links=fields.texts("bare_links", required=False),
        ignore_pairs=tuple((a, b) for a, b in raw.get("ignore_pairs", ())),
    )


def _read_gripper(fields: "_Fields") -> tuple[GripperSpec, Mount]:
    gripper = fields.child("gripper")
    if gripper.raw.get("kind") == PARALLEL_GRIPPER:
        mount = gripper.child("mount").mount()
        joints = ("gripper_finger_joint1", "gripper_finger_joint2")
        mass = float(gripper.raw.get("mass", 0.0))
        return GripperSpec(mount, joints, (0.0425, 0.0425), (0.0, 0.0), mass), Mount("gripper_palm", (), ())
    if gripper.raw.get("kind") == PUSHER:
        rod = Rod(*gripper.numbers("rod", 3))
        return GripperSpec(gripper.child("mount").mount(), (), (), (), 0.0, rod), fields.child("tool").mount()
    joints = gripper.texts("joints")
    opened, closed = gripper.numbers("open", len(joints)), gripper.numbers("closed", len(joints))
    return GripperSpec(None, joints, opened, closed, 0.0), fields.child("tool").mount()


class _Fields:
    """One mapping of the file, read field by field with errors that name the robot and the field."""

    def __init__(self, raw: Mapping, name: str) -> None:
        self.raw, self.name = raw, name

    def _get(self, key: str) -> object:
        if self.raw.get(key) is None:
            raise RobotError(f"robot {self.name}: field '{key}' is missing")
        return self.raw[key]

    def child(self, key: str) -> "_Fields":
        value = self._get(key)
        if not isinstance(value, Mapping):
            raise RobotError(f"robot {self.name}: field '{key}' must be a mapping; got {value!r}")
        return _Fields(value, f"{self.name}: {key}")

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise RobotError(f"robot {self.name}: field '{key}' must be a text; got {value!r}")
        return value

    def texts(self, key: str, required: bool = True) -> tuple[str, ...]:
        value = self._get(key) if required else self.raw.get(key) or ()
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(v, str) for v in value):
            raise RobotError(f"robot {self.name}: field '{key}' must be a list of names; got {value!r}")
        return tuple(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        value = self._get(key)
        try:
            array = np.asarray(value, float)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != (count,) or not np.isfinite(array).all():
            raise RobotError(f"robot {self.name}: field '{key}' must be {count} finite numbers; got {value!r}")
        return tuple(array.tolist())

    def mount(self) -> Mount:
        return Mount(self.text("link"), self.numbers("xyz", 3), self.numbers("rpy", 3))
