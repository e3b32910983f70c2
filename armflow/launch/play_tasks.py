"""The tasks that can be played, and what a recording of each says about itself."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from armflow.launch.choices import OWN_ARMS
from armflow.robot.errors import ChoiceError

__all__ = ["PLAY_ARMS", "SOFT_PLAY", "PlayTask", "find_play_task"]

PLAY_ARMS = OWN_ARMS
"""Tasks that can be played, with the arm that each brings."""
SOFT_PLAY = {"RopeShape": "rope", "ClothLift": "cloth", "ClothFold": "cloth", "PlushPlace": "plush", "BoxClose": "box"}
"""Tasks whose play is interaction, with the category of their object."""


@dataclass(frozen=True, slots=True)
class PlayTask:
    """One task as its recordings describe it.

    Attributes:
        name: Such as "PlayTable".
        robot: Name of the arm.
        words: The instruction that every episode carries.
        state: Names of the columns of `observation.state`.
        action: Names of the columns of `action`.
        extra: Facts for `Schema.extra`.
        behaviours: What a player may be doing; the values of the column "behaviour", -1 for none. Empty where a task
            has no such column.
        options: Further arguments of its environment.
    """

    name: str
    robot: str
    words: str
    state: tuple[str, ...]
    action: tuple[str, ...]
    extra: dict[str, Any]
    behaviours: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def find_play_task(name: str) -> PlayTask:
    """Return what recordings of a task say about themselves.

    Raises:
        ChoiceError: A task that cannot be played.
    """
    if name not in _MAKERS:
        raise ChoiceError("task to play", name, _MAKERS)
    return _MAKERS[name]()


def _block_push() -> PlayTask:
    from armflow.learning.store.imports.block_push import ACTION_NAMES, EXTRA, GOAL_TASK, STATE_NAMES

    free = {"rule": "any"}
    return PlayTask("BlockPush", PLAY_ARMS["BlockPush"], GOAL_TASK, STATE_NAMES, ACTION_NAMES, dict(EXTRA), (), free)


def _play_table() -> PlayTask:
    from armflow.envs.play_table.goals import GOAL_COLUMNS, KINDS, STATE_NAMES
    from armflow.robot.tool_motion import CONTROL_STEP_SECONDS, CONTROL_STEPS, TOOL_SPEED

    extra = {
        "environment": "PlayTable",
        "observe": list(range(len(STATE_NAMES))),
        "goal": list(GOAL_COLUMNS),
        "angles": [],
        "points": [[0, 1, 2], [8, 9, 10], [13, 14, 15]],
        "alike": [[8, 9, 10, 11, 12], [13, 14, 15, 16, 17]],
        "moved": [[0], [1], [2]],
        "stride": TOOL_SPEED * CONTROL_STEPS * CONTROL_STEP_SECONDS,
        "behaviours": list(KINDS),
    }
    names = tuple(name.replace(" ", "_") for name in STATE_NAMES)
    action = ("velocity_x", "velocity_y", "velocity_z", "gripper")
    words, free = "play at the table", {"ends_at_success": False}
    return PlayTask("PlayTable", PLAY_ARMS["PlayTable"], words, names, action, extra, tuple(KINDS), free)


def _soft(name: str) -> PlayTask:
    return PlayTask(name, "xarm6", f"move the {SOFT_PLAY[name]}", (), (), {})


_MAKERS = {
    "BlockPush": _block_push,
    "PlayTable": _play_table,
    **{name: partial(_soft, name) for name in SOFT_PLAY},
}
