"""Errors of the whole stack: each prints the value, the bound and the choices."""

from collections.abc import Iterable

__all__ = ["ChoiceError", "FormatError", "RobotError", "ShapeError", "StackError", "ValueRangeError"]


class StackError(Exception):
    """Base of every error that armflow raises on purpose."""


class ShapeError(StackError):
    """An array has the wrong shape, type or non-finite entries."""

    def __init__(self, name: str, wanted: str, found: object) -> None:
        self.name, self.wanted, self.found = name, wanted, found
        super().__init__(f"{name} must be {wanted}; got {found}")


class ValueRangeError(StackError):
    """A number lies outside the range it must keep."""

    def __init__(self, name: str, value: object, bound: str) -> None:
        self.name, self.value, self.bound = name, value, bound
        super().__init__(f"{name} is {value}; it must be {bound}")


class ChoiceError(StackError):
    """A name is not one of those that exist."""

    def __init__(self, what: str, value: object, choices: Iterable[str]) -> None:
        self.what, self.value, self.choices = what, value, tuple(choices)
        super().__init__(f"no {what} {value!r}; choose from {', '.join(self.choices)}")


class FormatError(StackError):
    """A file does not hold what its format asks for; names the file and the field."""

    def __init__(self, path: object, field: str, problem: str) -> None:
        self.path, self.field, self.problem = path, field, problem
        super().__init__(f"{path}: {field}: {problem}")


class RobotError(StackError):
    """A robot description is incomplete or contradicts itself; names the missing field."""
