"""Where a hand may take hold of an object, or push it, to bring it closer to a goal cloud."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from armflow.perception.cloud import farthest_points
from armflow.planning.mppi.config import HandLimits
from armflow.planning.mppi.objective import assign

__all__ = ["CONTACTS", "DOWN", "Contact", "ContactConfig", "find_contacts", "hand_down"]

_FINGER_WIDTH = 0.015  # m along an object that a finger touches
_BESIDE = 0.006  # m between an open finger and what it goes beside
DOWN = np.diag([1.0, -1.0, -1.0])  # the tool's z down, its x along the world's x at yaw 0


@dataclass(frozen=True, slots=True)
class Contact:
    """One way to touch the object.

    Attributes:
        kind: "grasp" closes on the object, "push" moves beside it with closed fingers, "hold" has it already.
        point: [3] tool position at the contact, m, world.
        rotation: [4] hand orientation, wxyz.
        guess: [T, 3] a first guess of the hand's velocities, m/s.
        particle: Index of the particle that is grasped or pushed.
        opening: Of the hand that holds or pushes, 0 closed to 1 open.
        ready: Opening of the hand on its way there.
    """

    kind: Literal["grasp", "push", "hold"]
    point: np.ndarray
    rotation: np.ndarray
    guess: np.ndarray
    particle: int
    opening: float = 0.0
    ready: float = 0.0


@dataclass(frozen=True, slots=True)
class ContactConfig:
    """How contacts are chosen.

    Attributes:
        kinds: What is tried.
        count: How many contacts, those of all kinds together.
        patch: Radius of the neighbourhood that tells the direction of a thin object, m.
        matched: Particles and goal points matched to tell how far each has to go.
        top: Depth below the highest particle around within which a particle can be grasped from above, m.
        clearance: Distance between the fingers of a pushing hand and the object, m.
        finger: Radius of the closed fingers, m.
        sink: Greatest depth of the tool below a particle that is grasped, m; never deeper than half-way down to where
            the tool may go.
        inward: How far the fingers reach in from the edge of something flat, m.
        astride: Whether fingers go to both sides of the whole object, across its longer side.
        grip: Opening of the hand that holds; what is soft all through gives way to fingers that close further.
        ready: Opening of the hand that comes to grasp; fingers that close from afar gather up a sheet.
        opening: Greatest distance between the fingers, m.
    """

    kinds: tuple[Literal["grasp", "push"], ...] = ("grasp",)
    count: int = 8
    patch: float = 0.03
    matched: int = 96
    top: float = 0.01
    clearance: float = 0.005
    finger: float = 0.015
    sink: float = 0.02
    inward: float = 0.012
    astride: bool = False
    grip: float = 0.0
    ready: float = 1.0
    opening: float = 0.08


CONTACTS: dict[str, ContactConfig] = {
    "rope": ContactConfig(),
    "cloth": ContactConfig(ready=0.25),
    "plush": ContactConfig(astride=True, grip=0.3),
    "box": ContactConfig(kinds=("push",)),
}
"""By category: what is soft is grasped; a lid is too wide for the fingers and is pushed."""


def hand_down(yaw: float | np.ndarray) -> np.ndarray:
    """Orientation [..., 4] wxyz of a hand that points down, its x axis turned by yaw (rad) about the world's z."""
    turned = Rotation.from_euler("z", yaw) * Rotation.from_matrix(DOWN)
    return turned.as_quat(scalar_first=True)


