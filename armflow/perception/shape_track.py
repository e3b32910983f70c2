"""`ShapeTracker`: the same particles of an object that bends, from cloud to cloud.

Particles are pulled to what is seen and held together by what is known of the rest shape: neighbours keep their
distances, and no two particles come farther apart than the way between them along the object is long. Both are
projected as in position based dynamics (Müller et al. 2007, doi:10.1016/j.jvcir.2007.01.005, eqs. 7 to 11), averaged
over the constraints of a particle. What a closed hand holds goes with it.
"""

from dataclasses import dataclass

import numba
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from armflow.perception.cloud import farthest_points
from armflow.perception.particles import ShapeState
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ShapeError, ValueRangeError

__all__ = ["ShapeTracker", "ShapeTrackerConfig"]

_GUIDES = 4  # known particles near one that goes as they do


@dataclass(frozen=True, slots=True)
class ShapeTrackerConfig:
    """How particles are followed.

    Attributes:
        count: Particles of an object.
        neighbours: Nearest particles whose distance is kept.
        posts: Particles, spread over the object, from which no other may be farther than along the object.
        rounds: Times that particles are pulled and projected.
        projections: Projections after each pull.
        pull: Share of the way to what is seen, a round.
        gate: Greatest distance of a particle to what pulls it, m, in the first round and in the last.
        grip: Distance from the fingertips within which a closing hand takes hold of particles, m.
        lost: Mean distance of what is seen to the particles beyond which the object counts as lost, m.
    """

    count: int = 250
    neighbours: int = 8
    posts: int = 16
    rounds: int = 10
    projections: int = 8
    pull: float = 0.6
    gate: tuple[float, float] = (0.06, 0.02)
    grip: float = 0.016
    lost: float = 0.012

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueRangeError: A count below 1, a share outside 0 to 1, or a length that is not positive.
        """
        for name in ("neighbours", "posts", "rounds", "projections"):
            if getattr(self, name) < 1:
                raise ValueRangeError(name, getattr(self, name), "at least 1")
        if self.count < 2:
            raise ValueRangeError("count", self.count, "at least 2")
        if not 0 < self.pull <= 1:
            raise ValueRangeError("pull", self.pull, "above 0, at most 1")
        if min(*self.gate, self.grip, self.lost) <= 0:
            raise ValueRangeError("gate, grip and lost", (*self.gate, self.grip, self.lost), "above 0 m")


class ShapeTracker:
    """Follows one object from the cloud in which it was first seen.

    Attributes:
        config: How.
        points: [N, 3] particles as they are now, m.
        rest: [N, 3] the same as they were first, m.
    """

    def __init__(self, cloud: np.ndarray, config: ShapeTrackerConfig | None = None) -> None:
        """Choose particles of a cloud [M, 3], m, and take down the shape that they have.

        Raises:
            ShapeError: Fewer than two points, or one that is not finite.
        """
        self.config = config or ShapeTrackerConfig()
        _check(cloud)
        self.rest = cloud[farthest_points(cloud, self.config.count)]
        self.points = self.rest.copy()
        self._near = _neighbours(self.rest, self.config.neighbours)
        self._far = _ways_from_posts(self.rest, *self._near, self.config.posts)
        self._held: tuple[np.ndarray, np.ndarray] | None = None
        self._open = True

    def hold(self, T_world_tip: np.ndarray) -> int:
        """Let a closing hand [4, 4] take what lies between its fingertips; returns how many particles that is.

        A hand that closed on nothing takes nothing until it has been opened: what it touches then, it pushes.
        """
        if not self._open:
            return 0
        self._open = False
        inverse = np.linalg.inv(T_world_tip)
        held = np.flatnonzero(np.linalg.norm(self.points - T_world_tip[:3, 3], axis=1) < self.config.grip)
        self._held = (held, self.points[held] @ inverse[:3, :3].T + inverse[:3, 3]) if len(held) else None
        return len(held)

    def release(self) -> None:
        """Open the hand: it holds nothing, and may take hold again."""
        self._held, self._open = None, True

    @property
    def holds(self) -> bool:
        """Whether the hand holds particles."""
        return self._held is not None

    def carry(self, places: np.ndarray, known: np.ndarray) -> None:
        """Begin the next look from places [N, 3] (m) of known particles [N] bool; others go as known ones near them do.

        Raises:
            ShapeError: Shapes that do not fit the particles, or a place that is not finite.
        """
        sizes = check_shape("places", places, "N 3", {"N": len(self.points)})
        check_shape("known", known, "N", sizes)
        check_finite("places", places)
        if known.sum() < self.config.neighbours:
            return
        moves = np.where(known[:, None], places - self.points, 0.0)
        near = cKDTree(self.rest[known]).query(self.rest[~known], _GUIDES)[1].reshape(-1, _GUIDES)
        moves[~known] = moves[known][np.minimum(near, known.sum() - 1)].mean(axis=1)
        self.points = self.points + moves

    def follow(
        self,
        cloud: np.ndarray,
        hidden: np.ndarray | None = None,
        T_world_tip: np.ndarray | None = None,
        floor: float = -np.inf,
    ) -> float:
        """Move the particles to where the object is seen.

        What is seen elsewhere than the hand could hold it has slipped out of the hand.

        Args:
            cloud: [M, 3] what is seen of the object, m.
            hidden: [N] bool, particles that cannot be seen from where the camera stands; None for none.
            T_world_tip: [4, 4] fingertips of the hand that holds some; None where it holds none.
            floor: Height below which nothing can be, m.

        Returns:
            Mean distance of what is seen to the particles, m.

        Raises:
            ShapeError: Fewer than two points are seen, or one that is not finite.
        """
        _check(cloud)
        shown = np.ones(len(self.points), bool) if hidden is None else ~hidden
        before = self.points
        off = self._fit(cloud, shown, T_world_tip, floor)
        if off > self.config.lost and self._held is not None and T_world_tip is not None:
            self._held, self.points = None, before
            off = self._fit(cloud, shown, None, floor)
        return off

    def _fit(self, cloud: np.ndarray, shown: np.ndarray, T_world_tip: np.ndarray | None, floor: float) -> float:
        """Pull and project, then the mean distance of what is seen to the particles, m."""
        places = np.zeros((0, 3))
        held = np.zeros(0, np.int64)
        if self._held is not None and T_world_tip is not None:
            held, local = self._held
            places = local @ T_world_tip[:3, :3].T + T_world_tip[:3, 3]
        free = np.ones(len(self.points))
        free[held] = 0.0
        tree, config = cKDTree(cloud), self.config
        for gate in np.linspace(*config.gate, config.rounds):
            self.points = self.points + config.pull * free[:, None] * _pull(self.points, cloud, tree, shown, gate)
            self.points[held] = places
            self._project(free, floor)
        return float(cKDTree(self.points).query(cloud)[0].mean())

    def _project(self, free: np.ndarray, floor: float) -> None:
        self.points = _project(self.points, self._near, self._far, free, floor, self.config.projections)

    def state(self, name: str, before: np.ndarray | None, seconds: float, stamp: float) -> ShapeState:
        """The particles, with velocities from where they were `seconds` ago [N, 3]; at rest where that is unknown."""
        if before is None or seconds <= 0:
            before, seconds = self.points, 1.0
        speed = (np.asarray(self.points) - before) / seconds
        return ShapeState(name, self.points, speed, self.rest, stamp)


def _check(cloud: np.ndarray) -> None:
    check_shape("cloud", cloud, "M 3")
    check_finite("cloud", cloud)
    if len(cloud) < 2:
        raise ShapeError("cloud", "an array [M, 3] with M >= 2", cloud.shape)


def _neighbours(rest: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs [E, 2] of each particle with its nearest, each once, and their distances [E], m."""
    count = min(count, len(rest) - 1)
    near = cKDTree(rest).query(rest, count + 1)[1][:, 1:]
    pairs = np.stack([np.repeat(np.arange(len(rest)), count), near.reshape(-1)], axis=1)
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    return pairs, np.linalg.norm(rest[pairs[:, 0]] - rest[pairs[:, 1]], axis=1)


