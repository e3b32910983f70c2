"""Numerical derivatives for tests."""

from collections.abc import Callable

import numpy as np


def central_difference(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Derivative [..., D] of a function of x [D]; the error is of order step^2 plus 1e-16 / step."""
    columns = [(function(x + h) - function(x - h)) / (2 * step) for h in step * np.eye(len(x))]
    return np.stack(columns, axis=-1)
