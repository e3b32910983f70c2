"""Names of a package that are imported when they are first asked for.

A room's `__init__` offers all its public names; importing every module behind them would cost each small use of one of
them a second or more.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package.

    Args:
        package: Its `__name__`.
        homes: Module, relative to the package -> the public names that it holds.

    Returns:
        A function from a name to what it stands for; it raises AttributeError for any other name, as Python asks.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return find
