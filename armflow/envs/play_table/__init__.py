from armflow.envs.play_table.goals import GOAL_COLUMNS, GOAL_NAMES, KINDS, STATE_NAMES, GoalKind, draw_goal, met
from armflow.envs.play_table.table import PlayTable, Start, draw_state

__all__ = [
    "GOAL_COLUMNS",
    "GOAL_NAMES",
    "KINDS",
    "STATE_NAMES",
    "GoalKind",
    "PlayTable",
    "Start",
    "draw_goal",
    "draw_state",
    "met",
]
