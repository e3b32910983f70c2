"""The quadratic program of one step in cvxpy: the readable reference beside `banded`, slower by a hundred times.

Each size is written down once with parameters (disciplined parametrised programming, Agrawal et al. 2019,
arXiv:1910.12430), compiled by cvxpy, and solved again with new numbers by Clarabel.
"""

from dataclasses import dataclass
from functools import cache

import cvxpy as cp
import numpy as np

from armflow.planning.sqp import Subproblem

__all__ = ["solve_cvxpy"]


@dataclass(frozen=True, slots=True)
class _Program:
    """A compiled program of one size, its variable and its parameters by name."""

    problem: cp.Problem
    step: cp.Variable
    parameters: dict[str, cp.Parameter]


def solve_cvxpy(sub: Subproblem) -> tuple[np.ndarray, bool]:
    """Solve one program: the step [H, D], and whether Clarabel calls it optimal.

    minimise sum_h |F_h^T d_h|^2 / 2 + |w * A d|^2 / 2 + g . d subject to low <= A (q + d) <= high, d_h = 0 where
    pinned; F_h F_h^T is the block of row h.
    """
    horizon, dof = sub.q.shape
    program = _program(horizon, dof)
    p = program.parameters
    blocks = np.tril(sub.blocks) + np.transpose(np.tril(sub.blocks, -1), (0, 2, 1))
    values, vectors = np.linalg.eigh(blocks + sub.damping * np.eye(dof))
    factors = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    for h in range(horizon):
        p[f"factor{h}"].value = factors[h].T
    rows, roots = _rows(sub.q), np.sqrt(sub.weights)
    p["g"].value = sub.gradient
    for k in range(3):
        active = ~sub.bounds.pinned[:, None] if k == 0 else np.ones((horizon, 1), dtype=bool)
        p[f"root{k}"].value = roots[k]
        p[f"low{k}"].value = np.where(active, np.nan_to_num(sub.bounds.low[k] - rows[k], neginf=-1e3), -1e3)
        p[f"high{k}"].value = np.where(active, np.nan_to_num(sub.bounds.high[k] - rows[k], posinf=1e3), 1e3)
    p["free"].value = np.repeat(~sub.bounds.pinned[:, None], dof, axis=1).astype(float)
    try:
        program.problem.solve(solver=cp.CLARABEL)
    except cp.SolverError:
        return np.zeros_like(sub.q), False
    if program.step.value is None:
        return np.zeros_like(sub.q), False
    return np.asarray(program.step.value), program.problem.status == cp.OPTIMAL


def _rows(x: np.ndarray) -> list[np.ndarray]:
    """Positions, first and second differences of x [H, D] from rest to rest, each [H, D]."""
    first = np.diff(x, axis=0, append=x[-1:])
    return [x, first, first - np.concatenate([np.zeros_like(x[:1]), first[:-1]])]


@cache
def _program(horizon: int, dof: int) -> _Program:
    """Write down and compile the program of one size."""
    step = cp.Variable((horizon, dof))
    names = [f"{name}{k}" for name in ("root", "low", "high") for k in range(3)] + ["g", "free"]
    p = {name: cp.Parameter((horizon, dof), nonneg=name[:4] in ("root", "free")) for name in names}
    p |= {f"factor{h}": cp.Parameter((dof, dof)) for h in range(horizon)}
    first = cp.vstack([step[1:] - step[:-1], np.zeros((1, dof))])
    second = first - cp.vstack([np.zeros((1, dof)), first[:-1]])
    rows = [step, first, second]
    cost = cp.sum(cp.multiply(p["g"], step))
    for h in range(horizon):
        cost += 0.5 * cp.sum_squares(p[f"factor{h}"] @ step[h])
    for k in (1, 2):
        cost += 0.5 * cp.sum_squares(cp.multiply(p[f"root{k}"], rows[k]))
    limits = [p[f"low{k}"] <= row for k, row in enumerate(rows)] + [row <= p[f"high{k}"] for k, row in enumerate(rows)]
    limits.append(cp.multiply(1.0 - p["free"], step) == 0.0)
    return _Program(cp.Problem(cp.Minimize(cost), limits), step, p)
