"""Gymnasium ids: armflow/Push-v0 and the like.

Gymnasium 1.0 and later load no plugins by entry point, so the ids exist once `armflow.envs` is imported:
`import armflow.envs; gymnasium.make("armflow/Push-v0")`, or in one go `gymnasium.make("armflow.envs:armflow/Push-v0")`.
"""

import gymnasium

__all__ = ["EPISODE_SECONDS", "PLAY_ENVIRONMENTS", "SOFT_SECONDS", "register_all"]

EPISODE_SECONDS = {"Push": 30, "PickPlace": 30, "InsertPen": 30, "HangMug": 40, "Pour": 40, "OpenDrawer": 30}
"""Every task with its time limit, s; `armflow.envs.tasks.TASKS` has the same, but is not imported for the ids alone."""
_STEPS_PER_SECOND = 25
SOFT_SECONDS = dict.fromkeys(("RopeShape", "ClothLift", "ClothFold", "PlushPlace", "BoxClose"), 60)
"""Every task with a thing that bends, for xarm6, with its time limit, s."""
_SOFT_STEPS_PER_SECOND = 30
PLAY_ENVIRONMENTS = {
    "BlockPush": ("armflow.envs.block_push.env:BlockPushEnv", 350),
    "PlayTable": ("armflow.envs.play_table.env:PlayTableEnv", 240),
}
"""Environments made for play, which have goals and actions of their own: class and most steps an episode."""


def register_all() -> None:
    """Register armflow/<Task>-v0 for every task and play environment, unless they are registered already."""
    for name, seconds in EPISODE_SECONDS.items():
        env_id = f"armflow/{name}-v0"
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point="armflow.envs.gym_env:ArmflowEnv",
                max_episode_steps=seconds * _STEPS_PER_SECOND,
                kwargs={"task": name},
            )
    for name, seconds in SOFT_SECONDS.items():
        env_id = f"armflow/{name}-v0"
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point="armflow.envs.gym_env:ArmflowEnv",
                max_episode_steps=seconds * _SOFT_STEPS_PER_SECOND,
                kwargs={"task": name, "arm": "xarm6"},
            )
    for name, (entry_point, steps) in PLAY_ENVIRONMENTS.items():
        env_id = f"armflow/{name}-v0"
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, entry_point=entry_point, max_episode_steps=steps)
