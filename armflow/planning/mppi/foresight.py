"""`DynamicsForesight`: learned dynamics as what a planner asks how an object moves with the hand."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from armflow.perception.particles import ShapeState
from armflow.planning.dynamics import DT, HISTORY, DynamicsModel, Particles, ToolPath
from armflow.planning.dynamics.adapt import make_code
from armflow.planning.dynamics.errors import DynamicsError
from armflow.planning.mppi.planner import Predict

__all__ = ["DynamicsForesight", "particles_of"]


def particles_of(state: ShapeState, code: torch.Tensor, ground: float = 0.0) -> Particles:
    """What a watcher knows of an object, as one object for a dynamics model.

    Args:
        state: The object; its newest velocity stands for every step of the history.
        code: [C] category and material.
        ground: Height of the table, m.

    Raises:
        DynamicsError: One particle alone, or numbers that are not finite.
    """
    points, speed, rest = (
        torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)
        for values in (state.points_world, state.velocities_world, state.rest_world)
    )
    history = speed.expand(1, HISTORY, *speed.shape)
    return Particles(points[None], history, rest[None], code[None].to(points), ground=ground)


class DynamicsForesight:
    """A trained model with the code of the object at hand.

    Attributes:
        code: [C] category and material; the material may be adapted while the object is touched.
    """

    def __init__(self, model: DynamicsModel, category: str, *, tip: float) -> None:
        """Take the model, what the object is, and how far the fingertips lie in front of the tool, m.

        Raises:
            ChoiceError: No such category.
        """
        self._model, self._tip, self.code = model, tip, make_code(category)

    def start(self, state: ShapeState) -> Predict:
        """Take the object as it is now.

        Raises:
            DynamicsError: The model cannot foretell this object.
        """
        particles = particles_of(state, self.code)

        def predict(paths: np.ndarray, rotations: np.ndarray, closed: np.ndarray) -> torch.Tensor:
            with torch.no_grad():
                return self._model.rollout(particles, self.tools(paths, rotations, closed))

        return predict

    def tools(self, paths: np.ndarray, rotations: np.ndarray, closed: np.ndarray) -> ToolPath:
        """Fingertips of hand paths.

        Args:
            paths: [B, T + 1, 3] tool positions, m, one every `DT`.
            rotations: [B, 4] orientations, wxyz, the same all the way.
            closed: [B] 0 open to 1 closed.

        Raises:
            DynamicsError: Paths that are not finite, or no step.
        """
        if not (np.isfinite(paths).all() and np.isfinite(rotations).all()):
            raise DynamicsError("tool points", f"a hand path is not finite; steps are {DT} s apart")
        ahead = self._tip * Rotation.from_quat(rotations, scalar_first=True).apply([0.0, 0.0, 1.0])
        rows = paths.shape[1]
        points = torch.as_tensor(paths + ahead[:, None], dtype=torch.float32)
        turns = torch.as_tensor(np.repeat(rotations[:, None], rows, axis=1), dtype=torch.float32)
        return ToolPath(points, turns, torch.as_tensor(np.repeat(closed[:, None], rows, axis=1), dtype=torch.float32))
