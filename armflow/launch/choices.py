"""Names that a user may type, found without importing anything heavy."""

from collections.abc import Iterable
from pathlib import Path

from armflow.robot.errors import ChoiceError

__all__ = [
    "ALL_TASKS",
    "CONTROLLER_NAMES",
    "PLANNERS",
    "SOFT_ARMS",
    "SOLVERS",
    "TASKS",
    "arm_for",
    "arm_names",
    "pick",
    "pick_arm",
    "pick_many",
]

TASKS = ("Push", "PickPlace", "InsertPen", "HangMug", "Pour", "OpenDrawer")
"""Tasks in words, for every arm with a gripper; what "all" stands for."""
OWN_ARMS = {"BlockPush": "xarm6_pusher", "PlayTable": "panda"}
"""Tasks with goals for learned policies, with the arm that each brings."""
SOFT_ARMS = dict.fromkeys(("RopeShape", "ClothLift", "ClothFold", "PlushPlace", "BoxClose"), "xarm6")
"""Tasks with things that bend, with the arm that each brings."""
_WITHOUT_HAND = ("xarm6_pusher",)  # arms for their own task only
ALL_TASKS = (*TASKS, *OWN_ARMS, *SOFT_ARMS)
CONTROLLER_NAMES = ("flow", "oracle", "random", "hold", "beso", "policy", "mppi", "scripted", "mppi-simulator")
SOLVERS = ("banded", "cvxpy")
PLANNERS = ("full", "quick", "random")
"""How much `mppi` searches: full, quick, or as many samples as full without learning from them (random shooting)."""


def arm_names() -> tuple[str, ...]:
    """Return the arms that come with armflow, then the user's own in ./arms: one YAML file each."""
    folder = Path(__file__).parents[1] / "robot" / "embodiments"
    stems = [path.stem for place in (folder, Path("arms")) for path in sorted(place.glob("*.yaml"))]
    return tuple(stem for stem in dict.fromkeys(stems) if stem not in _WITHOUT_HAND)


def pick(what: str, value: str, choices: Iterable[str]) -> str:
    """Return the choice that `value` spells, upper and lower case alike.

    Raises:
        ChoiceError: There is none; names the choices.
    """
    choices = tuple(choices)
    found = {choice.lower(): choice for choice in choices}.get(value.lower())
    if found is None:
        raise ChoiceError(what, value, choices)
    return found


def pick_many(
    what: str, values: Iterable[str], choices: Iterable[str], everything: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Pick each value once and in order; "all" stands for every choice, or for `everything`.

    Raises:
        ChoiceError: A value is unknown, or there is none at all.
    """
    choices = tuple(choices)
    values = tuple(values)
    if not values:
        raise ChoiceError(what, "", (*choices, "all"))
    if "all" in (value.lower() for value in values):
        return choices if everything is None else tuple(everything)
    return tuple(dict.fromkeys(pick(what, value, choices) for value in values))


def pick_arm(value: str) -> str:
    """Return the name of an arm, or the path of a YAML file that describes one.

    Raises:
        ChoiceError: Neither a known arm nor a file.
    """
    if value.endswith((".yaml", ".yml")) and Path(value).is_file():
        return value
    return pick("arm", value, arm_names())


def arm_for(task: str, arm: str) -> str:
    """Return the arm for a task: the one named, or with "auto" the task's own, which is Panda for most.

    Raises:
        ChoiceError: Neither a known arm nor a file, or the task is for another arm.
    """
    own = (OWN_ARMS | SOFT_ARMS).get(task)
    if own is None:
        return pick_arm("panda" if arm == "auto" else arm)
    if arm not in ("auto", own, own.partition("_")[0]):
        raise ChoiceError(f"arm for {task}", arm, ("auto", own))
    return own
