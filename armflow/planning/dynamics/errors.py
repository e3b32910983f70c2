"""The error of learned dynamics."""

from armflow.robot.errors import StackError

__all__ = ["DynamicsError"]


class DynamicsError(StackError):
    """A motion cannot be predicted from what was given; says which field is wrong and what it must be."""

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}")
