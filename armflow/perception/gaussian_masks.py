"""Where an object is in pictures, told by its colours once it has been found in some of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from armflow.perception.gaussians import GaussianError
from armflow.robot.arrays import check_shape

__all__ = ["ObjectColors", "learn_colors"]

_CHROMA, _LIGHT = 48, 16  # cells of each chromaticity, and of the brightness
_SPREAD = 0.8  # cells over which a pixel counts, so that few pixels tell of many colours
_SHADES = (1.0, 0.8, 0.62, 0.48)  # what a shadow may leave of the brightness
_AHEAD = 3.0  # times as likely on the object as elsewhere, from which on a colour is the object's
_RARE = 2e-4  # share of the object below which a colour says nothing
_LEAST = 8  # px, of a patch


@dataclass(frozen=True, slots=True)
class ObjectColors:
    """Which colours are the object's.

    Attributes:
        own: [C, C, B] bool, by cells of chromaticity (red and green over the sum) and brightness.
    """

    own: np.ndarray

    def mask(self, rgb: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
        """Pixels [H, W] bool of the object in a picture [H, W, 3] uint8; `where` [H, W] bool, where it can be."""
        check_shape("rgb", rgb, "H W 3")
        found = self.own[_cells(rgb)]
        found = found if where is None else found & where
        _, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
        large = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= _LEAST)
        return found & np.isin(labels, large)


def learn_colors(
    pictures: Sequence[np.ndarray], masks: Sequence[np.ndarray], others: Sequence[np.ndarray]
) -> ObjectColors:
    """Learn from pictures in which the object is marked; also how it looks in shadow.

    Args:
        pictures: [H, W, 3] uint8 each.
        masks: [H, W] bool each, pixels of the object.
        others: [H, W] bool each, pixels that are surely not the object's.

    Raises:
        GaussianError: No pixel of the object in any picture.
    """
    own, rest = np.zeros((2, _CHROMA, _CHROMA, _LIGHT))
    for picture, mask, other in zip(pictures, masks, others, strict=True):
        for shade in _SHADES:
            cells = _cells(np.rint(shade * picture).astype(np.uint8))
            for counts, chosen in ((own, mask), (rest, other)):
                np.add.at(counts, tuple(axis[chosen] for axis in cells), 1.0)
    if not own.any():
        raise GaussianError("the object is in none of the pictures, so that its colours cannot be learned")
    own, rest = (gaussian_filter(n, _SPREAD, mode="nearest") / max(n.sum(), 1.0) for n in (own, rest))
    return ObjectColors((own > _AHEAD * rest) & (own > _RARE))


def _cells(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cell [H, W] of each pixel along the three axes of the table."""
    values = rgb.astype(np.float32) + 1.0
    total = values.sum(axis=-1)
    red, green = ((values[..., k] / total * _CHROMA).astype(int) for k in (0, 1))
    light = (np.log2(total / 3.0) / 8.0 * _LIGHT).astype(int)
    return red.clip(0, _CHROMA - 1), green.clip(0, _CHROMA - 1), light.clip(0, _LIGHT - 1)
