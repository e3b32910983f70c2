"""One shape check for every type on the arrows."""

import numpy as np

from armflow.robot.errors import ShapeError

__all__ = ["check_finite", "check_shape"]


def check_shape(name: str, array: np.ndarray, shape: str, sizes: dict[str, int] | None = None) -> dict[str, int]:
    """Check an array against a shape written as letters and numbers, such as "T N 3".

    Args:
        name: What to call the array in the error.
        array: Any numpy array.
        shape: Axis names and sizes, blank-separated; a letter stands for any size, the same letter for the same size.
        sizes: Letters already bound by an earlier array of the same type.

    Returns:
        The size of each letter, `sizes` included.

    Raises:
        ShapeError: Not an array, wrong number of axes, or a size that differs.
    """
    bound = dict(sizes or {})
    axes = shape.split()
    if not isinstance(array, np.ndarray) or array.ndim != len(axes):
        raise ShapeError(name, f"an array [{', '.join(axes)}]", getattr(array, "shape", type(array).__name__))
    for axis, size in zip(axes, array.shape, strict=True):
        wanted = int(axis) if axis.isdigit() else bound.setdefault(axis, size)
        if size != wanted:
            raise ShapeError(name, f"an array [{', '.join(axes)}] with {axis} = {wanted}", array.shape)
    return bound


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity.

    Raises:
        ShapeError: At least one entry is not finite.
    """
    if not np.isfinite(array).all():
        raise ShapeError(name, "finite", f"{int((~np.isfinite(array)).sum())} non-finite entries of {array.size}")
