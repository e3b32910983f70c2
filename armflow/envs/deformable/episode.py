"""`SoftTaskWorld`: a task with a thing that bends behind camera and arm, as the runner of controllers takes it."""

import numpy as np

from armflow.envs.deformable.cloth_tasks import ClothFold, ClothLift
from armflow.envs.deformable.cloud_task import CloudTask
from armflow.envs.deformable.stage import SoftStage
from armflow.envs.deformable.tasks import BoxClose, PlushPlace, RopeShape
from armflow.envs.deformable.tracks import draw_track_points
from armflow.envs.deformable.world import SoftWorld
from armflow.envs.render import Renderer
from armflow.envs.sensor import DepthSensor
from armflow.envs.sim_arm import SimArm
from armflow.envs.sim_camera import SimCamera, bench_camera
from armflow.perception.frame import RGBDFrame
from armflow.robot.embodiments import load_arm
from armflow.robot.errors import ChoiceError

__all__ = ["SOFT_TASKS", "SoftTaskWorld"]

SOFT_TASKS: dict[str, type[CloudTask]] = {
    task.name: task for task in (RopeShape, ClothLift, ClothFold, PlushPlace, BoxClose)
}


class SoftTaskWorld:
    """Episodes of one task. A controller may use `instruction`, `goal_points`, `camera` and `arm`.

    Attributes:
        task: The task with its goal.
        world: The simulation.
        arm: Commands and encoders.
        stage: Meshes of the world, for all cameras.
        camera: The camera on the bench.
    """

    def __init__(self, task: str, arm: str, *, camera_size: tuple[int, int] = (320, 240), noise: bool = True) -> None:
        """Load the arm and set the camera up; call `reset` before anything else.

        Raises:
            ChoiceError: No such task, or an arm that the task is not for.
        """
        if task not in SOFT_TASKS:
            raise ChoiceError("task", task, SOFT_TASKS)
        self.task = SOFT_TASKS[task]()
        if arm != self.task.arm:
            raise ChoiceError(f"arm for {task}", arm, (self.task.arm,))
        self.world = SoftWorld(load_arm(arm))
        self.arm = SimArm(self.world)  # type: ignore[arg-type]
        self.stage = SoftStage(self.world, Renderer())
        spec, sensor = bench_camera(self.world.arm, *camera_size), DepthSensor() if noise else None
        self.camera = SimCamera(self.world, spec, sensor, self.stage)  # type: ignore[arg-type]

    def close(self) -> None:
        """Nothing has to be given back."""

    def reset(self, rng: np.random.Generator) -> None:
        """Lay the task out anew; the same generator state gives the same episode, bit for bit."""
        self.camera.seed(int(rng.integers(2**62)))
        self.task.build(self.world, rng=rng)
        self.arm.start()

    @property
    def instruction(self) -> str:
        """The task in words."""
        return self.task.instruction

    @property
    def time(self) -> float:
        """Simulated time since `reset`, s."""
        return self.world.time

    def goal_points(self) -> np.ndarray:
        """The goal [P, 3], m, world: part of the instruction."""
        return self.task.goal

    def particles(self, count: int, *, rng: np.random.Generator) -> np.ndarray:
        """Draw points of the surface [count, 3], m: the truth, for scoring and recording only."""
        vertices = self.world.vertices()
        return draw_track_points(vertices, self.world.body.faces, count, rng=rng).at(vertices)

    def is_success(self) -> bool:
        """Tell whether the task is done now."""
        return self.failure() is None and self.task.is_success(self.world)

    def failure(self) -> str | None:
        """Why the episode cannot go on, or None."""
        return self.world.poisoned

    def facts(self) -> dict[str, str]:
        """How far the thing is from its goal."""
        if self.failure() is not None:
            return {}
        return {"distance": f"{1000 * self.task.distance(self.world):.0f} mm"}

    def view(self, width: int, height: int) -> RGBDFrame:
        """Take a picture without noise from the camera's place, in another size (video)."""
        return self.camera.view(width, height)
