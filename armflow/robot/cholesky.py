"""Small positive definite systems for compiled kernels: faster than LAPACK's call for a handful of joints."""

import numpy as np
from numba import njit

__all__ = ["solve_cholesky"]

_LEAST_PIVOT = 1e-12  # below it rounding has won; the step is then large, and its taker bounds it


@njit(cache=True, error_model="numpy")
def solve_cholesky(matrix: np.ndarray, x: np.ndarray) -> None:
    """Solve matrix y = x in place.

    Args:
        matrix: [D, D] positive definite; only its lower triangle is read, and becomes the Cholesky factor.
        x: [D] right-hand side; becomes y. It may be longer; what follows is left alone.
    """
    size = len(matrix)
    for i in range(size):
        for j in range(i + 1):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = np.sqrt(max(matrix[i, j], _LEAST_PIVOT)) if i == j else matrix[i, j] / matrix[j, j]
    for i in range(size):
        for k in range(i):
            x[i] -= matrix[i, k] * x[k]
        x[i] /= matrix[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            x[i] -= matrix[k, i] * x[k]
        x[i] /= matrix[i, i]
