"""`GaussianObject`: one object as Gaussians, made from RGB-D frames and moved with particles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from armflow.perception.cloud import back_project, project
from armflow.perception.frame import RGBDFrame
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ShapeError, StackError, ValueRangeError

__all__ = ["GaussianError", "GaussianObject", "gaussians_from_frames"]

_OPACITY = 0.9  # of a fresh Gaussian: it hides what is behind, and refinement can still move it either way
_WIDTH = 0.6  # standard deviation over the distance to the neighbours; a square grid of these is closed
_BEFORE = 0.004  # m by which a point must lie before a surface to be seen through
_WIDEST = 3.0  # a lone point's neighbours count as at most so many times as far as the median point's


class GaussianError(StackError):
    """There is nothing to make or to move Gaussians with."""


@dataclass(frozen=True, slots=True)
class GaussianObject:
    """An object's surface as N Gaussians of one colour each.

    Attributes:
        means_world: [N, 3] middles, m.
        quats: [N, 4] wxyz, unit norm, from a Gaussian's own axes to the world's.
        scales: [N, 3] standard deviations along its own axes, m, above 0.
        opacities: [N] in 0 … 1, at the middle.
        colors: [N, 3] red, green, blue, 0 … 1.
    """

    means_world: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray

    def __post_init__(self) -> None:
        """Check shapes and ranges.

        Raises:
            ShapeError: No Gaussian, shapes that disagree, or an entry that is not finite.
            ValueRangeError: A quaternion that is not a unit, a scale not above 0, an opacity or colour out of 0 … 1.
        """
        sizes: dict[str, int] = {}
        for name, shape in (
            ("means_world", "N 3"), ("quats", "N 4"), ("scales", "N 3"), ("opacities", "N"), ("colors", "N 3"),
        ):  # fmt: skip
            array = getattr(self, name)
            sizes = check_shape(name, array, shape, sizes)
            check_finite(name, array)
        if sizes["N"] == 0:
            raise ShapeError("means_world", "an array [N, 3] with N >= 1", self.means_world.shape)
        norms = np.linalg.norm(self.quats, axis=1)
        if np.abs(norms - 1.0).max() > 1e-3:
            raise ValueRangeError("norm of quats", float(norms[np.abs(norms - 1.0).argmax()]), "1")
        if self.scales.min() <= 0.0:
            raise ValueRangeError("scales", float(self.scales.min()), "above 0 m")
        for name, array in (("opacities", self.opacities), ("colors", self.colors)):
            low, high = float(array.min()), float(array.max())
            if low < 0.0 or high > 1.0:
                raise ValueRangeError(name, low if low < 0.0 else high, "in 0 … 1")

    def __len__(self) -> int:
        """How many Gaussians."""
        return len(self.means_world)


def gaussians_from_frames(
    frames: Sequence[RGBDFrame], masks: Sequence[np.ndarray], *, spacing: float = 0.0
) -> GaussianObject:
    """Make one round Gaussian of each pixel with a depth, or of each small cube of them.

    A Gaussian is 0.6 times as wide as its three nearest neighbours are far on average. Points that another view sees
    through, as the mixed readings at an object's edge are, are left out.

    Args:
        frames: One or several views of one moment.
        masks: [H, W] bool each, where the object is in its frame.
        spacing: Join the points of each cube with this side, m; 0 keeps all. Several views see a place several times.

    Raises:
        GaussianError: No frames, or fewer than two distinct points with a depth reading in the masks.
        ShapeError: Not one mask a frame, or a mask that is not [H, W] bool.
        ValueRangeError: A spacing below 0 or not finite.
    """
    if not len(frames):
        raise GaussianError("no frames to make Gaussians from; give at least one RGB-D frame and its mask")
    if len(masks) != len(frames):
        raise ShapeError("masks", f"{len(frames)} masks, one a frame", len(masks))
    if not (np.isfinite(spacing) and spacing >= 0.0):
        raise ValueRangeError("spacing", spacing, "at least 0 m")
    parts = [
        _masked_points(frame, mask, f"masks[{i}]") for i, (frame, mask) in enumerate(zip(frames, masks, strict=True))
    ]
    points, colors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    solid = ~np.any([_seen_through(points, *view) for view in zip(frames, masks, strict=True)], axis=0)
    points, colors = points[solid], colors[solid]
    if spacing > 0.0 and len(points):
        points, colors = _join(points, colors, spacing)
    distances = _neighbour_distances(points, sum(int(mask.sum()) for mask in masks))
    count = len(points)
    return GaussianObject(
        means_world=points,
        quats=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
        scales=np.repeat(_WIDTH * distances[:, None], 3, axis=1),
        opacities=np.full(count, _OPACITY),
        colors=colors,
    )


def _masked_points(frame: RGBDFrame, mask: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """World points [N, 3] and colours [N, 3] of the masked pixels that have a depth."""
    check_shape(name, mask, "H W", {"H": frame.depth.shape[0], "W": frame.depth.shape[1]})
    if mask.dtype != np.bool_:
        raise ShapeError(name, "bool", mask.dtype)
    points = back_project(frame)
    kept = mask & np.isfinite(points).all(axis=-1)
    return points[kept], frame.rgb[kept] / 255.0


def _seen_through(points: np.ndarray, frame: RGBDFrame, mask: np.ndarray) -> np.ndarray:
    """Which points [N] bool lie before what a view sees beside the object."""
    pixels, depths = project(points, frame.K, frame.T_world_camera.as_matrix())
    columns, rows = np.rint(np.clip(pixels, -1.0, 1e6)).astype(int).T
    height, width = mask.shape
    inside = (depths > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = np.where(inside, columns, 0), np.where(inside, rows, 0)
    beyond = np.nan_to_num(frame.depth[rows, columns], nan=0.0) > depths + _BEFORE
    return inside & ~mask[rows, columns] & beyond


def _join(points: np.ndarray, colors: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Means of points and colours over cubes with this side, m."""
    cells = np.floor((points - points.min(axis=0)) / side)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), 6))
    np.add.at(sums, cell.reshape(-1), np.hstack([points, colors]))
    means = sums / counts[:, None]
    return means[:, :3], means[:, 3:].clip(0.0, 1.0)


def _neighbour_distances(points: np.ndarray, pixels: int) -> np.ndarray:
    """Mean distance of each point to its three nearest neighbours, those in the same place left out: [N] m."""
    distinct = np.unique(points, axis=0)
    if len(distinct) < 2:
        raise GaussianError(
            f"{len(distinct)} distinct points with a depth in {pixels} masked pixels; at least 2 are needed"
        )
    neighbours = min(4, len(distinct))
    near = cKDTree(distinct).query(distinct, k=neighbours)[0][:, 1:].mean(axis=1)
    near = np.minimum(near, _WIDEST * np.median(near))
    return near[cKDTree(distinct).query(points)[1]]
