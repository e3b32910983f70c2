"""`Detection`: one object found on the table, with its words and its geometry; `TablePlane` beneath it."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.perception.particles import ObjectState

__all__ = ["KINDS", "Detection", "TablePlane"]

KINDS = ("block", "disc", "pen", "cup", "mug", "holder", "rack", "drawer", "unknown")


@dataclass(frozen=True, slots=True)
class TablePlane:
    """The plane n . p = d that carries the objects, n unit and pointing up (world), d in m."""

    normal: np.ndarray
    offset: float

    def height(self, points_world: np.ndarray) -> np.ndarray:
        """Signed distance above the plane, [N] m, of points [N, 3]."""
        return points_world @ self.normal - self.offset


@dataclass(frozen=True, slots=True)
class Detection:
    """One segmented object.

    The object frame depends on the kind:
    block and unknown: origin at the centre, z up, x along the longest horizontal side;
    disc: origin at the centre of the top face, z up;
    pen: origin at the centre, x along the pen (sign arbitrary);
    cup, holder: origin at the centre of the bottom, z up;
    mug: the same with x towards the handle;
    rack: origin at the peg's root, x along the peg towards its free tip, y horizontal;
    drawer: origin at the handle's centre, x horizontal in the direction that opens it, z up.

    Attributes:
        state: Observed points, named by colour and kind.
        mask: [H, W] bool pixels of the object.
        colors: [N, 3] colour of each point, 0 to 1.
        color: Colour word, such as "red".
        kind: One of `KINDS`.
        T_world_object: Pose of the object frame described above.
        size: [3] extent along the object frame's axes, m, hidden side included (rack: x is the peg's length;
            drawer: the handle's extents).
        confidence: 0 to 1, how well the points fit the kind's shape.
    """

    state: ObjectState
    mask: np.ndarray
    colors: np.ndarray
    color: str
    kind: str
    T_world_object: RigidTransform
    size: np.ndarray
    confidence: float
