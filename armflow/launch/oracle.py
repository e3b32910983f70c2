"""The `oracle`: the flow controller with the simulator's truth in the place of perception.

It shows what planning and control could do if nothing were seen wrongly: an upper bound, never a result. Only the
controller named `oracle` looks through these eyes.
"""

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.perception.cloud import back_project
from armflow.perception.detection import Detection, TablePlane
from armflow.perception.frame import RGBDFrame
from armflow.perception.observation import Observation
from armflow.perception.particles import ObjectState
from armflow.perception.segment import SceneObjects

if TYPE_CHECKING:
    from armflow.envs.episode import TaskWorld
    from armflow.envs.shapes import BodySpec
    from armflow.planning.controller import FlowController

__all__ = ["TruthEyes", "make_oracle"]

_TABLE = TablePlane(np.array([0.0, 0.0, 1.0]), 0.0)
_ABOVE = 0.005  # m above the table where an obstacle begins
_GRASPED = 0.012  # m around a drawer's handle that counts as the handle


def make_oracle(world: "TaskWorld", *, rng: np.random.Generator, solver: str) -> "FlowController":
    """Return a flow controller that sees `world` through `TruthEyes`."""
    from armflow.planning.controller import FlowController

    return FlowController(world.arm.model, rng=rng, eyes=TruthEyes(world), solver=solver)


class TruthEyes:
    """Exact depth, masks by body, and poses, sizes and names straight from the simulation."""

    def __init__(self, world: "TaskWorld") -> None:
        self._world = world

    def see(self, observation: Observation) -> SceneObjects:
        """Return every body that shows at least one pixel; beads belong to the cup they are in."""
        specs, frame = self._world.world.specs, observation.frame
        truth = self._world.camera.truth()
        points = back_project(
            RGBDFrame(frame.rgb, truth.depth.astype(float), frame.K, frame.T_world_camera, frame.stamp)
        )
        fixed = (self._world.world.table, self._world.world.floor)
        shown = [handle for handle in specs if handle not in fixed and (truth.segmentation == handle).any()]
        found = [self._detection(handle, points, truth.segmentation, frame) for handle in shown]
        above = np.isin(truth.segmentation, shown) & (points[..., 2] > _ABOVE)
        return SceneObjects(_TABLE, tuple(one for one in found if one is not None), points[above])

    def _detection(
        self, handle: int, points: np.ndarray, segmentation: np.ndarray, frame: RGBDFrame
    ) -> Detection | None:
        spec = self._world.world.specs[handle]
        color, kind = spec.name.split(maxsplit=1)
        if color == "bead":
            return None
        kind = {"cabinet": "drawer", "cylinder": "unknown"}.get(kind, kind)
        T, size = self._geometry(handle, kind, spec)
        mask = (segmentation == handle) & np.isfinite(points[..., 2])
        if kind == "drawer":  # of a cabinet, the handle alone is taken hold of
            local = T.inv().apply(points.reshape(-1, 3)).reshape(points.shape)
            mask &= (np.abs(local) < size / 2 + _GRASPED).all(-1)
        if not mask.any():
            return None
        state = ObjectState(f"{color} {kind}", points[mask], np.zeros_like(points[mask]), frame.stamp)
        return Detection(state, mask, frame.rgb[mask] / 255.0, color, kind, T, size, 1.0)

    def _geometry(self, handle: int, kind: str, spec: "BodySpec") -> tuple[RigidTransform, np.ndarray]:
        """Pose of the object frame of `Detection` and extents [3] m along it."""
        world, task = self._world.world, self._world.task
        if kind == "drawer":
            bar = spec.links[0].parts[-1].size  # radius, length
            return world.link_pose(handle, "drawer"), np.array([2 * bar[0], bar[1], 2 * bar[0]])
        if kind == "pen":
            width = 2 * task.pen.radius  # type: ignore[attr-defined]
            return world.pose(handle), np.array([task.pen.length, width, width])  # type: ignore[attr-defined]
        if kind == "rack":
            width = 2 * task.rack.peg_radius  # type: ignore[attr-defined]
            return world.pose(handle), np.array([task.rack.peg_length, width, width])  # type: ignore[attr-defined]
        first = spec.parts[0]
        if first.kind == "box":
            return world.pose(handle), np.array(first.size)
        radius, height = first.size[1:3] if first.kind == "tube" else first.size
        return world.pose(handle), np.array([2 * radius, 2 * radius, height])
