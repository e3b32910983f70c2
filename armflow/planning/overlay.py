"""`Overlay`: what a controller would like to have drawn over a picture."""

from dataclasses import dataclass

import numpy as np

from armflow.perception.flow import Flow3D

__all__ = ["Overlay"]


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a video may draw over the camera view.

    Attributes:
        predicted: Flow of the running plan, or None between plans.
        tracked_world: [N, 3] tracked points, m, or None.
        stage: Label of the running segment.
        verdict: The newest verdict in words.
        goal_world: [P, 3] goal cloud, m, or None where the goal is not a cloud.
    """

    predicted: Flow3D | None
    tracked_world: np.ndarray | None
    stage: str
    verdict: str
    goal_world: np.ndarray | None = None