def _ways_from_posts(
    rest: np.ndarray, pairs: np.ndarray, lengths: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Particles [P] and the lengths [P, N] of the shortest ways from them over neighbours, m."""
    posts = farthest_points(rest, count)
    graph = csr_matrix((np.maximum(lengths, 1e-9), pairs.T), shape=(len(rest), len(rest)))
    return posts, np.asarray(dijkstra(graph, directed=False, indices=posts))


def _pull(points: np.ndarray, cloud: np.ndarray, tree: cKDTree, shown: np.ndarray, gate: float) -> np.ndarray:
    """Ways [N, 3] from particles to the mean of what they are nearest to, or else to what is nearest to them.

    That mean follows a particle that slides along the object, so that the ends alone decide about sliding.
    """
    distance, owner = cKDTree(points).query(cloud)
    near = distance < gate
    count = np.bincount(owner[near], minlength=len(points))[:, None]
    sums = np.stack([np.bincount(owner[near], cloud[near, k], len(points)) for k in range(3)], axis=1)
    away, nearest = tree.query(points)
    toward = np.where((shown & (away < gate))[:, None], cloud[nearest] - points, 0.0)
    return np.where(count > 0, sums / np.maximum(count, 1) - points, toward)


@numba.njit(cache=True)
def _project(points, near, far, free, floor, rounds):
    """Particles [N, 3] after some rounds of averaged corrections towards distances of neighbours and below ways."""
    now = points.copy()
    for _ in range(rounds):
        shift, count = np.zeros_like(now), np.zeros(len(now))
        for e in range(len(near[0])):
            _correct(now, near[0][e, 0], near[0][e, 1], near[1][e], free, shift, count)
        _keep_far(now, far[0], far[1], free, shift, count)
        for i in range(len(now)):
            if count[i] > 0:
                for k in range(3):
                    now[i, k] += 1.5 * shift[i, k] / count[i]
            now[i, 2] = max(now[i, 2], floor)
    return now


@numba.njit(cache=True)
def _keep_far(now, posts, ways, free, shift, count):
    for p in range(len(posts)):
        i = posts[p]
        for j in range(len(now)):
            x, y, z = now[i, 0] - now[j, 0], now[i, 1] - now[j, 1], now[i, 2] - now[j, 2]
            if i != j and x * x + y * y + z * z > ways[p, j] ** 2:
                _correct(now, i, j, ways[p, j], free, shift, count)


@numba.njit(cache=True)
def _correct(now, i, j, length, free, shift, count):
    """Add to both particles' shifts what brings their distance to `length`."""
    share = free[i] + free[j]
    x, y, z = now[i, 0] - now[j, 0], now[i, 1] - now[j, 1], now[i, 2] - now[j, 2]
    distance = np.sqrt(x * x + y * y + z * z)
    if share == 0.0 or distance < 1e-9:
        return
    scale = (distance - length) / (distance * share)
    for k, way in enumerate((x, y, z)):
        shift[i, k] -= free[i] * scale * way
        shift[j, k] += free[j] * scale * way
    count[i] += free[i]
    count[j] += free[j]
