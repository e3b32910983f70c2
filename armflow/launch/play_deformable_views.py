"""Up to four cameras about the bench, for recorded interaction: colour, depth as a sensor sees it, and the joints."""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.robot.errors import ValueRangeError

if TYPE_CHECKING:
    from armflow.envs.deformable.world import SoftWorld
    from armflow.envs.sim_camera import CameraSpec
    from armflow.launch.play_episode import PlaySpec
    from armflow.learning.store import Feature
    from armflow.robot.model import RobotModel

__all__ = ["VIEWS", "Views", "view_facts", "view_features"]

# Where cameras stand from the middle of the bench, m, beside the usual one; all look at that middle.
ASIDE = {"left": (0.05, 0.62, 0.5), "right": (-0.02, -0.62, 0.5), "top": (0.33, 0.35, 0.75)}
VIEWS = ("bench", *ASIDE)
DEPTH_SCALE = 0.0005  # m of one unit of depth: 12 bits reach 2 m


def view_specs(spec: "PlaySpec", arm: "RobotModel") -> "dict[str, CameraSpec]":
    """The first cameras, by name.

    Raises:
        ValueRangeError: More cameras than there are, or none.
    """
    from armflow.envs.sim_camera import CameraSpec, bench_camera

    if not 1 <= spec.views <= len(VIEWS):
        raise ValueRangeError("--views", spec.views, f"1 to {len(VIEWS)}")
    x, y = (float(value) for value in arm.bench_center)
    found = {"bench": bench_camera(arm, *spec.camera)}
    for name, (dx, dy, z) in ASIDE.items():
        found[name] = CameraSpec((x + dx, y + dy, z), (x, y, 0.02), *spec.camera)
    return {name: found[name] for name in VIEWS[: spec.views]}


def view_features(spec: "PlaySpec", arm: "RobotModel") -> "dict[str, Feature]":
    """Columns of pictures, and of the joints that put the arm into them."""
    from armflow.learning.store import Feature

    width, height = spec.camera
    features = {"observation.joints": Feature("float32", (arm.dof,), tuple(arm.joint_names))}
    for name in view_specs(spec, arm):
        features[f"observation.images.{name}"] = Feature("video", (height, width, 3))
        features[f"observation.depth.{name}"] = Feature("depth", (height, width))
    return features


def view_facts(spec: "PlaySpec", arm: "RobotModel") -> dict[str, dict[str, Any]]:
    """Intrinsics and extrinsics, as the store keeps them."""
    return {
        name: {
            "intrinsics": camera.K.tolist(),
            "extrinsics": camera.T_world_camera.as_matrix().tolist(),
            "depth_scale": DEPTH_SCALE,
            "serial": f"simulated-{name}",
        }
        for name, camera in view_specs(spec, arm).items()
    }


class Views:
    """The cameras of a loaded world; the arm is drawn where it would hold the free hand."""

    def __init__(self, world: "SoftWorld", spec: "PlaySpec") -> None:
        """Set the cameras up; noise repeats with the spec."""
        from armflow.envs.deformable.stage import SoftStage
        from armflow.envs.render import Renderer
        from armflow.envs.sensor import DepthSensor
        from armflow.envs.sim_camera import SimCamera

        self._world, self._rng = world, np.random.default_rng([spec.seed, 3])
        stage = SoftStage(world, Renderer())
        self._cameras = {
            name: SimCamera(world, one, DepthSensor(), stage)  # type: ignore[arg-type]
            for name, one in view_specs(spec, world.arm).items()
        }
        for camera in self._cameras.values():
            camera.seed(int(self._rng.integers(2**62)))
        self._q = world.arm.home.copy()

    def read(self) -> dict[str, np.ndarray]:
        """Colour and coded depth of each camera, and the joints [D], rad."""
        from armflow.learning.store import encode_depth

        self._follow()
        found = {"observation.joints": self._q}
        for name, camera in self._cameras.items():
            frame = camera.read()
            found[f"observation.images.{name}"] = frame.rgb
            found[f"observation.depth.{name}"] = encode_depth(frame.depth, DEPTH_SCALE)
        return found

    def _follow(self) -> None:
        """Bring the arm's picture to the hand; where it cannot reach, as near as it can."""
        from armflow.robot.ik import solve_ik

        pose, target = self._world.hand.pose7(), np.eye(4)
        target[:3, :3], target[:3, 3] = Rotation.from_quat(pose[3:], scalar_first=True).as_matrix(), pose[:3]
        self._q = solve_ik(self._world.arm, target, self._q, rng=self._rng, restarts=3).q
        self._world.show_arm(self._q)
