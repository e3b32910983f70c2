"""`mppi-simulator`: planning with the true simulator as the model and its true particles as eyes.

It shows what the search could do if dynamics were learned and things were seen without any error: a ceiling, never a
result. Only the controller of that name looks and foretells like this.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from armflow.perception.observation import Observation
from armflow.perception.particles import ShapeState
from armflow.planning.dynamics.types import DT
from armflow.planning.mppi.planner import Predict

if TYPE_CHECKING:
    from armflow.envs.deformable.episode import SoftTaskWorld

__all__ = ["SimulatorForesight", "TruthWatcher"]

PARTICLES = 200
CLOSING = 0.4  # s for the fingers to close


class TruthWatcher:
    """Particles of the simulated surface, the same in every look."""

    def __init__(self, task: "SoftTaskWorld", *, rng: np.random.Generator) -> None:
        """Choose particles of a world that has been reset."""
        from armflow.envs.deformable.tracks import draw_track_points

        self._world = task.world
        self.points = draw_track_points(self._world.vertices(), self._world.body.faces, PARTICLES, rng=rng)
        self._rest = self._world.particles(self.points)

    def start(self, observation: Observation) -> ShapeState:
        """Where the particles are now."""
        points = self._world.particles(self.points)
        return ShapeState(self._world.body.category, points, np.zeros_like(points), self._rest, observation.stamp)

    update = start


class SimulatorForesight:
    """Tries hand paths out in the simulation and then goes back to where it was."""

    def __init__(self, task: "SoftTaskWorld", watcher: TruthWatcher) -> None:
        """Take the world and the particles that are asked about."""
        self._world, self._points = task.world, watcher.points

    def start(self, state: ShapeState) -> Predict:
        """Nothing to prepare: the simulation is where the object is."""

        def predict(paths: np.ndarray, rotations: np.ndarray, closed: np.ndarray) -> torch.Tensor:
            moved = [self._try(path, turn, shut) for path, turn, shut in zip(paths, rotations, closed, strict=True)]
            return torch.as_tensor(np.stack(moved), dtype=torch.float32)

        return predict

    def _try(self, path: np.ndarray, rotation: np.ndarray, closed: float) -> np.ndarray:
        """Particles [T, N, 3] after each step of a tool path [T + 1, 3], m, that begins by closing the hand."""
        from armflow.envs.deformable.free_hand import FreeHand

        world, saved = self._world, self._world.save()
        ahead = Rotation.from_quat(rotation, scalar_first=True).apply([0.0, 0.0, world.arm.gripper.tip])
        poses = np.concatenate([path + ahead, np.tile(rotation, (len(path), 1)), np.ones((len(path), 1))], axis=1)
        hand = FreeHand(world, poses[0])
        poses[:, 7] = 1.0 - closed
        for _ in range(round(CLOSING / world.physics.period)):
            hand.step(poses[0])
        rows, found = round(DT / world.physics.period), []
        for before, after in pairwise(poses):
            for k in range(1, rows + 1):
                hand.step(before + k / rows * (after - before))
            found.append(world.particles(self._points))
        world.restore(saved)
        return np.stack(found)
