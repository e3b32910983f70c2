from armflow.envs.block_push.state import FIELDS, GOAL_FIELDS
from armflow.envs.block_push.task import BlockPush

__all__ = ["FIELDS", "GOAL_FIELDS", "BlockPush"]
