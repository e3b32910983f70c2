"""Masks by colour: an object learned in one picture is found in others."""

import numpy as np
import pytest

from armflow.perception.gaussian_masks import learn_colors
from armflow.perception.gaussians import GaussianError


def scene(left: int, light: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A red block on a gray-brown table with a black one beside it."""
    rng = np.random.default_rng(seed)
    picture, mask = np.full((40, 60, 3), (170, 150, 130), float), np.zeros((40, 60), bool)
    mask[12:22, left : left + 14] = True
    picture[mask] = (190, 50, 40)
    picture[28:36, 20:40] = (30, 30, 32)
    noisy = light * picture + rng.normal(0, 4, picture.shape)
    return np.rint(noisy.clip(0, 255)).astype(np.uint8), mask


@pytest.mark.parametrize("light", [1.0, 0.75, 0.5])
def test_the_object_is_found_elsewhere_and_in_shadow(light: float):
    picture, mask = scene(5)
    colors = learn_colors([picture], [mask], [~mask])
    later, wanted = scene(32, light, seed=1)
    found = colors.mask(later)
    assert (found & wanted).sum() > 0.95 * (found | wanted).sum()


def test_it_is_found_only_where_it_can_be():
    picture, mask = scene(5)
    colors = learn_colors([picture], [mask], [~mask])
    assert not colors.mask(picture, np.zeros_like(mask)).any()


def test_an_object_in_no_picture_is_refused():
    picture, mask = scene(5)
    with pytest.raises(GaussianError, match="in none of the pictures"):
        learn_colors([picture], [np.zeros_like(mask)], [~mask])
