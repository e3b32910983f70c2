"""From a judged candidate and a grasp to timed segments for the arm."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Segment", "held", "ramp"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of motion with one purpose.

    Attributes:
        label: What it does, such as "approach" or "carry".
        q: [H, D] joint targets on the control grid, rad.
        gripper: [H] opening, 0 closed to 1 open.
        Ts_world_object: [H, 4, 4] where the target should be at each row, m.
        watched: Whether the object can be seen and compared with that meanwhile.
        holds: Whether the gripper holds the object meanwhile.
    """

    label: str
    q: np.ndarray
    gripper: np.ndarray
    Ts_world_object: np.ndarray
    watched: bool = False
    holds: bool = False


def held(label: str, q: np.ndarray, gripper: np.ndarray, T_world_object: np.ndarray) -> Segment:
    """Keep the arm at q [D] while the gripper follows [H] and the object stays at T_world_object [4, 4]."""
    rows = len(gripper)
    return Segment(label, np.tile(q, (rows, 1)), gripper, np.tile(T_world_object, (rows, 1, 1)))


def ramp(start: float, end: float, rows: int, dwell: int) -> np.ndarray:
    """Gripper openings from start to end in `rows` rows, then `dwell` rows at the end value."""
    return np.concatenate([np.linspace(start, end, rows + 1)[1:], np.full(dwell, end)])
