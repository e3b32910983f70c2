"""Where things lie: places on an arm's bench that keep clear of each other, colours, and distractors.

Bench coordinates are shares of the half extents, -1 to 1: `forward` away from the robot, `left` to its left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.objects import Cup
from armflow.envs.shapes import BodySpec, Color, Part, block, place
from armflow.envs.world import World
from armflow.robot.errors import StackError

if TYPE_CHECKING:
    from armflow.robot.model import RobotModel

__all__ = ["COLORS", "LayoutError", "add_distractors", "bench_point", "choose", "corridor", "pick_colors", "try_until"]

T = TypeVar("T")

COLORS: dict[str, Color] = {
    "red": (0.82, 0.12, 0.12, 1.0),
    "green": (0.15, 0.62, 0.2, 1.0),
    "blue": (0.12, 0.25, 0.8, 1.0),
    "yellow": (0.93, 0.8, 0.1, 1.0),
    "orange": (0.95, 0.48, 0.08, 1.0),
    "purple": (0.5, 0.18, 0.65, 1.0),
    "cyan": (0.1, 0.75, 0.8, 1.0),
}


class LayoutError(StackError):
    """No arrangement was found in the tries allowed."""


def bench_point(arm: RobotModel, forward: float, left: float) -> np.ndarray:
    """Return the table point [2], m, at bench coordinates."""
    return arm.bench_center + np.array([forward, left]) * arm.bench_half


def choose(options: Sequence[str], *, rng: np.random.Generator) -> str:
    """Draw one of the options."""
    return options[int(rng.integers(len(options)))]


def pick_colors(count: int, *, rng: np.random.Generator) -> list[str]:
    """Draw names of different colours."""
    return [str(name) for name in rng.permutation(list(COLORS))[:count]]


def try_until(draw: Callable[[], T], good: Callable[[T], bool], tries: int = 1000) -> T:
    """Draw until the draw is good.

    Raises:
        LayoutError: None of the tries was good.
    """
    for _ in range(tries):
        value = draw()
        if good(value):
            return value
    raise LayoutError(f"no arrangement found in {tries} tries: the bench of this arm is too small for the task")


def corridor(end: np.ndarray, length: float = 0.25, count: int = 6) -> np.ndarray:
    """Points [count, 2] on the table below a hand that reaches straight out from the base to `end` [2], m."""
    away = end / np.linalg.norm(end)
    return end - np.linspace(0.0, length, count)[:, None] * away


def add_distractors(
    world: World, colors: Sequence[str], taken: np.ndarray, *, gap: float, rng: np.random.Generator
) -> list[int]:
    """Stand up to one thing of each colour where it is in nobody's way.

    Args:
        world: The world; the bench is its arm's.
        colors: Colour names, one a thing.
        taken: [N, 2] points to keep clear of, m.
        gap: Least distance of its centre from those points, m.
        rng: Source of chance.

    Returns:
        Their handles; fewer than colours when the bench is full.
    """
    handles = []
    arm = world.arm
    for color in colors:
        try:
            spot = try_until(
                lambda: bench_point(arm, *rng.uniform(-1, 1, 2)),
                lambda p, keep=taken: bool(np.linalg.norm(keep - p, axis=1).min() > gap),
                tries=60,
            )
        except LayoutError:
            break
        taken = np.vstack([taken, spot])
        spec, height = _distractor(color, rng=rng)
        turn = Rotation.from_euler("z", rng.uniform(-np.pi, np.pi))
        handles.append(world.add(spec, place(spot[0], spot[1], height, turn)))
    return handles


def _distractor(color: str, *, rng: np.random.Generator) -> tuple[BodySpec, float]:
    """Make a block, a cylinder or a cup, and tell the height of its frame when it stands."""
    rgba, kind = COLORS[color], rng.integers(3)
    if kind == 0:
        side = rng.uniform(0.03, 0.045, 3)
        return block(f"{color} block", tuple(side), rgba), side[2] / 2
    if kind == 1:
        radius, height = rng.uniform(0.015, 0.022), rng.uniform(0.04, 0.06)
        return BodySpec(f"{color} cylinder", (Part("cylinder", (radius, height), rgba=rgba),), 0.08), height / 2
    return Cup(rng.uniform(0.028, 0.034), rng.uniform(0.07, 0.09)).body(f"{color} cup", rgba), 0.0
