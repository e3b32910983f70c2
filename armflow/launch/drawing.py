"""One video picture: the camera's view with flow and points drawn in, and a strip of words below."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial.transform import RigidTransform

from armflow.perception.flow import Flow3D
from armflow.perception.frame import RGBDFrame

__all__ = ["STRIP_HEIGHT", "Caption", "View", "compose", "draw_flow", "draw_goal", "draw_inset", "draw_points"]

STRIP_HEIGHT = 116  # px
MARGIN = 14  # px
EDGE = 10  # px around an inset
INK, DIM = (236, 239, 244), (150, 160, 175)
PAPER = (24, 28, 36)
GOOD, BAD, BUSY = (126, 217, 140), (255, 121, 108), (245, 201, 100)
TRACKED = (64, 224, 255)
GOAL = (255, 140, 60)
SHIFT = 4  # binary places of a pixel coordinate given to OpenCV
TRAILS = 48  # most paths drawn; more would hide the object


@dataclass(frozen=True, slots=True)
class View:
    """A pinhole camera to draw with: K [3, 3] px and the camera's pose in the world."""

    K: np.ndarray
    T_world_camera: RigidTransform

    def project(self, points_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels [N, 2] and which of them lie in front of the camera [N] bool, for points [N, 3] m."""
        points_camera = self.T_world_camera.inv().apply(points_world)
        depth = points_camera[:, 2]
        pixels = points_camera @ self.K.T
        return pixels[:, :2] / np.where(depth > 1e-3, depth, np.inf)[:, None], depth > 1e-3


@dataclass(frozen=True, slots=True)
class Caption:
    """The words below a picture: who and what, the instruction, and what is going on."""

    title: str
    instruction: str
    sentence: str
    seconds: float
    mood: str = "busy"


def draw_flow(image: np.ndarray, view: View, flow: Flow3D) -> None:
    """Draw each point's predicted path into image [H, W, 3], from violet (now) to yellow (the goal)."""
    T, N = flow.points_world.shape[:2]
    keep = np.linspace(0, N - 1, min(N, TRAILS)).astype(int)
    points = flow.points_world[:, keep]
    pixels, front = view.project(points.reshape(-1, 3))
    pixels, front = _fixed(pixels).reshape(T, len(keep), 2), front.reshape(T, len(keep))
    colors = cv2.applyColorMap(np.linspace(40, 245, max(T - 1, 1)).astype(np.uint8)[:, None], cv2.COLORMAP_PLASMA)
    layer = image.copy()
    for step in range(T - 1):
        color = [int(value) for value in colors[step, 0, ::-1]]
        seen = front[step] & front[step + 1]
        segments = np.ascontiguousarray(pixels[step : step + 2, seen].transpose(1, 0, 2))  # [N, 2, 2]
        cv2.polylines(layer, list(segments), False, color, 1, cv2.LINE_AA, SHIFT)
    for pixel in pixels[-1, front[-1]].tolist():
        cv2.circle(layer, pixel, 24, (250, 240, 90), -1, cv2.LINE_AA, SHIFT)
    cv2.addWeighted(layer, 0.75, image, 0.25, 0.0, dst=image)


def draw_points(image: np.ndarray, view: View, points_world: np.ndarray) -> None:
    """Draw tracked points [N, 3] m as dots into image [H, W, 3]."""
    _dots(image, view, points_world, TRACKED)


def draw_goal(image: np.ndarray, view: View, points_world: np.ndarray) -> None:
    """Draw a goal cloud [P, 3] m faintly into image [H, W, 3]."""
    layer = image.copy()
    _dots(layer, view, points_world, GOAL)
    cv2.addWeighted(layer, 0.6, image, 0.4, 0.0, dst=image)


def _dots(image: np.ndarray, view: View, points_world: np.ndarray, color: tuple[int, int, int]) -> None:
    pixels, front = view.project(points_world)
    for pixel in _fixed(pixels[front]).tolist():
        cv2.circle(image, pixel, 32, color, -1, cv2.LINE_AA, SHIFT)


def draw_inset(image: np.ndarray, frame: RGBDFrame) -> None:
    """Put a small frame into the top left corner of image [H, W, 3]: its colours, and its depth below them."""
    near, far = np.nanpercentile(frame.depth, [1, 99]) if np.isfinite(frame.depth).any() else (0.0, 1.0)
    shade = np.nan_to_num((far - frame.depth) / max(far - near, 1e-6), nan=0.0).clip(0, 1)
    depth = cv2.applyColorMap((255 * shade).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    height, width = frame.depth.shape
    for row, (picture, word) in enumerate(((frame.rgb, "camera"), (depth, "depth"))):
        top, left = EDGE + row * (height + EDGE), EDGE
        image[top - 1 : top + height + 1, left - 1 : left + width + 1] = PAPER
        image[top : top + height, left : left + width] = picture
        label = Image.new("RGB", (54, 18), PAPER)
        ImageDraw.Draw(label).text((6, 2), word, INK, _font(11))
        image[top : top + 18, left : left + 54] = np.asarray(label)


def _fixed(pixels: np.ndarray) -> np.ndarray:
    """Pixels [N, 2] in sixteenths, as OpenCV takes them with `SHIFT`, kept within 16 bits."""
    return np.clip(np.nan_to_num(pixels * 2**SHIFT), -32000, 32000).astype(np.int32)


def compose(picture: np.ndarray, caption: Caption) -> np.ndarray:
    """Return picture [H, W, 3] uint8 with the caption strip below it, [H + STRIP_HEIGHT, W, 3]."""
    width = picture.shape[1]
    strip = Image.new("RGB", (width, STRIP_HEIGHT), PAPER)
    pen = ImageDraw.Draw(strip)
    color = {"good": GOOD, "bad": BAD}.get(caption.mood, BUSY)
    pen.rectangle((0, 0, width, 2), fill=color)
    clock = f"{caption.seconds:5.1f} s"
    pen.text((MARGIN, 11), _fit(caption.title, 13, width - 120), DIM, _font(13))
    pen.text((width - MARGIN - _font(13).getlength(clock), 11), clock, DIM, _font(13))
    pen.text((MARGIN, 33), _fit(f"“{caption.instruction}”", 18, width - 2 * MARGIN), INK, _font(18))
    for row, line in enumerate(_wrap(caption.sentence, 15, width - 2 * MARGIN)):
        pen.text((MARGIN, 63 + 22 * row), line, color, _font(15))
    return np.concatenate([picture, np.asarray(strip)])


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # type: ignore[return-value]


@cache
def _wrap(text: str, size: int, width: float) -> tuple[str, ...]:
    """Break a sentence between words into at most two lines of `width` px."""
    words = text.split()
    count = next((n for n in range(len(words), 0, -1) if _font(size).getlength(" ".join(words[:n])) <= width), 0)
    first, rest = " ".join(words[:count]), " ".join(words[count:])
    return tuple(_fit(line, size, width) for line in (first, rest) if line)


@cache
def _fit(text: str, size: int, width: float) -> str:
    """Shorten a sentence until it fits into `width` px."""
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
