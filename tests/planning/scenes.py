"""Small hand-made scenes and a six-joint arm for the planning tests."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.detection import Detection, TablePlane
from armflow.perception.flow import Flow3D
from armflow.perception.frame import RGBDFrame
from armflow.perception.particles import ObjectState
from armflow.planning.scene import Candidate, Scene
from armflow.planning.solid import solid_of
from armflow.robot.capsules import Capsules, capsule_ends
from armflow.robot.kinematics import chain_frames
from armflow.robot.model import Gripper

TABLE = TablePlane(np.array([0.0, 0.0, 1.0]), 0.0)
SIZES = {
    "block": (0.05, 0.04, 0.04),
    "disc": (0.10, 0.10, 0.004),
    "pen": (0.14, 0.016, 0.016),
    "cup": (0.06, 0.06, 0.09),
    "mug": (0.10, 0.064, 0.09),
    "drawer": (0.012, 0.10, 0.012),
}
HEIGHTS = {"block": 0.02, "disc": 0.004, "pen": 0.008, "cup": 0.0, "mug": 0.0, "drawer": 0.08}


def pose(x: float, y: float, z: float, yaw: float = 0.0) -> RigidTransform:
    return RigidTransform.from_components(np.array([x, y, z]), Rotation.from_euler("z", yaw))


def detection(kind: str, x: float, y: float, yaw: float = 0.0) -> Detection:
    """An object of the usual size on the table, seen from all sides."""
    T, size = pose(x, y, HEIGHTS[kind], yaw), np.array(SIZES[kind])
    empty = np.zeros((0, 3))
    whole = Detection(_state(kind, np.zeros((1, 3))), np.zeros((2, 2), bool), empty, "red", kind, T, size, 1.0)
    solid = solid_of(whole)
    inside = (np.random.default_rng(0).random((300, 3)) - 0.5) * size
    points = T.apply(inside if solid is None else solid.surface(0.005)[0])
    return Detection(_state(kind, points), np.zeros((2, 2), bool), np.ones_like(points), "red", kind, T, size, 1.0)


def _state(kind: str, points: np.ndarray) -> ObjectState:
    return ObjectState(f"red {kind}", points, np.zeros_like(points), 0.0)


def scene(target: Detection, reference: Detection | None = None, *, q: np.ndarray | None = None) -> Scene:
    frame = RGBDFrame(
        np.zeros((2, 2, 3), np.uint8), np.ones((2, 2)), np.diag([100.0, 100.0, 1.0]), pose(1.2, 0.0, 0.7), 0.0
    )
    obstacles = np.zeros((0, 3)) if reference is None else reference.state.points_world
    return Scene(frame, TABLE, target, reference, (), obstacles, np.zeros(7) if q is None else q)


def carry(target: Detection, keys: list[np.ndarray], *, contact: str = "grasp", release: bool = True) -> Candidate:
    """A candidate that shifts the object along straight lines through offsets [3] from its start."""
    stations = np.linspace(0, len(keys), 6 * len(keys) + 1)
    stops = np.vstack([np.zeros(3), *keys])
    offsets = np.stack([np.interp(stations, np.arange(len(stops)), stops[:, a]) for a in range(3)], axis=1)
    path = np.tile(target.T_world_object.as_matrix(), (len(offsets), 1, 1))
    path[:, :3, 3] += offsets
    points = target.state.points_world[None] + offsets[:, None]
    flow = Flow3D(points, np.ones(points.shape[:2], bool), 0.1)
    return Candidate(flow, RigidTransform.from_matrix(path), contact, release, 1.0)


@dataclass(frozen=True)
class PlainArm:
    """A six-joint arm with a spherical wrist, upper arm and forearm of 0.45 m, and the usual parallel gripper."""

    dof: int
    placements: np.ndarray
    axes: np.ndarray
    q_min: np.ndarray
    q_max: np.ndarray
    home: np.ndarray
    workspace: np.ndarray
    gripper: Gripper
    capsules: Capsules
    self_pairs: np.ndarray

    def capsule_ends(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return capsule_ends(chain_frames(self.placements, self.axes, q), *self._capsule_parts())

    def _capsule_parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.capsules.frame, self.capsules.a, self.capsules.b


def plain_arm() -> PlainArm:
    placements = np.tile(np.eye(4), (7, 1, 1))
    placements[:, 2, 3] = [0.1, 0.2, 0.45, 0.15, 0.3, 0.0, 0.18]
    axes = np.array([[0, 0, 1], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=float)
    limit = np.full(6, 2.9)
    home = np.array([0.0, 0.0, 1.6, 0.0, 1.5, 0.0])
    open_, closed = np.full(2, 0.0425), np.zeros(2)
    gripper = Gripper(("left", "right"), open_, closed, 0.085, 0.01, 0.055, 0.01, 0.02, 0.02)
    ends = np.array([[0, 0, 0.0], [0, 0, 0.0], [0, 0, -0.08]])
    others = np.array([[0, 0, 0.4], [0, 0, 0.1], [0, 0, -0.1]])
    capsules = Capsules(np.array([1, 2, 6]), ends, others, np.full(3, 0.04), np.zeros(3))
    workspace = np.array([[0.1, -0.6, 0.0], [0.8, 0.6, 0.8]])
    return PlainArm(6, placements, axes, -limit, limit, home, workspace, gripper, capsules, np.zeros((0, 2), int))
