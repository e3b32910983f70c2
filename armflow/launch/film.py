"""The camera of the videos: it stands aside, so that the arm is in the picture; no controller sees through it."""

from typing import TYPE_CHECKING

import numpy as np

from armflow.perception.frame import Camera

if TYPE_CHECKING:
    from armflow.envs.episode import TaskWorld

__all__ = ["film_camera"]

AROUND, ABOVE = np.radians(38.0), np.radians(29.0)
DISTANCE = 1.4  # m from the bench of an arm of Panda's size


def film_camera(world: "TaskWorld", size: tuple[int, int] = (640, 480)) -> Camera:
    """Return a camera without noise that looks at bench and arm of a world from the side.

    Args:
        world: The world.
        size: Width and height, px.
    """
    from armflow.envs.sim_camera import CameraSpec, SimCamera

    arm = world.arm.model
    scale = float(np.clip(arm.bench_half[1] / 0.22, 0.55, 1.5))
    target = np.array([0.74 * arm.bench_center[0], arm.bench_center[1], 0.21 * scale])
    aside = [np.cos(ABOVE) * np.cos(AROUND), np.cos(ABOVE) * np.sin(AROUND), np.sin(ABOVE)]
    eye = target + DISTANCE * scale * np.array(aside)
    spec = CameraSpec(tuple(eye.tolist()), tuple(target.tolist()), *size)
    return SimCamera(world.world, spec, None, getattr(world, "stage", None))
