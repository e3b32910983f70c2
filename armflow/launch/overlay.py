"""Pictures of what perception found: masks tinted, names, axes of the object frames, and what moves outlined."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from armflow.perception.detection import Detection
from armflow.perception.frame import RGBDFrame

__all__ = ["draw_objects", "outline", "png_bytes", "zoom_for"]

WIDTH = 960  # px; smaller pictures are enlarged to about this
TINTS = (
    (66, 165, 245),
    (255, 167, 38),
    (102, 187, 106),
    (236, 64, 122),
    (171, 71, 188),
    (38, 198, 218),
    (255, 238, 88),
)
AXES = ((255, 70, 70), (90, 230, 90), (90, 140, 255))  # x, y, z
SURROUNDINGS = (96, 120, 190)
MOVING = (255, 40, 40)
PAPER, INK = (24, 28, 36), (245, 247, 250)


def zoom_for(frame: RGBDFrame) -> int:
    """How many times a frame is enlarged to be seen well."""
    return max(1, round(WIDTH / frame.rgb.shape[1]))


def draw_objects(frame: RGBDFrame, detections: Sequence[Detection], faint: Sequence[Detection] = ()) -> np.ndarray:
    """Draw each object's mask, axes and name.

    Args:
        frame: The picture, in the world that the detections are in.
        detections: What was found.
        faint: What is tinted blue-gray and not named.

    Returns:
        [H, W, 3] uint8, enlarged.
    """
    zoom = zoom_for(frame)
    image = _large(frame.rgb, zoom, cv2.INTER_CUBIC)
    for detection in faint:
        _tint(image, detection.mask, zoom, SURROUNDINGS, 0.35)
    for number, detection in enumerate(detections):
        color = TINTS[number % len(TINTS)]
        _tint(image, detection.mask, zoom, color, 0.4)
        outline(image, detection.mask, color)
    for detection in detections:
        if detection.kind != "unknown":
            _axes(image, frame, detection, zoom)
    return _names(image, detections, zoom)


def outline(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int] = MOVING) -> None:
    """Draw the outline of a mask [h, w] into an enlarged image [H, W, 3]."""
    zoom = image.shape[1] // mask.shape[1]
    large = _large(mask.astype(np.uint8), zoom, cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, color, max(1, zoom // 2), cv2.LINE_AA)


def png_bytes(image: np.ndarray) -> bytes:
    """A picture [H, W, 3] RGB uint8 as the bytes of a PNG file."""
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def _large(picture: np.ndarray, zoom: int, how: int) -> np.ndarray:
    return cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=how)


def _tint(image: np.ndarray, mask: np.ndarray, zoom: int, color: tuple[int, int, int], share: float) -> None:
    """Mix a colour into the pixels of a mask."""
    where = _large(mask.astype(np.uint8), zoom, cv2.INTER_NEAREST) > 0
    image[where] = ((1 - share) * image[where] + share * np.array(color)).astype(np.uint8)


def _axes(image: np.ndarray, frame: RGBDFrame, detection: Detection, zoom: int) -> None:
    """Draw the three axes of the object's frame."""
    length = float(np.clip(0.6 * detection.size.max(), 0.03, 0.06))
    T_camera_object = frame.T_world_camera.inv() * detection.T_world_object
    tips = T_camera_object.apply(np.vstack([np.zeros(3), length * np.eye(3)]))
    if (tips[:, 2] < 0.01).any():
        return
    pixels = (tips @ frame.K.T)[:, :2] / tips[:, 2:]
    ends = np.round(np.clip(zoom * (pixels + 0.5), -10000, 10000)).astype(int).tolist()
    for end, color in zip(ends[1:], AXES, strict=True):
        cv2.line(image, ends[0], end, color, max(2, zoom // 2), cv2.LINE_AA)


def _names(image: np.ndarray, detections: Sequence[Detection], zoom: int) -> np.ndarray:
    """Write each name above its object, lower where another name is in the way."""
    canvas = Image.fromarray(image)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    taken: list[tuple[float, float, float, float]] = []
    for detection in detections:
        rows, columns = np.nonzero(detection.mask)
        left, top, right, bottom = pen.textbbox((0, 0), detection.state.name, font=font)
        width, height = right - left + 8, bottom - top + 8
        x = float(np.clip(zoom * columns.mean() - width / 2, 0, max(0, canvas.width - width)))
        y = float(np.clip(zoom * rows.min() - height - 4, 0, canvas.height - height))
        for _ in range(20):
            if not any(x < c and a < x + width and y < d and b < y + height for a, b, c, d in taken):
                break
            y += height / 2
        taken.append((x, y, x + width, y + height))
        pen.rectangle(taken[-1], fill=PAPER)
        pen.text((x + 4 - left, y + 4 - top), detection.state.name, INK, font)
    return np.asarray(canvas).copy()
