"""One split of an evaluation of dynamics: windows, the errors of each model over them, and adaptation."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from armflow.planning.dynamics.adapt import adapt, hide_material
from armflow.planning.dynamics.data import Interactions, Scene, Windows
from armflow.planning.dynamics.errors import DynamicsError
from armflow.planning.dynamics.scores import METRICS, score_windows
from armflow.planning.dynamics.types import DT, DynamicsModel, Particles

if TYPE_CHECKING:
    from armflow.launch.predict import Predict

__all__ = ["judge_split"]

CONTEXT = 10  # steps of a window that a model adapts to
RESAMPLED = 1000  # sets of scenes behind an interval


def judge_split(
    models: Mapping[str, DynamicsModel], scenes: Sequence[Scene], options: "Predict", *, moved: float
) -> dict[str, Any]:
    """Predict windows of all scenes with all models, the material unknown.

    Returns:
        JSON: numbers of scenes and windows; under "models" for each the curves of each metric [T], their means over
        the horizon, the 95 % interval of the mean point error over resampled scenes, all in m; and "adapted".

    Raises:
        DynamicsError: No window of that length in which anything moves.
    """
    rng, steps = np.random.default_rng(options.seed), max(1, round(options.seconds / DT))
    data = Interactions(scenes)
    starts = data.starts(steps, every=1.0, moved=moved)
    starts = starts[np.sort(rng.permutation(len(starts))[: options.windows])]
    windows = data.windows(starts, steps, options.particles, rng=rng)
    unknown = with_code(windows.particles, hide_material(windows.particles.code))
    found: dict[str, Any] = {"scenes": len(set(starts[:, 0].tolist())), "windows": len(starts), "steps": steps}
    found["models"] = {
        name: _summary(score_windows(model, windows, start=unknown), starts[:, 0]) for name, model in models.items()
    }
    learned = {name: model for name, model in models.items() if model.code_size}
    found["adapted"] = (
        {name: _adapted(model, data, options, moved) for name, model in learned.items()} if options.adapt else {}
    )
    return found


def with_code(particles: Particles, code: Any) -> Particles:
    """The same particles of another code [B, C]."""
    return Particles(particles.points, particles.velocities, particles.rest, code, particles.ground)


def _summary(errors: dict[str, np.ndarray], scenes: np.ndarray) -> dict[str, Any]:
    curves = {name: [round(float(value), 6) for value in errors[name].mean(axis=0)] for name in METRICS}
    mean = {name: round(float(errors[name].mean()), 6) for name in METRICS}
    each = errors["point"].mean(axis=1)
    groups = [each[scenes == scene] for scene in np.unique(scenes)]
    rng = np.random.default_rng(0)
    drawn = [
        np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]).mean()
        for _ in range(RESAMPLED)
    ]
    interval = [round(float(value), 6) for value in np.percentile(drawn, [2.5, 97.5])]
    return {"curves": curves, "mean": mean, "interval": interval}


def _adapted(model: DynamicsModel, data: Interactions, options: "Predict", moved: float) -> dict[str, Any]:
    """Adapt to the first half of some scenes and judge on the second: mean point error, m, by what is known."""
    rows: list[dict[str, float]] = []
    for scene in data.scenes[: options.adapt]:
        try:
            rows.append(_adapted_scene(model, scene, options, moved))
        except DynamicsError:  # nothing moves in one of the halves
            continue
    if not rows:
        return {"scenes": 0}
    means = {name: round(float(np.mean([row[name] for row in rows])), 6) for name in rows[0]}
    return {"scenes": len(rows), **means}


def _adapted_scene(model: DynamicsModel, scene: Scene, options: "Predict", moved: float) -> dict[str, float]:
    middle, rng = len(scene.tracks) // 2, np.random.default_rng(options.seed)
    seen = _half(scene, range(middle), CONTEXT, options.particles, moved / 2, rng)
    later = _half(
        scene, range(middle, len(scene.tracks)), max(1, round(options.seconds / DT)), options.particles, moved, rng
    )
    start = with_code(seen.particles, hide_material(seen.particles.code))
    code = adapt(model, start, seen.tools, seen.truth)
    told = later.particles.code
    codes = {"unknown": hide_material(told), "adapted": code.expand_as(told), "told": told}
    return {
        name: float(score_windows(model, later, start=with_code(later.particles, known))["point"].mean())
        for name, known in codes.items()
    }


def _half(scene: Scene, rows: range, steps: int, count: int, moved: float, rng: np.random.Generator) -> Windows:
    """Windows that lie within some rows of a scene; the rest shape stays that of its first frame."""
    data, span = Interactions([scene]), steps * scene.stride
    starts = data.starts(steps, every=0.5, moved=moved)
    starts = starts[(starts[:, 1] >= rows.start) & (starts[:, 1] + span < rows.stop)]
    if not len(starts):
        raise DynamicsError("data", "nothing moves in one half of the scene")
    return data.windows(starts[:12], steps, count, rng=rng)
