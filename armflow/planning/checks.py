"""Re-checks of a planned trajectory, whatever its solver said: limits, scene, own links, workspace."""

from dataclasses import dataclass

import numpy as np

from armflow.planning._cost import clearances
from armflow.planning.body import Body
from armflow.planning.distance import DistanceField
from armflow.planning.trajectory import OptimizeConfig
from armflow.robot.kinematics import chain_tool

__all__ = ["Clearance", "allowed_distance", "check_clearance", "dense_path"]


@dataclass(frozen=True, slots=True)
class Clearance:
    """How far a path keeps from everything.

    Attributes:
        ok: Whether all of it is far enough.
        reason: One sentence.
        scene: Least distance to the scene, m.
        own: Least distance between links, m.
        row: Row of the worst offence, or -1.
    """

    ok: bool
    reason: str
    scene: float
    own: float
    row: int


def dense_path(q: np.ndarray, step: float = 0.05) -> np.ndarray:
    """Rows of q [H, D] and straight joint lines between them, no joint moving more than `step` rad a row."""
    if len(q) < 2:
        return q
    counts = np.maximum(np.ceil(np.abs(np.diff(q, axis=0)).max(1) / step).astype(int), 1)
    parts = [a + np.arange(n)[:, None] / n * (b - a) for a, b, n in zip(q[:-1], q[1:], counts, strict=True)]
    return np.concatenate([*parts, q[-1:]])


def check_clearance(body: Body, field: DistanceField, q: np.ndarray, config: OptimizeConfig) -> Clearance:
    """Check every row of a path [H, D].

    A part that is in contact at an end of the motion may be as close as there within `contact_radius` of that end:
    an object leaves the table it stands on, and fingers go down beside it.
    """
    scene, places, own = clearances(body, field, np.ascontiguousarray(q))
    allowed = allowed_distance(body, scene, places, (config.clearance, config.carried_clearance), config)
    own_allowed = max(min(config.self_clearance, own[0] - 0.002), -config.contact_depth)
    short = (allowed - scene).max(1, initial=-np.inf)
    least_scene, least_own = float(scene.min(initial=np.inf)), float(own.min(initial=np.inf))
    row = int(np.argmax(short))
    if short[row] > 0.0:
        sphere = int(np.argmax(allowed[row] - scene[row]))
        what = "the arm" if body.sphere_radius[sphere] > 0.0 else "the held object"
        text = f"{what} comes within {scene[row, sphere]:.3f} m of the scene at row {row} of {len(q)}"
        return Clearance(False, text, least_scene, least_own, row)
    row = int(np.argmin(own))
    if own[row] < own_allowed:
        return Clearance(False, f"links {own[row]:.3f} m apart at row {row} of {len(q)}", least_scene, least_own, row)
    outside = _workspace_excess(body, q)
    if outside.max() > 1e-6:
        row = int(np.argmax(outside))
        text = f"the tool is {outside[row]:.3f} m outside its workspace at row {row} of {len(q)}"
        return Clearance(False, text, least_scene, least_own, row)
    return Clearance(True, "clear", least_scene, least_own, -1)


def allowed_distance(
    body: Body, scene: np.ndarray, places: np.ndarray, wanted: tuple[float, float], config: OptimizeConfig
) -> np.ndarray:
    """Least distance to the scene that each sphere may have at each row, [H, S] m.

    Args:
        body: The arm.
        scene: [H, S] distances to the scene, m; only the first and the last row count.
        places: [H, S, 3] the spheres' centres, m.
        wanted: What the arm and the held object keep away from the ends, m.
        config: Radius and depth of contact at the ends.
    """
    keep = np.where(body.sphere_radius > 0.0, *wanted)
    allowed = np.broadcast_to(keep, scene.shape)
    for end in (0, -1):
        near = ((places - places[end]) ** 2).sum(2) < config.contact_radius**2
        contact = np.maximum(np.minimum(keep, scene[end] - 0.002), -config.contact_depth)
        allowed = np.where(near, np.minimum(allowed, contact), allowed)
    return allowed


def _workspace_excess(body: Body, q: np.ndarray) -> np.ndarray:
    """How far the tool leaves its box at each row, m, beyond what it already does at the first row."""
    tools = np.array([chain_tool(body.placements, body.axes, row)[:3, 3] for row in q])
    outside = np.maximum(body.workspace[0] - tools, tools - body.workspace[1]).max(1)
    return outside - max(outside[0], 0.0)
