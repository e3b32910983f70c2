"""`Scene`, what a planner knows at one moment; `Candidate`, a proposed motion; `Verdict`, the judgement on it."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.perception.detection import Detection, TablePlane
from armflow.perception.flow import Flow3D
from armflow.perception.frame import RGBDFrame

__all__ = ["Candidate", "Scene", "Verdict"]


@dataclass(frozen=True, slots=True)
class Scene:
    """The observed world around one task.

    Attributes:
        frame: The RGB-D frame that everything else was read from.
        table: The supporting plane.
        target: The object that shall move.
        reference: The object that the instruction relates it to (None when there is none, as for a drawer).
        others: All remaining objects.
        obstacles_world: [M, 3] points of everything but the target and the robot, m.
        q: [D] joint positions at that moment, rad.
    """

    frame: RGBDFrame
    table: TablePlane
    target: Detection
    reference: Detection | None
    others: tuple[Detection, ...]
    obstacles_world: np.ndarray
    q: np.ndarray


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way in which the object could move.

    Attributes:
        flow: Predicted paths of the target's points.
        Ts_world_object: [T] poses of the target's frame along the flow; row 0 is the observed pose.
        contact: "grasp" (hold it), "push" (touch it) or "pull" (hold a handle that slides).
        release: True where the gripper lets go at the end of the flow.
        score: Larger is preferred.
    """

    flow: Flow3D
    Ts_world_object: RigidTransform
    contact: str
    release: bool
    score: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement: `reason` is one sentence, `figures` the numbers behind it (SI units, by name)."""

    ok: bool
    reason: str
    figures: dict[str, float]
