"""A world without physics: an arm that goes where it is told and a camera that sees grey."""

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.perception.frame import RGBDFrame
from armflow.robot.chunk import ActionChunk


class FakeWorld:
    """Is its own arm and camera; the task is done once joint 0 has been past `goal` rad."""

    instruction = "turn the first joint"

    def __init__(self, goal: float = 0.05) -> None:
        self.goal, self.broken, self.closed = goal, None, False
        self.on_step: Callable | None = None
        self.rejected = 0
        self.reset(np.random.default_rng(0))

    @property
    def arm(self) -> "FakeWorld":
        return self

    @property
    def camera(self) -> "FakeWorld":
        return self

    def reset(self, rng: np.random.Generator) -> None:
        self.q, self.gripper, self.time, self.rng = np.zeros(7), 1.0, 0.0, rng

    def read_q(self) -> np.ndarray:
        return self.q.copy()

    def read_gripper(self) -> float:
        return self.gripper

    def execute(self, chunk: ActionChunk) -> ActionChunk:
        for q, gripper in zip(chunk.q, chunk.gripper, strict=True):
            self.q, self.gripper, self.time = q, float(gripper), self.time + chunk.dt
            if self.on_step is not None:
                self.on_step()
        return chunk

    def is_success(self) -> bool:
        return bool(self.q[0] > self.goal)

    def failure(self) -> str | None:
        return self.broken

    def read(self) -> RGBDFrame:
        return self.view(64, 48)

    def view(self, width: int, height: int) -> RGBDFrame:
        K = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]])
        rgb = np.full((height, width, 3), 128, np.uint8)
        return RGBDFrame(rgb, np.ones((height, width)), K, RigidTransform.identity(), self.time)

    def close(self) -> None:
        self.closed = True


class TurnController:
    """Turns joint 0 by 1/64 rad a chunk until it is at `goal`, then ends."""

    def __init__(self, goal: float = 10 / 64) -> None:
        self.goal = goal
        self.timings: dict[str, list[float]] = {}
        self.replans = 0

    def reset(self, instruction: str) -> None:
        self.timings = {"plan": [2.0, 4.0]}

    def act(self, observation) -> ActionChunk | None:
        if observation.q[0] >= self.goal:
            return None
        q = observation.q.copy()
        q[0] += 1 / 64  # exact in binary, so that steps count up exactly
        return ActionChunk(q[None].repeat(5, 0), np.ones(5), 0.04, observation.stamp)

    def status(self) -> str:
        return "turning"
