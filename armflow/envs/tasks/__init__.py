from armflow.envs.block_push.task import BlockPush
from armflow.envs.play_table.table import PlayTable
from armflow.envs.tasks.hang_mug import HangMug
from armflow.envs.tasks.insert_pen import InsertPen
from armflow.envs.tasks.open_drawer import OpenDrawer
from armflow.envs.tasks.pick_place import PickPlace
from armflow.envs.tasks.pour import Pour
from armflow.envs.tasks.push import Push
from armflow.envs.tasks.task import Task
from armflow.robot.errors import ChoiceError

__all__ = [
    "PLAY_TASKS",
    "TASKS",
    "BlockPush",
    "HangMug",
    "InsertPen",
    "OpenDrawer",
    "PickPlace",
    "PlayTable",
    "Pour",
    "Push",
    "Task",
    "make_task",
]

TASKS: dict[str, type] = {
    "Push": Push,
    "PickPlace": PickPlace,
    "InsertPen": InsertPen,
    "HangMug": HangMug,
    "Pour": Pour,
    "OpenDrawer": OpenDrawer,
}
"""Tasks in words, for any arm."""
PLAY_TASKS: dict[str, type] = {"BlockPush": BlockPush, "PlayTable": PlayTable}
"""Tasks with goals for learned policies; each brings its own arm."""


def make_task(name: str) -> Task:
    """Make the task of that name.

    Raises:
        ChoiceError: No such task.
    """
    tasks = {**TASKS, **PLAY_TASKS}
    if name not in tasks:
        raise ChoiceError("task", name, tasks)
    return tasks[name]()
