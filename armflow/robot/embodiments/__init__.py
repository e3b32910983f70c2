"""The arms that come with the package, one YAML file each, and how to load them or a file of your own."""

from functools import cache
from pathlib import Path

from armflow.robot.build import build_model
from armflow.robot.description import read_embodiment
from armflow.robot.errors import ChoiceError
from armflow.robot.model import RobotModel

__all__ = ["ARMS", "SPECIAL_ARMS", "arm_names", "load_arm"]

ARMS = ("panda", "iiwa", "xarm6", "xarm7", "ur5", "so101")
SPECIAL_ARMS = ("xarm6_pusher",)
"""Arms of one task, without a gripper; `load_arm` knows them, lists of arms leave them out."""
_USER_DIR = Path("arms")


def arm_names() -> tuple[str, ...]:
    """Names that `load_arm` knows: the six of the package, then those in ./arms/*.yaml."""
    own = sorted(path.stem for path in _USER_DIR.glob("*.yaml"))
    return (*ARMS, *(name for name in own if name not in ARMS))


def load_arm(name: str | Path) -> RobotModel:
    """Load an arm by name, or from the path of a YAML file.

    Raises:
        ChoiceError: No such arm.
        RobotError: The description is incomplete; the message names the missing field.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = (Path(__file__).parent if str(name) in (*ARMS, *SPECIAL_ARMS) else _USER_DIR) / f"{name}.yaml"
    if not path.is_file():
        raise ChoiceError("arm", str(name), (*arm_names(), "the path of a YAML file"))
    return _load(path.resolve(), path.stat().st_mtime_ns)


@cache
def _load(path: Path, stamp: int) -> RobotModel:
    """Build each version of a file once; `stamp` is its time of change, ns."""
    del stamp
    return build_model(read_embodiment(path))
