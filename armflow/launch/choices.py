"""Names that a user may type, found without importing anything heavy."""

from collections.abc import Iterable
from pathlib import Path

from armflow.robot.errors import ChoiceError

__all__ = ["CONTROLLER_NAMES", "SOLVERS", "TASKS", "arm_names", "pick", "pick_arm", "pick_many"]

TASKS = ("Push", "PickPlace", "InsertPen", "HangMug", "Pour", "OpenDrawer")
CONTROLLER_NAMES = ("flow", "oracle", "random", "hold")
SOLVERS = ("banded", "cvxpy")


def arm_names() -> tuple[str, ...]:
    """Return the arms that come with armflow, then the user's own in ./arms: one YAML file each."""
    folder = Path(__file__).parents[1] / "robot" / "embodiments"
    stems = [path.stem for place in (folder, Path("arms")) for path in sorted(place.glob("*.yaml"))]
    return tuple(dict.fromkeys(stems))


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


def pick_many(what: str, values: Iterable[str], choices: Iterable[str]) -> tuple[str, ...]:
    """Pick each value once and in order; "all" stands for every choice.

    Raises:
        ChoiceError: A value is unknown, or there is none at all.
    """
    choices = tuple(choices)
    values = tuple(values)
    if not values:
        raise ChoiceError(what, "", (*choices, "all"))
    if "all" in (value.lower() for value in values):
        return choices
    return tuple(dict.fromkeys(pick(what, value, choices) for value in values))


def pick_arm(value: str) -> str:
    """Return the name of an arm, or the path of a YAML file that describes one.

    Raises:
        ChoiceError: Neither a known arm nor a file.
    """
    if value.endswith((".yaml", ".yml")) and Path(value).is_file():
        return value
    return pick("arm", value, arm_names())
