"""Scores of pictures and masks: values known by hand, and the windows written out."""

import numpy as np
import pytest

from armflow.perception.splat_scores import mask_iou, psnr, ssim
from armflow.robot.errors import ShapeError


def pictures(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.uniform(size=(24, 30, 3))
    return first, np.clip(first + rng.normal(0, 0.1, first.shape), 0, 1)


def test_psnr_of_an_even_error_is_minus_twenty_log_of_it():
    assert psnr(np.zeros((4, 5, 3)), np.full((4, 5, 3), 0.1)) == pytest.approx(20.0)
    assert psnr(np.ones((4, 5, 3)), np.ones((4, 5, 3))) == float("inf")


def test_ssim_is_one_of_equals_and_falls_with_noise():
    first, second = pictures()
    assert ssim(first, first) == pytest.approx(1.0)
    assert ssim(first, second) == pytest.approx(ssim(second, first))
    noisier = np.clip(second + np.random.default_rng(1).normal(0, 0.3, second.shape), 0, 1)
    assert ssim(first, noisier) < ssim(first, second) < 1.0


def test_ssim_at_one_pixel_is_the_formula_over_its_window():
    first, second = pictures()
    at = np.zeros((24, 30), bool)
    at[12, 15] = True
    offsets = np.arange(-5, 6)
    w = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))[..., None]
    w = w / w.sum()
    x, y = first[7:18, 10:21], second[7:18, 10:21]
    mx, my = (w * x).sum((0, 1)), (w * y).sum((0, 1))
    vx, vy, c = (w * (x - mx) ** 2).sum((0, 1)), (w * (y - my) ** 2).sum((0, 1)), (w * (x - mx) * (y - my)).sum((0, 1))
    wanted = (2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert ssim(first, second, at) == pytest.approx(wanted.mean(), abs=1e-9)


def test_iou_counts_pixels():
    first, second = np.zeros((2, 4, 4), bool)
    first[:2], second[1:3] = True, True
    assert mask_iou(first, second) == pytest.approx(4 / 12)
    assert mask_iou(first, second, first) == pytest.approx(4 / 8)
    assert mask_iou(~first & first, ~second & second) == 1.0


@pytest.mark.parametrize("score", [psnr, ssim])
def test_only_the_pixels_that_count_count(score):
    first, second = pictures()
    where = np.zeros((24, 30), bool)
    where[:8] = True
    changed = second.copy()
    changed[16:] = 0.0  # farther from those that count than a window reaches
    assert score(first, second, where) == pytest.approx(score(first, changed, where))


def test_pictures_of_other_sizes_and_no_pixel_are_refused():
    first, second = pictures()
    with pytest.raises(ShapeError, match="second"):
        psnr(first, second[:5])
    with pytest.raises(ShapeError, match="at least one pixel"):
        ssim(first, second, np.zeros((24, 30), bool))
    with pytest.raises(ShapeError, match="where"):
        mask_iou(first[..., 0] > 0, second[..., 0] > 0, np.ones((3, 3), bool))
