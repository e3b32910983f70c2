"""`Monitor`: hold the tracked flow against the predicted one while the arm moves."""

from dataclasses import dataclass

import numpy as np

from armflow.planning.scene import Verdict
from armflow.robot.arrays import check_shape
from armflow.robot.errors import ValueRangeError

__all__ = ["Monitor"]


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the monitor carries from update to update."""

    far: int
    lost: int


class Monitor:
    """Compares predicted with tracked points each control chunk and says when they part.

    The figure is the median of the distances between matching points that are visible: up to half of them may be
    mistracked without effect. The tracked object may run late: it is compared with the last `lag` predictions too,
    and the smallest distance counts. One bad update is forgiven; `patience` of them in a row are not.
    """

    def __init__(self, *, threshold_m: float = 0.03, patience: int = 2, lost_patience: int = 12, lag: int = 3) -> None:
        """Start with nothing seen.

        Args:
            threshold_m: Median distance beyond which an update counts as bad, m.
            patience: Bad updates in a row that end the motion.
            lost_patience: Updates in a row with fewer than four visible points that end the motion.
            lag: Earlier predictions that are compared too, so that a late arm is no alarm.

        Raises:
            ValueRangeError: A threshold or patience is not positive, or lag is negative.
        """
        for name, value in (("threshold_m", threshold_m), ("patience", patience), ("lost_patience", lost_patience)):
            if not (np.isfinite(value) and value > 0):
                raise ValueRangeError(name, value, "positive and finite")
        if lag < 0:
            raise ValueRangeError("lag", lag, "at least 0")
        self._threshold_m, self._patience, self._lost_patience, self._lag = threshold_m, patience, lost_patience, lag
        self.reset()

    def reset(self) -> None:
        """Forget all earlier updates; call it at the start of each flow."""
        self._memory = _Memory(far=0, lost=0)
        self._recent: list[np.ndarray] = []

    def update(self, predicted: np.ndarray, tracked: np.ndarray, visible: np.ndarray) -> Verdict:
        """Judge one moment.

        Args:
            predicted: [N, 3] where the flow puts the points now, m, world.
            tracked: [N, 3] where the tracker sees the same points, m, world; NaN rows count as not visible.
            visible: [N] bool or weights 0 to 1; points below 0.5 are left out.

        Returns:
            A verdict with the figures distance_m, visible (fraction), far and lost (updates in a row).

        Raises:
            ShapeError: The three arrays do not belong together.
        """
        sizes = check_shape("predicted", predicted, "N 3")
        check_shape("tracked", tracked, "N 3", sizes)
        check_shape("visible", visible, "N", sizes)
        self._recent = [*self._recent, predicted][-(self._lag + 1) :]
        seen = (visible >= 0.5) & np.isfinite(tracked).all(axis=1)
        if seen.sum() < min(4, sizes["N"]) or not seen.any():
            self._memory = _Memory(self._memory.far, self._memory.lost + 1)
            return self._lost_verdict(float(seen.mean()) if len(seen) else 0.0)
        same = [earlier for earlier in self._recent if earlier.shape == tracked.shape]
        distance = min(_median_distance(earlier[seen], tracked[seen]) for earlier in same)
        self._memory = _Memory(self._memory.far + 1 if distance > self._threshold_m else 0, 0)
        return self._distance_verdict(distance, float(seen.mean()))

    def _figures(self, distance: float, fraction: float) -> dict[str, float]:
        """Collect the numbers behind a verdict."""
        memory = self._memory
        return {
            "distance_m": distance,
            "visible": fraction,
            "far": float(memory.far),
            "lost": float(memory.lost),
        }

    def _lost_verdict(self, fraction: float) -> Verdict:
        """Judge an update without enough visible points."""
        lost, limit = self._memory.lost, self._lost_patience
        figures = self._figures(float("nan"), fraction)
        if lost >= limit:
            return Verdict(False, f"lost sight of the object for {lost} updates (limit {limit})", figures)
        return Verdict(True, f"object hidden for {lost} of at most {limit} updates", figures)

    def _distance_verdict(self, distance: float, fraction: float) -> Verdict:
        """Judge an update with enough visible points."""
        far, limit = self._memory.far, self._threshold_m
        figures = self._figures(distance, fraction)
        if far >= self._patience:
            reason = f"object is {distance:.3f} m from where it should be for {far} updates (limit {limit:.3f} m)"
            return Verdict(False, reason, figures)
        return Verdict(True, f"object is {distance:.3f} m from its predicted place (limit {limit:.3f} m)", figures)


def _median_distance(predicted: np.ndarray, tracked: np.ndarray) -> float:
    """Median distance between matching points, m; a far outlier counts like a near one."""
    return float(np.median(np.linalg.norm(predicted - tracked, axis=1)))
