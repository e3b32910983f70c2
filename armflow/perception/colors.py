"""The colour word of a set of pixels."""

import cv2
import numpy as np

__all__ = ["COLORS", "color_word"]

COLORS = ("red", "green", "blue", "yellow", "orange", "purple", "cyan", "white", "black", "brown", "pink", "gray")
_HUES = (  # upper bound in degrees
    (14, "red"), (41, "orange"), (68, "yellow"), (162, "green"), (203, "cyan"),
    (258, "blue"), (300, "purple"), (338, "pink"),
)  # fmt: skip


def color_word(rgb: np.ndarray) -> str:
    """Name the colour of pixels [N, 3] uint8, judged on their brightest third, which lies in the light."""
    brightness = rgb.sum(1)
    lit = rgb[brightness >= np.quantile(brightness, 0.67)]
    typical = np.median(lit, axis=0).astype(np.float32)[None, None] / 255
    hue, saturation, value = cv2.cvtColor(typical, cv2.COLOR_RGB2HSV)[0, 0]
    if value < 0.2 or (value < 0.33 and saturation < 0.35):
        return "black"
    if saturation < 0.2:
        return "white" if value > 0.78 else "gray"
    word = next((w for bound, w in _HUES if hue < bound), "red")
    if word in ("red", "orange", "yellow") and 8 < hue < 48 and value < 0.66 and saturation < 0.9:
        return "brown"
    if word == "red" and saturation < 0.55 and value > 0.75:
        return "pink"
    return word
