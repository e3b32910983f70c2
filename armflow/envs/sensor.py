"""`DepthSensor`, what a stereo or structured-light camera makes of exact depth.

Such a camera measures disparity d = f b / z, so equal steps and equal noise in d become steps and noise that grow with
z^2: sigma_z = z^2 sigma_d / (f b) (Khoshelham and Elberink 2012, eq. 5, doi:10.3390/s120201437). Everything here
therefore happens to 1/z, where noise and steps have one size over the whole image.
"""

from dataclasses import dataclass

import numba
import numpy as np

from armflow.robot.arrays import check_shape
from armflow.robot.errors import ValueRangeError

__all__ = ["DepthSensor"]


@dataclass(frozen=True, slots=True)
class DepthSensor:
    """Noise, steps, holes and range of a depth camera.

    Attributes:
        sigma: Standard deviation of one reading at 1 m, m; it grows with z^2.
        quantum: Step between neighbouring readings at 1 m, m; it grows with z^2; 0 for none.
        edge_dropout: Probability that a pixel at a jump in depth gives no reading.
        edge_jump: Change of 1/z between neighbouring pixels from which on it is a jump, 1/m (2 cm at 1 m is 0.02).
        speckle: Probability that any pixel gives no reading.
        z_min: Nearer surfaces give no reading, m.
        z_max: Farther surfaces give no reading, m.
    """

    sigma: float = 0.001
    quantum: float = 0.001
    edge_dropout: float = 0.5
    edge_jump: float = 0.02
    speckle: float = 0.002
    z_min: float = 0.15
    z_max: float = 4.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueRangeError: A probability outside 0 … 1, a negative size, or an empty range.
        """
        for name in ("edge_dropout", "speckle"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueRangeError(name, getattr(self, name), "between 0 and 1")
        for name in ("sigma", "quantum", "edge_jump"):
            if not getattr(self, name) >= 0.0:
                raise ValueRangeError(name, getattr(self, name), "at least 0")
        if not 0.0 < self.z_min < self.z_max:
            raise ValueRangeError("z_min", self.z_min, f"above 0 and below z_max {self.z_max}")

    def measure(self, depth: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        """Return what the sensor reads where the truth is `depth`.

        Args:
            depth: [H, W] exact distance along the optical axis, m; NaN or infinity where nothing is.
            rng: Source of noise; the same state gives the same reading.

        Returns:
            [H, W] float32, m; NaN where there is no reading.
        """
        check_shape("depth", depth, "H W")
        out = np.empty(depth.shape, np.float32)
        rng.standard_normal(
            dtype=np.float32, out=out
        )  # noise first, reading afterwards: fresh pages cost more than sums
        chance = rng.integers(0, 1 << 16, depth.shape, dtype=np.uint16)
        limits = (np.float32(self.z_min), np.float32(self.z_max))
        chances = (np.float32(self.speckle), np.float32(self.edge_dropout), np.float32(self.edge_jump))
        truth = np.ascontiguousarray(depth, dtype=np.float32)
        _measure(truth, chance, (np.float32(self.sigma), np.float32(self.quantum)), limits, chances, out)
        return out


@numba.njit(inline="always", cache=True, error_model="numpy")
def _is_smooth(depth, row, column, jump):
    """Say whether all four neighbours differ by less than `jump` in 1/z; not so beside NaN or infinity."""
    up, down = max(row - 1, 0), min(row + 1, depth.shape[0] - 1)
    left, right = max(column - 1, 0), min(column + 1, depth.shape[1] - 1)
    here = depth[row, column]
    limit = jump * here  # |1/a - 1/b| < jump is |a - b| < jump a b
    a, b, c, d = depth[up, column], depth[down, column], depth[row, left], depth[row, right]
    vertical = (abs(a - here) < limit * a) & (abs(b - here) < limit * b)
    return vertical & (abs(c - here) < limit * c) & (abs(d - here) < limit * d)


@numba.njit(cache=True, error_model="numpy")
def _measure(depth, chance, size, limits, chances, out):
    """Turn the noise in out [H, W] into readings; see `DepthSensor` for the other arguments. chance is in 1 / 65536."""
    sigma, quantum = size
    speckle, edge_dropout, edge_jump = chances
    nothing, one = np.float32(np.nan), np.float32(1.0)
    # One draw serves both chances: given that it passed the first, what is left of it is uniform again.
    loss_at_edge = np.float32(65536.0) * (speckle + (one - speckle) * edge_dropout)
    loss_inside = np.float32(65536.0) * speckle
    step = quantum if quantum > 0.0 else one
    height, width = depth.shape
    for row in range(height):
        for column in range(width):
            loss = loss_inside if _is_smooth(depth, row, column, edge_jump) else loss_at_edge
            w = one / depth[row, column] + sigma * out[row, column]
            if quantum > 0.0:
                w = np.float32(np.rint(w / step)) * step
            z = one / w
            seen = (limits[0] <= z) & (z <= limits[1]) & (np.float32(chance[row, column]) >= loss)
            out[row, column] = z if seen else nothing
