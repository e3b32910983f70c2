"""Gymnasium ids: armflow/Push-v0 and the like.

Gymnasium 1.0 and later load no plugins by entry point, so the ids exist once `armflow.envs` is imported:
`import armflow.envs; gymnasium.make("armflow/Push-v0")`, or in one go `gymnasium.make("armflow.envs:armflow/Push-v0")`.
"""

import gymnasium

__all__ = ["TASK_NAMES", "register_all"]

TASK_NAMES = ("Push", "PickPlace", "InsertPen", "HangMug", "Pour", "OpenDrawer")
"""The tasks by name; `armflow.envs.tasks.TASKS` holds the same ones, but is not imported for the ids alone."""


def register_all() -> None:
    """Register armflow/<Task>-v0 for every task, unless they are registered already."""
    for name in TASK_NAMES:
        env_id = f"armflow/{name}-v0"
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, entry_point="armflow.envs.gym_env:ArmflowEnv", kwargs={"task": name})