def find_contacts(
    points: np.ndarray, goal: np.ndarray, limits: HandLimits, steps: int, dt: float, config: ContactConfig
) -> list[Contact]:
    """Choose contacts where the object has far to go, well apart from each other.

    Particles are matched one to one with the goal at the least total distance; each contact's first guess carries its
    particle straight to its match, as far as the horizon allows.

    Args:
        points: [N, 3] the object's particles, m.
        goal: [P, 3] the goal cloud, m.
        limits: Contacts outside them are left out.
        steps: Steps T of a plan.
        dt: Length of each, s.
        config: How to choose.

    Returns:
        At most `config.count` contacts; none where nothing is within the limits.
    """
    count = min(config.matched, len(points), len(goal))
    chosen = farthest_points(points, count)
    targets = goal[farthest_points(goal, count)]
    way = targets[assign(points[chosen], targets)] - points[chosen]
    per_kind = max(1, config.count // len(config.kinds))
    found: list[Contact] = []
    for kind in config.kinds:
        make = _grasps if kind == "grasp" else _pushes
        at, contacts = make(points, chosen, way, limits, config)
        order = _spread(points[chosen[at]], np.linalg.norm(way[at], axis=1), per_kind)
        found += [replace(contacts[k], guess=_guess(way[at[k]], steps, dt, limits.speed)) for k in order]
    return found


def _guess(way: np.ndarray, steps: int, dt: float, speed: float) -> np.ndarray:
    """Velocities [T, 3] m/s that cover a way [3] m evenly over the horizon, or as much of it as the speed allows."""
    velocity = way / (steps * dt)
    return np.tile(velocity * min(1.0, speed / max(float(np.linalg.norm(velocity)), 1e-12)), (steps, 1))


def _spread(points: np.ndarray, far: np.ndarray, count: int) -> list[int]:
    """Indices of `count` points [N, 3]: the one with the farthest to go, then by that and by distance to the chosen."""
    if len(points) == 0:
        return []
    share = far / max(float(far.max()), 1e-9)
    order = [int(np.argmax(share))]
    apart = np.linalg.norm(points - points[order[0]], axis=1)
    extent = max(float(apart.max()), 1e-9)
    for _ in range(min(count, len(points)) - 1):
        order.append(int(np.argmax(np.where(apart > 1e-6, 0.5 * share + apart / extent, -1.0))))
        apart = np.minimum(apart, np.linalg.norm(points - points[order[-1]], axis=1))
    return list(dict.fromkeys(order))


def _within(points: np.ndarray, limits: HandLimits) -> Any:
    return np.logical_and(points >= limits.low, points <= limits.high).all(axis=-1)


def _grasps(
    points: np.ndarray, chosen: np.ndarray, way: np.ndarray, limits: HandLimits, config: ContactConfig
) -> tuple[np.ndarray, list[Contact]]:
    """Grasps from above at particles that nothing covers: across what is thin, in from the edge of what is flat."""
    del way
    tree = cKDTree(points[:, :2])
    near = tree.query_ball_point(points[chosen, :2], config.patch / 2)
    open_above = np.array(
        [points[k, 2] > points[n, 2].max() - config.top for k, n in zip(chosen, near, strict=True)], bool
    )
    at, contacts = [], []
    for k in np.flatnonzero(open_above):
        hold = _astride if config.astride else _hold
        found = hold(points, tree, points[chosen[k]], config)
        if found is None:
            continue
        place, yaw = found
        place[2] -= np.clip(0.5 * (place[2] - limits.low[2]), 0.0, config.sink)
        place[2] = max(place[2], limits.low[2])
        if _within(place, limits):
            at.append(k)
            still, particle = np.zeros((1, 3)), int(chosen[k])
            contacts.append(Contact("grasp", place, hand_down(yaw), still, particle, config.grip, config.ready))
    return np.array(at, int), contacts


def _astride(
    points: np.ndarray, tree: cKDTree, point: np.ndarray, config: ContactConfig
) -> tuple[np.ndarray, float] | None:
    """As `_hold`, in the middle of the whole object's width, the hand's x axis along its length; None if too wide."""
    del tree
    along = np.linalg.eigh(np.cov(points[:, :2].T))[1][:, 1]
    across = np.array([-along[1], along[0]])
    here = np.abs((points[:, :2] - point[:2]) @ along) < _FINGER_WIDTH
    width = points[here, :2] @ across
    if np.ptp(width) > config.opening - 2 * _BESIDE:
        return None
    middle = along * (point[:2] @ along) + across * 0.5 * (width.min() + width.max())
    return np.append(middle, point[2]), _half_turn(float(np.arctan2(along[1], along[0])))


def _hold(points: np.ndarray, tree: cKDTree, point: np.ndarray, config: ContactConfig) -> tuple[np.ndarray, float]:
    """Where to take hold near a point [3], m, and the turn of the hand, within a quarter turn, rad.

    The hand's x axis lies along what is thin, or along an edge; its turn is 0 where there is neither.
    """
    patch = points[tree.query_ball_point(point[:2], config.patch)][:, :2]
    if len(patch) < 3:
        return point.copy(), 0.0
    value, axes = np.linalg.eigh(np.cov(patch.T))
    if value[1] >= 3 * value[0]:
        return point.copy(), _half_turn(float(np.arctan2(axes[1, 1], axes[0, 1])))
    inward = patch.mean(axis=0) - point[:2]
    length = float(np.linalg.norm(inward))
    if length < config.patch / 4:  # in the middle of something
        return point.copy(), 0.0
    place = point + config.inward * np.append(inward / length, 0.0)
    return place, _half_turn(float(np.arctan2(inward[0], -inward[1])))


def _pushes(
    points: np.ndarray, chosen: np.ndarray, way: np.ndarray, limits: HandLimits, config: ContactConfig
) -> tuple[np.ndarray, list[Contact]]:
    """Closed fingers behind a particle, seen from where it has to go, clear of the object on their way down, too."""
    level = np.linalg.norm(way[:, :2], axis=1)
    at, contacts = [], []
    for k in np.flatnonzero(level > 1e-3):
        back = -np.array([*way[k, :2], 0.0]) / level[k]
        place = points[chosen[k]].copy()
        place[2] = max(place[2], limits.low[2])
        place = _step_out(points, place, back, config)
        if _within(place, limits):
            yaw = float(np.arctan2(-back[1], -back[0]))
            at.append(k)
            contacts.append(Contact("push", place, hand_down(_half_turn(yaw)), np.zeros((1, 3)), int(chosen[k])))
    return np.array(at, int), contacts


def _half_turn(yaw: float) -> float:
    """The same line at a turn of a quarter or less, rad."""
    return (yaw + np.pi / 2) % np.pi - np.pi / 2


def _step_out(points: np.ndarray, place: np.ndarray, back: np.ndarray, config: ContactConfig) -> np.ndarray:
    """Move a point [3] backwards until fingers that come straight down to it touch nothing of the points [N, 3], m."""
    gap = config.finger + config.clearance
    passed = cKDTree(points[points[:, 2] > place[2] - gap, :2])
    for distance in np.arange(0.0, 0.5, 0.005):
        if passed.query((place + distance * back)[:2])[0] > gap:
            return place + distance * back
    return place + 0.5 * back
