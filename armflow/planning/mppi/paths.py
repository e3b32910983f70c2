"""Hand paths: velocities from splines, kept within speed and workspace, shifted from one plan to the next."""

from functools import cache

import numpy as np
from scipy.interpolate import CubicSpline

from armflow.planning.mppi.config import HandLimits

__all__ = ["disturb", "integrate", "keep_within", "shift", "spline_basis"]


@cache
def spline_basis(steps: int, knots: int) -> np.ndarray:
    """Matrix [T, M] from the values at M knots, evenly spread, to those in the middle of T steps.

    Each column is a natural cubic spline through one unit knot; each row sums to 1. One knot gives a constant.
    """
    if knots == 1:
        return np.ones((steps, 1))
    places = np.linspace(0.0, 1.0, knots)
    middles = (np.arange(steps) + 0.5) / steps
    return CubicSpline(places, np.eye(knots), bc_type="natural")(middles)


def disturb(mean: np.ndarray, deviation: np.ndarray, knots: int, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """Draw velocities [count, T, 3] about a mean [T, 3], m/s.

    v = mean + W e, with the spline basis W [T, M] and normal e [M, 3] of standard deviation `deviation` [3] m/s: smooth
    paths from few numbers.
    """
    W = spline_basis(len(mean), knots)
    return mean + W @ (rng.standard_normal((count, knots, 3)) * deviation)


def integrate(start: np.ndarray, velocities: np.ndarray, dt: float) -> np.ndarray:
    """Positions [..., T + 1, 3] m from a start [3] and velocities [..., T, 3] m/s held for dt (s) each."""
    moved = np.cumsum(velocities, axis=-2) * dt
    path = np.concatenate([np.zeros_like(moved[..., :1, :]), moved], axis=-2)
    return path + start


def keep_within(start: np.ndarray, velocities: np.ndarray, dt: float, limits: HandLimits) -> np.ndarray:
    """The nearest velocities [..., T, 3] (step by step) that keep speed and workspace.

    Speeds are shortened, then each position is put back into the box; putting two points back into a convex set never
    parts them, so that speeds stay kept. Both limits are convex: any average of such paths keeps them too, which
    makes the update of the search safe.

    Args:
        start: [3] within the box, m.
        velocities: [..., T, 3] m/s.
        dt: Length of a step, s.
        limits: Box and speed.
    """
    speed = np.linalg.norm(velocities, axis=-1, keepdims=True)
    slowed = velocities * np.minimum(1.0, limits.speed / np.maximum(speed, 1e-12))
    at = np.broadcast_to(start, (*velocities.shape[:-2], 3))
    kept = np.empty_like(slowed)
    for step in range(velocities.shape[-2]):
        after = np.clip(at + dt * slowed[..., step, :], limits.low, limits.high)
        kept[..., step, :] = (after - at) / dt
        at = after
    return kept


def shift(velocities: np.ndarray, done: int) -> np.ndarray:
    """The plan after its first `done` steps [T, 3]: what is left of it, then standing still (a warm start)."""
    done = min(done, len(velocities))
    return np.concatenate([velocities[done:], np.zeros((done, 3))])
