"""Model predictive path integral control over several contacts at once.

Each contact (a place to grasp, or to push from) keeps a mean of its own, since the average of two grasps is no grasp.
Rounds draw paths about each mean, weigh them by exp(-cost / temperature) and average:

    v* = sum_k w_k v_k,   w_k = exp(-(S_k - min S) / lambda) / sum,

Williams et al. (2017), "Information theoretic MPC for model-based reinforcement learning", ICRA, algorithm 2, with
gamma = 0 (no price on leaving the mean; costs alone decide). Contacts that do worst are dropped half by half until one
has all samples: successive halving, Jamieson and Talwalkar (2016), arXiv:1502.07943.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from armflow.planning.mppi.config import HandLimits, MPPIConfig
from armflow.planning.mppi.paths import disturb, integrate, keep_within
from armflow.robot.errors import StackError

__all__ = ["Evaluate", "PlanningError", "Solution", "Start", "search", "weights"]

Evaluate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Costs [B] of hand paths [B, T + 1, 3] m that begin at contacts [B] (indices); not finite where a path is no good."""


class PlanningError(StackError):
    """A plan was asked for that cannot be searched for at all."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a search begins.

    Attributes:
        point: [3] of the tool at the contact, m, world.
        velocities: [T, 3] first mean, m/s: a guess, or the rest of the last plan.
    """

    point: np.ndarray
    velocities: np.ndarray


@dataclass(frozen=True, slots=True)
class Solution:
    """What a search found.

    Attributes:
        contact: Index of the contact.
        velocities: [T, 3] m/s.
        path: [T + 1, 3] m.
        cost: Its cost; infinite where every path was refused.
        tried: [K] least cost seen with each contact.
        history: [R] least cost after each round.
        evaluations: Paths that were evaluated.
    """

    contact: int
    velocities: np.ndarray
    path: np.ndarray
    cost: float
    tried: np.ndarray
    history: np.ndarray
    evaluations: int


def weights(costs: np.ndarray, temperature: float) -> np.ndarray:
    """Weights [K] that sum to 1 of costs [K]; 0 for those that are not finite.

    The temperature is a share of the standard deviation of the finite costs, so that neither the unit nor the level of
    the costs matters. Towards 0 the best sample takes all, towards infinity all count the same.
    """
    finite = np.isfinite(costs)
    if not finite.any():
        return np.zeros(len(costs))
    spread = float(np.std(costs[finite]))
    above = np.where(finite, costs - costs[finite].min(), np.inf)
    scale = max(temperature * spread, 1e-300)
    raw = np.exp(-np.minimum(above / scale, 700.0)) * finite
    return raw / raw.sum()


@dataclass
class _Branch:
    """One contact in the running search."""

    index: int
    start: np.ndarray
    mean: np.ndarray
    best: np.ndarray
    cost: float = np.inf


def search(
    starts: Sequence[Start], evaluate: Evaluate, limits: HandLimits, config: MPPIConfig, *, rng: np.random.Generator
) -> Solution:
    """Find the contact and the path of least cost.

    Each round also evaluates the present mean of every contact; the path returned is the cheapest that was ever
    evaluated, so that a longer search is never worse.

    Args:
        starts: Contacts with first guesses; all are tried, however many `config.contacts` says.
        evaluate: The costs.
        limits: Kept by every path that is evaluated and by the answer.
        config: How to search.
        rng: Source of the disturbances.

    Raises:
        PlanningError: No contact at all, or one whose point lies outside the limits.
    """
    branches = [_branch(index, start, limits, config) for index, start in enumerate(starts)]
    if not branches:
        raise PlanningError("no contact to plan from: the object offers nothing to grasp or push")
    tried, history, evaluations = np.full(len(starts), np.inf), [], 0
    alive = branches
    deviation = np.asarray(config.noise, float)
    for done in range(config.rounds):
        alive = _keep_best(alive, _alive(len(branches), done, config) if config.update else len(branches))
        evaluations += _round(alive, evaluate, limits, config, deviation, rng)
        if config.update:
            deviation = deviation * config.decay
        for branch in alive:
            tried[branch.index] = min(tried[branch.index], branch.cost)
        history.append(min(branch.cost for branch in branches))
    best = min(branches, key=lambda branch: branch.cost)
    path = integrate(best.start, best.best, config.dt)
    return Solution(best.index, best.best, path, best.cost, tried, np.array(history), evaluations)


def _branch(index: int, start: Start, limits: HandLimits, config: MPPIConfig) -> _Branch:
    if not ((start.point >= limits.low - 1e-9) & (start.point <= limits.high + 1e-9)).all():
        raise PlanningError(f"contact {index} at {start.point} m lies outside {limits.low} to {limits.high} m")
    mean = keep_within(start.point, start.velocities, config.dt, limits)
    return _Branch(index, start.point, mean, mean)


def _alive(count: int, done: int, config: MPPIConfig) -> int:
    """How many contacts are still searched in round `done`: halved at even intervals, all at first, one at last."""
    halvings = int(np.ceil(np.log2(count))) if count > 1 else 0
    passed = done * (halvings + 1) // config.rounds
    return max(1, int(np.ceil(count / 2**passed)))


def _keep_best(branches: list[_Branch], count: int) -> list[_Branch]:
    return sorted(branches, key=lambda branch: branch.cost)[:count] if count < len(branches) else branches


def _round(
    alive: list[_Branch],
    evaluate: Evaluate,
    limits: HandLimits,
    config: MPPIConfig,
    deviation: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """Try paths about the mean of each contact, the mean among them, and move the means; returns how many."""
    share = max(2, config.samples // len(alive))
    drawn = [_draw(branch, share, limits, config, deviation, rng) for branch in alive]
    indices = np.repeat([branch.index for branch in alive], share)
    paths = np.concatenate([integrate(b.start, v, config.dt) for b, v in zip(alive, drawn, strict=True)])
    costs = np.asarray(evaluate(indices, paths), float).reshape(len(alive), share)
    for branch, velocities, cost in zip(alive, drawn, costs, strict=True):
        _learn(branch, velocities, np.where(np.isfinite(cost), cost, np.inf), config)
    return indices.size


def _draw(
    branch: _Branch, count: int, limits: HandLimits, config: MPPIConfig, deviation: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Velocities [count, T, 3]: the mean itself, then disturbed ones, all within the limits."""
    drawn = disturb(branch.mean, deviation, config.knots, count, rng=rng)
    drawn[0] = branch.mean
    return keep_within(branch.start, drawn, config.dt, limits)


def _learn(branch: _Branch, velocities: np.ndarray, costs: np.ndarray, config: MPPIConfig) -> None:
    """Move a contact's mean to the weighted average and remember its cheapest path."""
    least = int(np.argmin(costs))
    if costs[least] < branch.cost:
        branch.cost, branch.best = float(costs[least]), velocities[least]
    share = weights(costs, config.temperature)
    if config.update and share.any():
        branch.mean = np.einsum("k,kti->ti", share, velocities)
