"""Hand paths as joint motion: what the arm can reach, and the joint targets that follow a path."""

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation, Slerp

from armflow.planning.optimize import plan_joint_path
from armflow.planning.planner import Refusal
from armflow.robot.ik import solve_ik, solve_ik_batch
from armflow.robot.model import RobotModel

__all__ = ["ArmReach", "eased", "follow", "poses", "travel"]

TRAVEL_SPEED = 0.4  # m/s at most between contacts
TURN_SPEED = 1.5  # rad/s likewise
LOOSE = 0.002  # m and 10 mrad that a path may be left by where joints end
_SHARE = 0.95  # of the joints' speed limits


def poses(points: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Tool poses [K, 4, 4] from positions [K, 3] m and quaternions [K, 4] wxyz."""
    T = np.tile(np.eye(4), (len(points), 1, 1))
    T[:, :3, :3] = Rotation.from_quat(rotations, scalar_first=True).as_matrix()
    T[:, :3, 3] = points
    return T


class ArmReach:
    """How far hand paths are from what the joints can do, by inverse kinematics from one arm position."""

    def __init__(self, arm: RobotModel, q_seed: np.ndarray, *, rng: np.random.Generator, stride: int = 3) -> None:
        """Take the arm, where its joints are [D] rad, and how many steps to go between checks."""
        self._arm, self._q, self._rng, self._stride = arm, np.asarray(q_seed, float), rng, stride

    def excess(self, paths: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Greatest distance [B], m, between paths [B, T + 1, 3] at hand orientations [B, 4] wxyz and what is reachable.

        An angle counts as the way of a point 0.1 m from the tool. 0 where the pose is met.
        """
        steps = sorted({*range(0, paths.shape[1], self._stride), paths.shape[1] - 1})
        points = paths[:, steps].reshape(-1, 3)
        Ts = poses(points, np.repeat(rotations, len(steps), axis=0))
        seeds = np.tile(self._q, (len(Ts), 1))
        found = solve_ik_batch(self._arm, Ts, seeds, rng=self._rng, restarts=0)
        missed = [0.0 if one.ok else one.position_error + 0.1 * one.angle_error for one in found]
        return np.reshape(missed, (len(paths), len(steps))).max(axis=1)


def follow(
    arm: RobotModel, q: np.ndarray, Ts_world_tool: np.ndarray, dt: float, *, rng: np.random.Generator
) -> np.ndarray | Refusal:
    """Joint targets [K, D] rad that take the tool through poses [K, 4, 4], one every dt s, from q [D].

    Each row starts from the one before, so that the joints never jump; a row that is not met, or that a joint is too
    slow for, is a refusal.
    """
    rows, at = np.empty((len(Ts_world_tool), arm.dof)), np.asarray(q, float)
    for k, T in enumerate(Ts_world_tool):
        found = solve_ik(arm, T, at, rng=rng, restarts=0)
        if found.position_error > LOOSE or found.angle_error > 5 * LOOSE:
            return Refusal(f"the hand cannot be at {np.round(T[:3, 3], 3)} m: {found.reason}", final=False)
        haste = np.abs(found.q - at) / (_SHARE * dt * arm.v_max)
        if haste.max() > 1.0:
            joint = arm.joint_names[int(np.argmax(haste))]
            return Refusal(f"{joint} would have to go {haste.max():.1f} times as fast as it can", final=False)
        rows[k] = at = found.q
    return rows


def eased(count: int) -> np.ndarray:
    """Shares [count] of a way, slow at both ends: (1 - cos(pi t)) / 2 for t in (0, 1]."""
    return 0.5 * (1.0 - np.cos(np.pi * np.arange(1, count + 1) / count))


def _leg(start: np.ndarray, goal: np.ndarray, dt: float, speed: float) -> np.ndarray:
    """Poses [K, 4, 4] on the straight way from one pose to another, at rest at both ends."""
    turn = Rotation.from_matrix(np.stack([start[:3, :3], goal[:3, :3]]))
    angle = float((turn[1] * turn[0].inv()).magnitude())
    seconds = 0.5 * np.pi * max(np.linalg.norm(goal[:3, 3] - start[:3, 3]) / speed, angle / TURN_SPEED)
    share = eased(max(2, int(np.ceil(seconds / dt))))
    points = start[:3, 3] + share[:, None] * (goal[:3, 3] - start[:3, 3])
    return poses(points, Slerp([0.0, 1.0], turn)(share).as_quat(scalar_first=True))


def travel(
    arm: RobotModel,
    q: np.ndarray,
    T_world_tool: np.ndarray,
    *,
    height: float,
    dt: float,
    rng: np.random.Generator,
    speed: float = TRAVEL_SPEED,
) -> np.ndarray | Refusal:
    """Joint targets [K, D] from q [D] to a tool pose [4, 4]: up to a height (m), across, and straight down.

    Where the straight ways cannot be followed, the joints move freely to above the goal, and then down.

    Returns:
        One row every dt s, or why the pose cannot be reached.
    """
    here = arm.tool(q).as_matrix()
    up, above = here.copy(), np.array(T_world_tool, float)
    up[2, 3], above[2, 3] = max(height, here[2, 3]), max(height, T_world_tool[2, 3])
    for slower in (1.0, 0.5, 0.25):
        legs = (_leg(a, b, dt, slower * speed) for a, b in ((here, up), (up, above), (above, np.asarray(T_world_tool))))
        rows = follow(arm, q, np.concatenate(list(legs)), dt, rng=rng)
        if not isinstance(rows, Refusal):
            return rows
    return _freely(arm, q, (up, above, T_world_tool), dt, rng)


def _freely(
    arm: RobotModel, q: np.ndarray, Ts: tuple[np.ndarray, np.ndarray, np.ndarray], dt: float, rng: np.random.Generator
) -> np.ndarray | Refusal:
    """Straight up where that can be done, a free joint motion to above the goal, straight down."""
    here = arm.tool(q).as_matrix()
    rise = follow(arm, q, _leg(here, Ts[0], dt, TRAVEL_SPEED / 2), dt, rng=rng)
    rise = np.asarray(q)[None] if isinstance(rise, Refusal) else rise
    target = solve_ik(arm, RigidTransform.from_matrix(Ts[1]), rise[-1], rng=rng)
    if not target.ok:
        return Refusal(f"the hand cannot be at {np.round(Ts[1][:3, 3], 3)} m: {target.reason}", final=False)
    way = plan_joint_path(arm, rise[-1], target.q, rng=rng)
    if not way.ok:
        return Refusal(f"no way for the arm: {way.reason}", final=False)
    times = np.arange(1, max(1, int(np.ceil(way.duration / dt))) + 1) * dt
    knots = np.arange(len(way.q)) * way.dt
    across = np.stack([np.interp(times, knots, column) for column in way.q.T], axis=1)
    down = follow(arm, across[-1], _leg(Ts[1], Ts[2], dt, TRAVEL_SPEED / 2), dt, rng=rng)
    return down if isinstance(down, Refusal) else np.concatenate([rise, across, down])
