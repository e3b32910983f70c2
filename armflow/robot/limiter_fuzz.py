"""Torment the limiter with random commands and measure, from its output alone, by how much limits are broken."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from armflow.robot.limiter_kernel import REASONS, limit_step, reach_bounds, slack
from armflow.robot.model import RobotModel

__all__ = ["FuzzReport", "fuzz_limiter"]


@dataclass(frozen=True, slots=True)
class FuzzReport:
    """What a run of random commands found; an excess at or below 0 means that the limit held.

    Attributes:
        commands: How many were sent.
        position: Largest excess over the position limits, rad.
        velocity: Over the velocity limits, from differences of q, rad/s.
        acceleration: Over the acceleration limits, from second differences of q, rad/s^2.
        workspace: Of the tool over the workspace, or of a joint below the floor, m.
        nonfinite: How many outputs held NaN or infinity.
        moved: Way of all joints together, rad; 0 would mean that nothing was tested.
        counts: How often each reason was given.
    """

    commands: int
    position: float
    velocity: float
    acceleration: float
    workspace: float
    nonfinite: int
    moved: float
    counts: dict[str, int]

    @property
    def worst(self) -> float:
        """Largest excess over any limit, in its own unit."""
        return max(self.position, self.velocity, self.acceleration, self.workspace)


def fuzz_limiter(arm: RobotModel, dt: float, commands: int, *, rng: np.random.Generator) -> FuzzReport:
    """Send random commands: goals near and far, beyond the limits, jumps, NaN, infinities and 1e300.

    Args:
        arm: The arm; it starts at home.
        dt: Control period, s.
        commands: How many.
        rng: Source of the commands.
    """
    chain = arm.z_placements
    limits = np.stack([arm.q_min, arm.q_max, arm.v_max, arm.a_max])
    box = np.ascontiguousarray(arm.workspace)
    seed = int(rng.integers(2**31))
    excess, counts = _fuzz(chain, limits, box, reach_bounds(chain), (dt, 1.0), (arm.home, commands, seed))
    named = {reason: int(count) for reason, count in zip(REASONS, counts, strict=True) if reason and count}
    position, velocity, acceleration, workspace, nonfinite, moved = excess.tolist()
    return FuzzReport(commands, position, velocity, acceleration, workspace, int(nonfinite), moved, named)


@njit(cache=True)
def _fuzz(
    chain: np.ndarray,
    limits: np.ndarray,
    box: np.ndarray,
    reach: np.ndarray,
    settings: tuple[float, float],
    run: tuple[np.ndarray, int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """The loop: returns excess [6] in the order of `FuzzReport`, and how often each reason was given."""
    home, commands, seed = run
    dof, dt = len(home), settings[0]
    np.random.seed(seed)  # noqa: NPY002 - compiled code has this generator only
    excess = np.full(6, -np.inf)
    excess[4:] = 0.0
    counts = np.zeros(len(REASONS), np.int64)
    state = np.zeros((3, dof + 1))
    state[0, :dof] = home
    state[2, 0] = slack(chain, box, home)
    before, last, target = home.copy(), home.copy(), home.copy()
    for command in range(commands):
        _next_target(state[0, :dof], limits, target, command)
        counts[limit_step(chain, limits, box, reach, settings, state, target)] += 1
        q = state[0, :dof]
        for j in range(dof):
            if not np.isfinite(q[j]):
                excess[4] += 1
            excess[0] = max(excess[0], limits[0, j] - q[j], q[j] - limits[1, j])
            excess[1] = max(excess[1], abs(q[j] - last[j]) / dt - limits[2, j])
            excess[2] = max(excess[2], abs(q[j] - 2 * last[j] + before[j]) / (dt * dt) - limits[3, j])
            excess[5] += abs(q[j] - last[j])
            before[j], last[j] = last[j], q[j]
        if command % 4 == 0:  # the slow part
            excess[3] = max(excess[3], -slack(chain, box, q))
    return excess, counts


@njit(cache=True)
def _next_target(q: np.ndarray, limits: np.ndarray, target: np.ndarray, command: int) -> None:
    """Write a new target now and then; a goal stays for a while, so that the arm gets up to speed."""
    kind, which = np.random.random(), np.random.randint(len(q))  # noqa: NPY002
    noise = np.random.random(len(q))  # noqa: NPY002
    if not np.isfinite(target).all() or np.abs(target).max() > 1e3:
        target[:] = q
    if kind < 0.01:
        target[which] = np.nan
    elif kind < 0.02:
        target[which] = np.inf if command % 2 else -np.inf
    elif kind < 0.03:
        target[which] = 1e300 if command % 2 else -1e300
    elif kind < 0.08:  # anywhere, most often too far away
        target[:] = limits[0] + (1.4 * noise - 0.2) * (limits[1] - limits[0])
    elif kind < 0.25:  # up to the largest jump that is taken
        target[:] = q + 2.0 * noise - 1.0
    elif kind < 0.45:  # small steps
        target[:] = q + 0.05 * (noise - 0.5)
