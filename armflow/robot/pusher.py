"""`PusherKinematics`: from a point on the table to the joints of an arm that holds a rod straight down, and back."""

import numpy as np

from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import RobotError
from armflow.robot.ik import solve_ik
from armflow.robot.kinematics import chain_tool
from armflow.robot.model import RobotModel

__all__ = ["PUSHER_HIGH", "PUSHER_LOW", "PusherKinematics"]

PUSHER_LOW = np.array([0.15, -0.5])  # m, corners of the rectangle that commands are clipped to
PUSHER_HIGH = np.array([0.7, 0.5])
HEIGHT = 0.0617  # m from the table to the flange
REACH = (0.12, 0.704)  # m from the base's axis; an upright rod gets no nearer and no further at this height
DOWN = np.diag([-1.0, 1.0, -1.0])  # the flange's axes in the world

# Where the task's benchmark settles for a command, as its 107 697 recorded steps tell: an affine map of the command.
# Least squares of measured(t + 1) on command(t + 1) and measured(t) - command(t + 1), less CENTER; rms 0.12 mm.
SETTLE_OFFSET = np.array([-0.0002, 0.0])  # m, at SETTLE_ORIGIN
SETTLE_ORIGIN = np.array([0.4, 0.0])  # m
SETTLE_SLOPE = np.array([-0.0030, -0.0025])  # m/m, of x along x and of y along y
CENTER = np.array([0.0, 0.00064])  # m; the benchmark measures the last link's centre of mass, this far from the flange


class PusherKinematics:
    """Commands and readings of an arm that pushes with an upright rod at a fixed height.

    A command is a point (x, y) in the world, m. The joints depend on the command alone, never on the arm's past, so
    that whoever calls, an environment or a policy, gets the same ones.
    """

    def __init__(self, arm: RobotModel) -> None:
        """Take the arm, whose tool frame is its flange."""
        self.arm = arm
        self._rng = np.random.default_rng(0)  # no restarts are asked for, so nothing is ever drawn

    def clip(self, command: np.ndarray) -> np.ndarray:
        """Return the nearest command [2], m, within `PUSHER_LOW` and `PUSHER_HIGH`."""
        return np.minimum(np.maximum(command, PUSHER_LOW), PUSHER_HIGH)

    def joints(self, command: np.ndarray) -> np.ndarray:
        """Return the joints [D], rad, that carry out a command.

        Args:
            command: [2] m; clipped to the rectangle, and drawn in to the arm's reach.

        Raises:
            ShapeError: The command is not two finite numbers.
            RobotError: The arm does not get there; cannot happen with the package's own pusher.
        """
        return self._solve(_settled(self.clip(_point("command", command))))

    def joints_measured(self, point: np.ndarray) -> np.ndarray:
        """Return the joints [D], rad, at which `measured` reads a point [2], m; else as `joints`."""
        return self._solve(_point("point", point) - CENTER)

    def _solve(self, flange: np.ndarray) -> np.ndarray:
        radius = float(np.hypot(*flange))
        x, y = flange * (min(max(radius, REACH[0]), REACH[1]) / max(radius, 1e-9))
        target = np.eye(4)
        target[:3, :3], target[:3, 3] = DOWN, (x, y, HEIGHT)
        seed = self.arm.home.copy()
        seed[0] = np.arctan2(y, x)
        seed[-1] = seed[0] - np.pi  # keeps the flange's axes where they are
        result = solve_ik(self.arm, target, seed, rng=self._rng, restarts=0)
        if not result.ok:
            raise RobotError(
                f"{self.arm.name} does not reach x {x:.3f}, y {y:.3f} m with the rod down: {result.reason}"
            )
        return result.q

    def command(self, q: np.ndarray) -> np.ndarray:
        """Return the command [2], m, that joints q [D], rad, carry out: the inverse of `joints` within reach."""
        flange = self._flange(q)
        return (flange - SETTLE_OFFSET + SETTLE_SLOPE * SETTLE_ORIGIN) / (1.0 + SETTLE_SLOPE)

    def measured(self, q: np.ndarray) -> np.ndarray:
        """Return where the benchmark would measure the end effector [2], m, at joints q [D], rad."""
        return self._flange(q) + CENTER

    def _flange(self, q: np.ndarray) -> np.ndarray:
        return chain_tool(self.arm.placements, self.arm.axes, np.asarray(q, float))[:2, 3]


def _point(name: str, value: np.ndarray) -> np.ndarray:
    array = np.asarray(value, float)
    check_shape(name, array, "2")
    check_finite(name, array)
    return array


def _settled(command: np.ndarray) -> np.ndarray:
    """Return where the flange comes to rest [2], m, for a command [2], m."""
    return command + SETTLE_OFFSET + SETTLE_SLOPE * (command - SETTLE_ORIGIN)
