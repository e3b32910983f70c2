"""How long drawing Gaussians takes on one thread, forwards and backwards."""

import time

import numpy as np
import torch
from scipy.spatial.transform import RigidTransform

from armflow.perception.splat import Splats, View, splat

__all__ = ["splat_rows", "splat_scene"]

# Gaussians and side of the picture: the bar, and what tiled torch takes, ms.
_BARS = {(5_000, 128): (20.0, 218), (50_000, 256): (160.0, 2210)}


def splat_rows(repeats: int = 15) -> list[dict]:
    """Measure one picture and its gradients; each value is the thread time of the best of `repeats`, ms."""
    rows = []
    for (count, side), (bar, tiled) in _BARS.items():
        splats, view = splat_scene(count, side)
        value = _best(splats, view, repeats)
        name = f"splat {count} Gaussians {side}x{side}, forward and backward"
        row = {"name": name, "value": value, "unit": "ms", "bar": bar, "better": "lower"}
        rows.append({**row, "reference": f"tiled torch {tiled} ms", "ok": value <= bar})
    return rows


def splat_scene(count: int, side: int) -> tuple[Splats, View]:
    """A ball of Gaussians, as wide as they are apart, that fills a square picture from edge to edge."""
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(count, 3))
    radius, distance = 0.3, 1.0
    apart = radius * np.sqrt(4.0 * np.pi / count)
    arrays = (
        radius * normals / np.linalg.norm(normals, axis=1, keepdims=True) + [0.0, 0.0, distance],
        rng.normal(size=(count, 4)),
        apart * rng.uniform(0.25, 0.75, (count, 3)),
        rng.uniform(0.1, 0.95, count),
        rng.uniform(size=(count, 3)),
    )
    splats = Splats(*(torch.tensor(array, dtype=torch.float32, requires_grad=True) for array in arrays))
    focal = 0.5 * side * np.sqrt(distance**2 - radius**2) / radius
    middle = (side - 1) / 2
    K = np.array([[focal, 0.0, middle], [0.0, focal, middle], [0.0, 0.0, 1.0]])
    return splats, View(K, RigidTransform.identity(), side, side)


def _best(splats: Splats, view: View, repeats: int) -> float:
    upstream = torch.rand(view.height, view.width, 5, generator=torch.Generator().manual_seed(0))
    splat(splats, view).backward(upstream)  # compiles
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        splat(splats, view).backward(upstream)
        times.append(time.thread_time() - start)
    return 1e3 * min(times)
