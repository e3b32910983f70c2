"""`TaskWorld`: one task on one arm behind camera and arm, as the runner of controllers takes it."""

import numpy as np

from armflow.envs.sensor import DepthSensor
from armflow.envs.sim_arm import SimArm
from armflow.envs.sim_camera import CameraSpec, SimCamera, bench_camera
from armflow.envs.tasks import make_task
from armflow.envs.tasks.task import Task
from armflow.envs.world import BENCH_PHYSICS, World
from armflow.perception.frame import RGBDFrame
from armflow.robot.embodiments import load_arm
from armflow.robot.errors import ChoiceError
from armflow.robot.model import RobotModel

__all__ = ["TaskWorld"]


class TaskWorld:
    """Episodes of one task. A controller may use `instruction`, `camera` and `arm`; all else is for scoring.

    Attributes:
        task: The task, with its handles and goals.
        world: The simulation.
        arm: Commands and encoders.
        camera: The camera on the bench.
    """

    def __init__(
        self,
        task: str | Task,
        arm: str | RobotModel | None = None,
        *,
        camera: CameraSpec | None = None,
        camera_size: tuple[int, int] = (320, 240),
        noise: bool = True,
        gui: bool = False,
    ) -> None:
        """Load the arm and set the camera up; call `reset` before anything else.

        Args:
            task: A task or its name.
            arm: An arm or its name; None for the task's own, or Panda.
            camera: Where the camera stands; None for `bench_camera`.
            camera_size: Width and height of the default camera, px.
            noise: Whether depth is as noisy as a real sensor's.
            gui: Whether to open pybullet's window.

        Raises:
            ChoiceError: No such task or arm, or an arm that the task is not for.
        """
        self.task = make_task(task) if isinstance(task, str) else task
        model = self._pick_arm(arm)
        self.world = World(model, gui=gui, physics=getattr(self.task, "physics", BENCH_PHYSICS))
        self.arm = SimArm(self.world, self._after_step, self.is_over)
        self.camera = SimCamera(
            self.world, camera or bench_camera(model, *camera_size), DepthSensor() if noise else None
        )
        self._built = False

    def _pick_arm(self, arm: str | RobotModel | None) -> RobotModel:
        own = getattr(self.task, "arm", None)
        model = load_arm(arm or own or "panda") if arm is None or isinstance(arm, str) else arm
        if own is not None and model.name != own:
            raise ChoiceError(f"arm for {self.task.name}", model.name, (own,))
        return model

    def close(self) -> None:
        """End the simulation."""
        self.world.close()

    def reset(self, rng: np.random.Generator) -> None:
        """Lay the task out anew; the same generator state gives the same episode, bit for bit."""
        self.world.reset()
        self.camera.seed(int(rng.integers(2**62)))
        self.task.build(self.world, self.world.arm, rng=rng)
        self.arm.start(getattr(self.task, "commanded", None))
        self._built = True

    def _after_step(self) -> None:
        if self._built:
            self.task.update(self.world)

    @property
    def instruction(self) -> str:
        """The task in words."""
        return self.task.instruction

    @property
    def time(self) -> float:
        """Simulated time since `reset`, s."""
        return self.world.time

    def is_success(self) -> bool:
        """Tell whether the task is done now."""
        return self.world.poisoned is None and self.task.is_success(self.world)

    def is_over(self) -> bool:
        """Tell whether the episode ends here, as the task's benchmark has it; others end when the controller does."""
        return bool(getattr(self.task, "ends_at_success", False)) and self.is_success()

    @property
    def max_seconds(self) -> float:
        """Longest episode of the task's benchmark, s; infinite where the caller decides."""
        return self.task.max_seconds if getattr(self.task, "ends_at_success", False) else np.inf

    def policy_state(self) -> np.ndarray | None:
        """Numbers that the task itself offers to a policy, as its benchmark defines; None for the others."""
        numbers = getattr(self.task, "numbers", None)
        return None if numbers is None else numbers(self.world, self.arm.q_sent)

    def policy_goal(self) -> np.ndarray | None:
        """The goal in numbers that goes with them, or None."""
        return None if self.policy_state() is None else self.task.desired_goal(self.world)

    def facts(self) -> dict[str, str]:
        """What the task tells about the episode, a few words each; for reports."""
        tell = getattr(self.task, "facts", None)
        return {} if tell is None else tell(self.world)

    def failure(self) -> str | None:
        """Why the episode cannot go on, or None."""
        return self.world.poisoned

    def view(self, width: int, height: int) -> RGBDFrame:
        """Take a picture without noise from the camera's place, in another size (video)."""
        return self.camera.view(width, height)
