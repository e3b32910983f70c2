"""What the play table can be asked for: columns of its state and goals, kinds of goals, and when one is met."""

from dataclasses import dataclass

import numpy as np

from armflow.robot.errors import ChoiceError

__all__ = [
    "GOAL_COLUMNS",
    "GOAL_NAMES",
    "KINDS",
    "STATE_NAMES",
    "TOLERANCES",
    "GoalKind",
    "draw_goal",
    "find_kind",
    "met",
]

STATE_NAMES = (
    "tool x",  # m, as all lengths; world frame
    "tool y",
    "tool z",
    "gripper",  # opening, 0 closed to 1 open
    "drawer",  # travel, 0 closed to 0.15 open
    "slider",  # 0 right to 0.2 left
    "button",  # depth, 0 up to 0.02 pressed
    "lamp",  # 0 off, 1 on
    "red x",
    "red y",
    "red z",
    "red sin 4 yaw",  # a cube looks the same after a quarter turn
    "red cos 4 yaw",
    "blue x",
    "blue y",
    "blue z",
    "blue sin 4 yaw",
    "blue cos 4 yaw",
)
"""Columns of a state [18]."""
GOAL_COLUMNS = (4, 5, 7, 8, 9, 13, 14)
"""Columns of a state that make a goal [7]."""
GOAL_NAMES = tuple(STATE_NAMES[column] for column in GOAL_COLUMNS)
TOLERANCES = np.array([0.03, 0.03, 0.5, 0.06, 0.06, 0.06, 0.06])
"""[7] how far from a goal each column may be: m, and half the way between off and on for the lamp."""


@dataclass(frozen=True, slots=True)
class GoalKind:
    """One thing to ask for: a column of the goal, the value it shall have, and the words for it."""

    column: int
    value: float
    words: str


LEFT, RIGHT = 0.09, -0.11  # m, middles of the two halves of the blocks' field
KINDS = {
    "open drawer": GoalKind(0, 0.135, "open the drawer"),
    "close drawer": GoalKind(0, 0.01, "close the drawer"),
    "slider left": GoalKind(1, 0.185, "move the slider to the left"),
    "slider right": GoalKind(1, 0.015, "move the slider to the right"),
    "lamp on": GoalKind(2, 1.0, "turn the lamp on"),
    "lamp off": GoalKind(2, 0.0, "turn the lamp off"),
    "red left": GoalKind(4, LEFT, "put the red block on the left side"),
    "red right": GoalKind(4, RIGHT, "put the red block on the right side"),
    "blue left": GoalKind(6, LEFT, "put the blue block on the left side"),
    "blue right": GoalKind(6, RIGHT, "put the blue block on the right side"),
}
"""Kinds of goals by name. A side counts by y alone: within 0.06 m of the goal's."""


def find_kind(name: str) -> GoalKind:
    """Return the kind of that name.

    Raises:
        ChoiceError: There is none.
    """
    if name not in KINDS:
        raise ChoiceError("goal kind", name, KINDS)
    return KINDS[name]


def draw_goal(achieved: np.ndarray, kind: str) -> np.ndarray:
    """Return the goal [7] of a kind from where things are [7]: all else stays as it is."""
    goal, wanted = np.array(achieved, float), find_kind(kind)
    goal[wanted.column] = wanted.value
    return goal


def met(achieved: np.ndarray, desired: np.ndarray, kind: str | None = None) -> np.ndarray:
    """Tell whether goals are met, by the column that the kind names, or by all.

    Args:
        achieved: [..., 7] where things are.
        desired: [..., 7] where they shall be.
        kind: Name of the kind; None when every column counts.

    Returns:
        [...] bool.
    """
    near = np.abs(np.asarray(achieved) - desired) <= TOLERANCES
    return np.asarray(near.all(axis=-1) if kind is None else near[..., find_kind(kind).column])
