"""Recordings of cameras that do not know where they stand, with depth of unknown quality."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from armflow.perception.cloud import back_project
from armflow.perception.detection import Detection, TablePlane
from armflow.perception.frame import RGBDFrame
from armflow.perception.regions import SegmentConfig
from armflow.perception.segment import SceneObjects, perceive
from armflow.perception.table import PlaneError, find_table, level_frame

__all__ = ["UnposedScene", "perceive_unposed"]

_UP = -np.sqrt(0.5) * np.array([0.0, 1.0, 1.0])  # in the camera: half way between level and straight down
_TILT = 0.95  # rad; from a surface level with the camera's axis to one square to it
_ROUGHNESS = (0.004, 0.008, 0.016)  # m at 1 m
_FINE_SHARE = 0.15  # least share of the readings on a surface that is trusted to be as fine as a depth camera's
_GROWTH = 1.5  # a band twice as thick holds less than this times the readings where the surface is inside it


@dataclass(frozen=True, slots=True)
class UnposedScene:
    """What such a frame shows.

    Attributes:
        frame: The frame in a world whose z = 0 is the surface, x pointing away from the camera.
        objects: What stands on the surface.
        surroundings: What is too large or too much cut off for an object: walls, furniture, trays.
        roughness: Half thickness of the band in which the surface's readings lie, m at 1 m.
        shapes_told: Whether depth is fine enough to tell kinds of object; else all are of unknown kind.
    """

    frame: RGBDFrame
    objects: SceneObjects
    surroundings: tuple[Detection, ...]
    roughness: float
    shapes_told: bool


def perceive_unposed(
    frame: RGBDFrame, *, rng: np.random.Generator, arm: np.ndarray | None = None, largest: float = 0.45
) -> UnposedScene:
    """Find the surface in any camera that looks down on it, and the objects there.

    The surface is looked for at the roughness of a depth camera, then at those of worse sources such as depth
    estimated from pictures. Where it is rough, thresholds grow with it and kinds are not told.

    Args:
        frame: The picture.
        rng: Source of the fits' samples.
        arm: [H, W] bool pixels of the arm, as far as known.
        largest: Horizontal extent beyond which a piece belongs to the surroundings, m.

    Raises:
        DepthError: Too few depth readings.
        PlaneError: No surface even at the largest roughness.
    """
    plane, roughness = _surface(frame, rng)
    level = level_frame(frame, plane)
    told = roughness == _ROUGHNESS[0]
    config = SegmentConfig(min_height=1.25 * roughness, min_pixels=30 if told else 250)
    body = _whole(arm) if arm is not None else np.zeros(frame.depth.shape, bool)
    flat = TablePlane(np.array([0.0, 0.0, 1.0]), 0.0)
    scene = perceive(level, rng=rng, robot=body, table=flat, config=config)
    beside = cv2.dilate(body.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    pieces = [d if told else _plain(d) for d in scene.detections if (d.mask & beside).sum() < 0.12 * d.mask.sum()]
    kept = tuple(d for d in pieces if _is_object(d, largest))
    rest = tuple(d for d in pieces if not _is_object(d, largest))
    return UnposedScene(level, replace(scene, detections=kept), rest, roughness, told)


def _surface(frame: RGBDFrame, rng: np.random.Generator) -> tuple[TablePlane, float]:
    """The surface and the least roughness at which a thicker band would hold little more, or the largest."""
    up = frame.T_world_camera.rotation.apply(_UP)
    points = back_project(frame).reshape(-1, 3)
    depth = frame.depth.reshape(-1)
    for roughness in _ROUGHNESS[:-1]:
        try:
            plane = find_table(frame, rng=rng, up=up, tolerance=roughness, max_tilt=_TILT)
        except PlaneError:
            continue
        off = np.abs(plane.height(points)) / np.clip(depth, 0.5, 2.0) ** 2
        fine = roughness == _ROUGHNESS[0]
        if fine and (off < roughness).sum() < _FINE_SHARE * np.isfinite(off).sum():
            continue
        if (off < 2 * roughness).sum() < _GROWTH * (off < roughness).sum():
            return plane, roughness
    return find_table(frame, rng=rng, up=up, tolerance=_ROUGHNESS[-1], max_tilt=_TILT), _ROUGHNESS[-1]


def _whole(arm: np.ndarray) -> np.ndarray:
    """The arm's mask [H, W] with gaps up to a tenth of the picture closed."""
    side = max(3, arm.shape[0] // 10) | 1
    return cv2.morphologyEx(arm.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)) > 0


def _is_object(detection: Detection, largest: float) -> bool:
    """False for what is too large, or cut off by much of the picture's border."""
    points = detection.state.points_world
    extent = float(np.ptp(np.quantile(points, [0.02, 0.98], axis=0), axis=0).max())
    mask = detection.mask
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).sum()
    return extent < largest and border < 0.5 * np.sqrt(mask.sum())


def _plain(detection: Detection) -> Detection:
    """The same object without claims about its kind."""
    state = replace(detection.state, name=f"{detection.color} object")
    return replace(detection, kind="unknown", state=state, confidence=min(detection.confidence, 0.3))
