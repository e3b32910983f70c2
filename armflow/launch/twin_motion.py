"""The twin moved by learned dynamics along a hand's path, and compared with what was recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from armflow.launch.twin_build import SEEN
from armflow.launch.twin_clip import HandPath
from armflow.launch.twin_pictures import erase, grow, paint
from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussian_masks import ObjectColors
from armflow.perception.gaussians import GaussianObject
from armflow.perception.skinning import bind_gaussians, local_rotations, move_gaussians
from armflow.perception.splat import View
from armflow.perception.splat_scores import mask_iou, psnr, ssim
from armflow.robot.errors import StackError

if TYPE_CHECKING:
    from armflow.planning.dynamics.types import DynamicsModel

__all__ = [
    "Shot",
    "TwinMotionError",
    "compare",
    "first_touch",
    "follow_path",
    "load_model",
    "moved_twins",
    "particles_of",
    "point_errors",
    "summarise",
]

AROUND = 8  # px about the object, recorded or drawn, that are compared
TOUCH = 0.03  # m from the object within which the hand may touch it


class TwinMotionError(StackError):
    """The object cannot be moved as asked."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One moment of the comparison.

    Attributes:
        drawn: The recorded frame [H, W, 3] uint8 with each twin in place of the object, by the twin's name.
        scores: PSNR (dB), SSIM and mask IoU of each twin, by its name.
    """

    drawn: dict[str, np.ndarray]
    scores: dict[str, dict[str, float]]


def load_model(path: Path | None, category: str | None) -> "DynamicsModel":
    """Load the dynamics at a path, or those that come along for a category.

    Raises:
        TwinMotionError: None come along for it.
        FormatError: The checkpoint is missing or broken.
    """
    from armflow.planning import dynamics

    if path is None:
        folder = Path(dynamics.__file__).parent / "weights"
        path = folder / str(category)
        if category is None or not path.is_dir():
            held = ", ".join(sorted(one.name for one in folder.iterdir() if one.is_dir()))
            what = category or "an object of unknown category"
            raise TwinMotionError(f"no dynamics come along for {what}, but for {held}; give a checkpoint with --model")
    return dynamics.load_dynamics(path)


def particles_of(gaussians: GaussianObject, count: int) -> np.ndarray:
    """At most `count` points [P, 3] of the object, evenly spread, m.

    Raises:
        TwinMotionError: Fewer than two Gaussians are solid.
    """
    from armflow.planning.mppi.objective import farthest_points

    points = gaussians.means_world[gaussians.opacities > SEEN]
    if len(points) < 2:
        raise TwinMotionError(f"{len(points)} solid Gaussians carry no particles; give another moment with --start")
    return points[farthest_points(points, count)]


def first_touch(particles: np.ndarray, hand: HandPath, times: np.ndarray) -> int:
    """First row of `times` [K] at which the hand is within `TOUCH` of particles [P, 3] at rest; K where it never is."""
    near = cKDTree(particles).query(hand.at(times)[:, :3])[0] < TOUCH
    return int(np.argmax(near)) if near.any() else len(times)


def follow_path(
    model: "DynamicsModel", particles: np.ndarray, hand: HandPath, times: np.ndarray, *, ground: float, category: str
) -> np.ndarray:
    """Predict where particles go that rest at the first of `times`; between the model's steps they go straight.

    Args:
        model: The dynamics.
        particles: [P, 3] m.
        hand: What the hand does.
        times: [K] s, rising.
        ground: Height of the table, m.
        category: What the object is; its material is unknown.

    Returns:
        [K, P, 3] m.
    """
    import torch

    from armflow.planning.dynamics.adapt import make_code
    from armflow.planning.dynamics.types import DT, HISTORY, Particles, ToolPath

    rows = (times - times[0]) / DT
    steps = max(1, int(np.ceil(rows[-1] - 1e-6)))
    down = torch.tensor([0.0, 0.0, ground])
    points = torch.as_tensor(particles, dtype=torch.float32)[None] - down
    code = make_code(category)[None] if model.code_size else points.new_zeros(1, 0)
    start = Particles(points, points.new_zeros(1, HISTORY, points.shape[1], 3), points, code)
    states = torch.as_tensor(hand.at(times[0] + DT * np.arange(steps + 1)), dtype=torch.float32)[None]
    tools = ToolPath(states[..., :3] - down, states[..., 3:7], 1.0 - states[..., 7])
    with torch.no_grad():
        moved = (torch.cat([points, model.rollout(start, tools)[0]]) + down).double().numpy()
    low = np.minimum(np.floor(rows + 1e-6).astype(int), steps - 1)
    share = (rows - low)[:, None, None]
    return (1 - share) * moved[low] + share * moved[low + 1]


def moved_twins(gaussians: GaussianObject, path: np.ndarray) -> Iterator[GaussianObject]:
    """The Gaussians at each row of their particles' path [K, P, 3], m, carried by skinning."""
    skin, turns = bind_gaussians(gaussians, path[0]), None
    for particles in path:
        turns = local_rotations(skin, particles, turns)
        yield move_gaussians(skin, particles, turns)


def compare(colors: ObjectColors, frame: RGBDFrame, twins: Mapping[str, GaussianObject], body: np.ndarray) -> Shot:
    """Draw twins into a recorded frame in place of the recorded object, and compare them with it.

    Robot and background stay those of the recording: only the object is predicted. Compared is what is about the
    object, recorded or drawn, less the robot.

    Args:
        colors: What the object looks like.
        frame: The recorded frame.
        twins: Gaussians by name.
        body: [H, W] bool, what may be the robot in it.
    """
    mask = colors.mask(frame.rgb)
    plate, view = erase(frame.rgb, mask, body), View.of(frame)
    painted = {name: paint(plate, frame.depth, mask, gaussians, view) for name, gaussians in twins.items()}
    seen = {name: alpha > SEEN for name, (_, alpha) in painted.items()}
    union = np.logical_or.reduce([mask, *seen.values()])
    near = grow(union, AROUND) & ~(body & ~union)
    near = near if near.any() else np.ones_like(near)  # all is hidden by the robot
    truth = frame.rgb / 255.0
    scores = {
        name: {"psnr": psnr(p, truth, near), "ssim": ssim(p, truth, near), "iou": mask_iou(seen[name], mask)}
        for name, (p, _) in painted.items()
    }
    drawn = {name: np.rint(255.0 * picture.clip(0.0, 1.0)).astype(np.uint8) for name, (picture, _) in painted.items()}
    return Shot(drawn, scores)


def point_errors(path: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean distance [K, 2] of particles from where they truly went, as predicted and as left where they were, mm.

    Args:
        path: [K, P, 3] predicted, m.
        truth: [K, N, 3] points of the object, m; each particle goes with the one nearest to it at first.
    """
    went = truth[:, cKDTree(truth[0]).query(path[0])[1]]
    both = (np.linalg.norm(where - went, axis=-1).mean(axis=1) for where in (path, path[:1]))
    return 1e3 * np.stack(list(both), axis=1)


def summarise(scores: list[dict[str, dict[str, float]]], first: int) -> dict[str, Any]:
    """Curves of each twin's scores, and their means from row `first` on; over all rows where there is no such row."""
    found: dict[str, Any] = {}
    for name in scores[0]:
        curves = {key: [round(float(row[name][key]), 4) for row in scores] for key in scores[0][name]}
        mean = {key: round(float(np.mean(curve[first:] or curve)), 4) for key, curve in curves.items()}
        found[name] = {"curves": curves, "mean": mean}
    return found
