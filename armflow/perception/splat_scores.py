"""How alike two pictures, or two masks, are: PSNR, SSIM and intersection over union, over the pixels that count."""

import cv2
import numpy as np

from armflow.robot.arrays import check_shape
from armflow.robot.errors import ShapeError

__all__ = ["mask_iou", "psnr", "ssim"]

_SIGMA, _SIDE = 1.5, 11  # px, of the window in which pictures are compared
_C1, _C2 = 0.01**2, 0.03**2  # Wang et al.: K1 = 0.01, K2 = 0.03, values in 0 … 1


def psnr(first: np.ndarray, second: np.ndarray, where: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio, dB; infinite where the pictures are equal.

    Args:
        first: [H, W, C] in 0 … 1.
        second: As `first`.
        where: [H, W] bool, the pixels that count; all if left out.

    Raises:
        ShapeError: Pictures of different shapes, or no pixel that counts.
    """
    first, second, where = _checked(first, second, where)
    error = float(np.mean((first - second)[where] ** 2))
    return float("inf") if error == 0.0 else -10.0 * float(np.log10(error))


def ssim(first: np.ndarray, second: np.ndarray, where: np.ndarray | None = None) -> float:
    """Structural similarity, at most 1: the mean over channels and the pixels that count.

    Args:
        first: [H, W, C] in 0 … 1.
        second: As `first`.
        where: [H, W] bool, the middles of the windows that count; all if left out.

    Raises:
        ShapeError: Pictures of different shapes, or no pixel that counts.

    Reference:
        Wang et al. (2004), doi:10.1109/TIP.2003.819861, eq. 13, in a Gaussian window of 1.5 px.
    """
    x, y, where = _checked(first, second, where)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float((alike / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)))[where].mean())


def mask_iou(first: np.ndarray, second: np.ndarray, where: np.ndarray | None = None) -> float:
    """Intersection over union of two masks [H, W] bool; 1 where both are empty.

    Raises:
        ShapeError: Masks of different shapes, or no pixel that counts.
    """
    first, second, where = _checked(first, second, where)
    both, either = (first > 0) & (second > 0) & where, ((first > 0) | (second > 0)) & where
    return float(both.sum() / either.sum()) if either.any() else 1.0


def _checked(
    first: np.ndarray, second: np.ndarray, where: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both as float64, and the mask of what counts."""
    if first.shape != second.shape:
        raise ShapeError("second", f"of the shape {first.shape} of the first", second.shape)
    where = np.ones(first.shape[:2], bool) if where is None else where
    check_shape("where", where, "H W", {"H": first.shape[0], "W": first.shape[1]})
    if not where.any():
        raise ShapeError("where", "a mask with at least one pixel", "none")
    return np.asarray(first, float), np.asarray(second, float), where.astype(bool)


def _blur(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (_SIDE, _SIDE), _SIGMA, borderType=cv2.BORDER_REFLECT)
