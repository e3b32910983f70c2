"""`SimCamera`: the simulated RGB-D camera, drawn by `Renderer`, with a real sensor's noise if asked."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.envs.render import Rendered, Renderer
from armflow.envs.sensor import DepthSensor
from armflow.envs.stage import Stage
from armflow.envs.world import World
from armflow.perception.frame import RGBDFrame
from armflow.robot.errors import ValueRangeError
from armflow.robot.model import RobotModel

__all__ = ["CameraSpec", "SimCamera", "bench_camera"]


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """Where a camera stands and how it sees.

    Attributes:
        eye: [3] position in the world, m.
        target: [3] point in the middle of the picture, m.
        width: px.
        height: px.
        fov_deg: Vertical field of view, degrees.
    """

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    width: int = 320
    height: int = 240
    fov_deg: float = 46.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueRangeError: The picture has no pixels, or the field of view is not between 1 and 170 degrees.
        """
        if min(self.width, self.height) < 1:
            raise ValueRangeError("picture size", (self.width, self.height), "at least 1 px each way")
        if not 1.0 <= self.fov_deg <= 170.0:
            raise ValueRangeError("fov_deg", self.fov_deg, "between 1 and 170 degrees")

    @property
    def K(self) -> np.ndarray:  # noqa: N802
        """Intrinsics [3, 3], px; pixel (u, v) is centred at (u, v)."""
        focal = 0.5 * self.height / np.tan(np.radians(self.fov_deg) / 2)
        return np.array([[focal, 0, (self.width - 1) / 2], [0, focal, (self.height - 1) / 2], [0, 0, 1.0]])

    @property
    def T_world_camera(self) -> RigidTransform:  # noqa: N802
        """Pose: x right, y down, z forward, level with the horizon."""
        z = np.subtract(self.target, self.eye)
        z = z / np.linalg.norm(z)
        x = np.cross(z, [0.0, 0.0, 1.0])
        x = x / np.linalg.norm(x)
        turn = Rotation.from_matrix(np.column_stack([x, np.cross(z, x), z]))
        return RigidTransform.from_components(np.asarray(self.eye, float), turn)


def bench_camera(arm: RobotModel, width: int = 320, height: int = 240) -> CameraSpec:
    """Return the default view: from beyond the bench, looking back and down at it over its whole width.

    The whole bench and the hand up to 0.35 m above it are in the picture; small arms get a nearer camera.
    """
    distance = float(np.clip(0.9 * arm.bench_half[1] / 0.22, 0.62, 0.9))
    x, y = arm.bench_center
    target = (float(x), float(y), 0.06 * distance / 0.9)
    tilt = np.radians(53.0)
    eye = (target[0] + distance * float(np.cos(tilt)), target[1], target[2] + distance * float(np.sin(tilt)))
    return CameraSpec(eye, target, width, height)


class SimCamera:
    """A `Camera` in a `World`.

    Attributes:
        spec: Where it stands.
    """

    def __init__(self, world: World, spec: CameraSpec, sensor: DepthSensor | None, stage: Stage | None = None) -> None:
        """Look into a world; `sensor` None gives exact depth, cameras of one world may share a `stage`."""
        self.spec = spec
        self._world = world
        self._sensor = sensor
        self._stage = stage
        self._K, self._T_world_camera = spec.K, spec.T_world_camera
        self._matrix = self._T_world_camera.as_matrix()
        self.seed(0)

    @property
    def stage(self) -> Stage:
        """The meshes of the world, loaded when they are first drawn."""
        if self._stage is None:
            self._stage = Stage(self._world, Renderer())
        return self._stage

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.spec.width, self.spec.height

    def seed(self, seed: int) -> None:
        """Start the sensor's noise anew."""
        self._rng = np.random.default_rng(seed)

    def read(self) -> RGBDFrame:
        """Draw the world as it is now."""
        picture = self._draw(rgb=True)
        depth = picture.depth.astype(float)
        if self._sensor is not None:
            depth = np.asarray(self._sensor.measure(picture.depth, rng=self._rng), float)
        assert picture.rgb is not None
        return RGBDFrame(picture.rgb, depth, self._K, self._T_world_camera, self._world.time)

    def view(self, width: int, height: int) -> RGBDFrame:
        """Draw the same view in another size, with exact depth."""
        spec = replace(self.spec, width=width, height=height)
        return SimCamera(self._world, spec, None, self.stage).read()

    def truth(self) -> Rendered:
        """Exact depth, and which body each pixel shows (its handle), for tests and scoring only."""
        return self._draw(rgb=False)

    def _draw(self, *, rgb: bool) -> Rendered:
        return self.stage.draw(self._K, self._matrix, (self.spec.width, self.spec.height), rgb=rgb)
