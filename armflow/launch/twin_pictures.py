"""Pictures of a twin: in its place beside what was recorded, alone, and with a hand drawn as lines."""

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from armflow.launch.drawing import View as Pinhole
from armflow.launch.overlay import png_bytes
from armflow.launch.twin_build import crop_about
from armflow.launch.twin_find import Found
from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussians import GaussianObject
from armflow.perception.splat import View, choose_rasterizer, render

__all__ = ["beside", "draw_hand", "erase", "grow", "paint"]

IN_FRONT = 0.015  # m by which something recorded must be nearer to hide the twin
ERASED = 3  # px about the recorded object that are painted out with it, its contact shadow among them
BESIDE = 10  # px about the recorded object whose robot pixels are no model for what is behind it
PANEL = 420  # px, width of each picture
GAP = 6  # px between them
STEM, FINGER, SPAN = 0.14, 0.05, 0.042  # m, of the hand's lines: its height, its fingers, half its width when open
LINES = (255, 60, 160)


def beside(found: Found, gaussians: GaussianObject) -> bytes:
    """A PNG with one row a camera: recorded, the twin in the object's place, the twin alone."""
    rows = []
    for name, frame in found.frames.items():
        mask = found.masks[name]
        if mask.any():
            drawn, _ = paint(erase(frame.rgb, mask, found.bodies[name]), frame.depth, mask, gaussians, View.of(frame))
            alone = render(gaussians, View.of(frame), choose_rasterizer()).rgb
            part = crop_about(mask, 24)
            rows.append(_row([frame.rgb[part], _bytes(drawn)[part], _bytes(alone)[part]]))
    return png_bytes(np.concatenate(rows))


def erase(rgb: np.ndarray, mask: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The picture [H, W, 3], 0 … 1, with an object painted out from what is around it; a robot beside it stays."""
    if not mask.any():
        return rgb / 255.0
    body = body & ~mask
    gone = grow(mask, ERASED) & ~body
    unknown = gone | (body & grow(mask, BESIDE))
    filled = cv2.inpaint(rgb, unknown.astype(np.uint8), 3.0, cv2.INPAINT_TELEA)
    return np.where(gone[..., None], filled, rgb) / 255.0


def paint(
    plate: np.ndarray, depth: np.ndarray, mask: np.ndarray, gaussians: GaussianObject, view: View
) -> tuple[np.ndarray, np.ndarray]:
    """Put Gaussians into a picture, behind what was recorded nearer to the camera.

    Args:
        plate: [H, W, 3] in 0 … 1, without the object.
        depth: [H, W] recorded, m.
        mask: [H, W] bool, the recorded object, whose own depth hides nothing.
        gaussians: What to draw.
        view: From where.

    Returns:
        The picture [H, W, 3] and the visible alpha [H, W].
    """
    picture = render(gaussians, view, choose_rasterizer())
    nearer = np.nan_to_num(depth, nan=np.inf) < np.nan_to_num(picture.depth, nan=np.inf) - IN_FRONT
    visible = ~(nearer & ~mask)
    alpha = picture.alpha * visible
    return plate * (1.0 - alpha[..., None]) + picture.rgb * visible[..., None], alpha


def draw_hand(image: np.ndarray, frame: RGBDFrame, state: np.ndarray) -> None:
    """Draw a hand's state [8] as lines into image [H, W, 3], seen by the camera of `frame`."""
    half = SPAN * float(np.clip(state[7], 0.0, 1.0)) + 0.004
    fork = [[0, half, 0], [0, half, -FINGER], [0, -half, -FINGER], [0, -half, 0]]
    stem = [[0, 0, -FINGER], [0, 0, -STEM]]
    turn = Rotation.from_quat(state[3:7], scalar_first=True)
    camera = Pinhole(frame.K, frame.T_world_camera)
    for line in (fork, stem):
        pixels, front = camera.project(turn.apply(np.array(line, float)) + state[:3])
        if front.all():
            cv2.polylines(image, [np.rint(16 * pixels).astype(np.int32)], False, LINES, 2, cv2.LINE_AA, 4)


def grow(mask: np.ndarray, border: int) -> np.ndarray:
    """A mask [H, W] bool and `border` px around it."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * border + 1,) * 2, np.uint8)) > 0


def _row(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures of one size side by side on white, enlarged alike."""
    height = round(PANEL * pictures[0].shape[0] / pictures[0].shape[1])
    large = [cv2.resize(picture, (PANEL, height), interpolation=cv2.INTER_CUBIC) for picture in pictures]
    padded = [cv2.copyMakeBorder(p, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for p in large]
    return np.concatenate(padded, axis=1)


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(255.0 * np.clip(picture, 0.0, 1.0)).astype(np.uint8)
