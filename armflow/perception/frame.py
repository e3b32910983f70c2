"""`RGBDFrame`, one registered colour and depth image, and the `Camera` protocol that makes them."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.robot.arrays import check_shape
from armflow.robot.errors import ShapeError, ValueRangeError

__all__ = ["Camera", "RGBDFrame"]


@dataclass(frozen=True, slots=True)
class RGBDFrame:
    """Colour and depth of one moment, pixel for pixel on one another.

    Attributes:
        rgb: [H, W, 3] uint8.
        depth: [H, W] distance along the optical axis, m; NaN where there is no reading.
        K: [3, 3] pinhole intrinsics, px.
        T_world_camera: Camera to world; the camera is x right, y down, z forward.
        stamp: Capture time, s.
    """

    rgb: np.ndarray
    depth: np.ndarray
    K: np.ndarray
    T_world_camera: RigidTransform
    stamp: float

    def __post_init__(self) -> None:
        """Check shapes and types.

        Raises:
            ShapeError: rgb and depth differ in size, rgb is not uint8 or K is not [3, 3].
            ValueRangeError: A focal length is not positive.
        """
        sizes = check_shape("rgb", self.rgb, "H W 3")
        check_shape("depth", self.depth, "H W", sizes)
        check_shape("K", self.K, "3 3")
        if self.rgb.dtype != np.uint8:
            raise ShapeError("rgb", "uint8", self.rgb.dtype)
        if not (self.K[0, 0] > 0 and self.K[1, 1] > 0):
            raise ValueRangeError("K", (self.K[0, 0], self.K[1, 1]), "a matrix with positive focal lengths, px")


@runtime_checkable
class Camera(Protocol):
    """Anything that gives registered RGB-D frames in the world frame."""

    def read(self) -> RGBDFrame:
        """Return the newest frame."""
        ...
