"""Did it work? The judgement after the motion, from a fresh look alone."""

import numpy as np

from armflow.perception.instruction import Command, find_object
from armflow.perception.segment import SceneObjects
from armflow.planning.scene import Candidate, Scene, Verdict

__all__ = ["judge_outcome"]

_NEAR = 0.02  # m between where the object is and where it should be
_LIFTED = 0.03  # m that a hanging object keeps from the table
_PULLED = 0.125  # m that a handle must have moved


def judge_outcome(
    command: Command, before: Scene, candidate: Candidate, now: SceneObjects, T_world_tracked: np.ndarray
) -> Verdict:
    """Compare what is seen now with what the candidate promised.

    An object that is hidden now (a pen inside its holder, beads inside a cup) counts as done: only evidence of a
    failure asks for another try.

    Args:
        command: The task in words, parsed.
        before: The scene that the plan was made for.
        candidate: The motion that was carried out.
        now: What is seen afterwards.
        T_world_tracked: [4, 4] last tracked pose of the target's frame while it moved, m. It judges a drawer: what
            an open one looks like depends on what is inside.

    Returns:
        A verdict whose figures hold the distance behind it, m.
    """
    if command.relation == "open":
        start = before.target.T_world_object.as_matrix()
        moved = float((T_world_tracked[:3, 3] - start[:3, 3]) @ start[:3, 0])
        return _near("the handle moved {:.3f} m", moved, moved >= _PULLED)
    found = find_object(now.detections, command.target).detection
    if found is None or command.relation == "pour":
        return Verdict(ok=True, reason="nothing seen speaks against success", figures={})
    goal = candidate.Ts_world_object[-1].translation
    position = found.T_world_object.translation
    if command.relation in ("place", "push"):
        off = float(np.linalg.norm(position[:2] - goal[:2]))
        return _near("the object is {:.3f} m from its goal", off, off <= _NEAR)
    if command.relation == "hang":
        height = float(np.percentile(now.table.height(found.state.points_world), 5))
        return _near("the object hangs {:.3f} m above the table", height, height >= _LIFTED)
    standing = abs(found.T_world_object.rotation.as_matrix()[2, 0])
    off = float(np.linalg.norm(position[:2] - goal[:2]))
    return _near("the object lies {:.3f} m from its goal", off, standing > 0.7 or off < 2 * _NEAR)


def _near(sentence: str, value: float, ok: bool) -> Verdict:
    return Verdict(ok=ok, reason=sentence.format(value), figures={"distance_m": value})
