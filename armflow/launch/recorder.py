"""Films an episode: one picture every few control steps, with flow, points and verdict drawn in."""

from pathlib import Path
from typing import Any

import numpy as np

from armflow.launch.drawing import Caption, View, compose, draw_flow, draw_goal, draw_inset, draw_points
from armflow.launch.runner import Outcome
from armflow.launch.video import VideoWriter
from armflow.perception.frame import Camera

__all__ = ["Recorder"]

PICTURE_SECONDS = 0.08  # at least, between two pictures
LAST_SECONDS = 1.2  # the result stays readable for this long
INSET = (160, 120)  # px, of the controller's view in the corner
ALONE = (640, 480)  # px, of the same view where it is the only one


class Recorder:
    """A `runner.Listener` that writes one MP4.

    The large picture comes from a camera that stands aside and that no controller sees through; what the controller
    sees, in colour and depth, stands small in its corner.
    """

    def __init__(self, path: str | Path, title: str, film: Camera | None = None, *, period: float = 0.04) -> None:
        """Film to `path` with the camera `film` (None for the controller's own view); control steps last `period` s."""
        self._every = max(1, round(PICTURE_SECONDS / period))
        self._rate = 1.0 / (period * self._every)
        self._writer = VideoWriter(path, self._rate)
        self._title, self._film = title, film
        self._steps = 0
        self._world: Any = None
        self._controller: Any = None

    @property
    def path(self) -> Path:
        """Where the video goes."""
        return self._writer.path

    def start(self, world: Any, controller: Any) -> None:
        """Hook into the arm, and take the first picture."""
        self._world, self._controller = world, controller
        world.arm.on_step = self._step
        self._shoot()

    def finish(self, outcome: Outcome) -> None:
        """Show the result for a moment, unhook and close the file, whatever happened."""
        self._world.arm.on_step = None
        try:
            picture = self._picture("good" if outcome.success else "bad", self._verdict(outcome), flow=False)
            for _ in range(max(1, int(LAST_SECONDS * self._rate))):
                self._writer.write(picture)
        finally:
            self._writer.close()

    def _verdict(self, outcome: Outcome) -> str:
        """The world's judgement, then the controller's own where they agree."""
        if not outcome.success:
            return f"Failure: {outcome.reason or 'stopped'}"
        return f"Success: {self._controller.status().removeprefix('done: ')}"

    def _step(self, *_: object) -> None:
        self._steps += 1
        if self._steps % self._every == 0:
            self._shoot()

    def _shoot(self) -> None:
        self._writer.write(self._picture("busy", ""))

    def _picture(self, mood: str, sentence: str, *, flow: bool = True) -> np.ndarray:
        frame = self._film.read() if self._film is not None else self._world.view(*ALONE)
        image, view = frame.rgb.copy(), View(frame.K, frame.T_world_camera)
        overlay = self._controller.overlay() if hasattr(self._controller, "overlay") else None
        if flow and overlay is not None:
            if overlay.goal_world is not None:
                draw_goal(image, view, overlay.goal_world)
            if overlay.predicted is not None:
                draw_flow(image, view, overlay.predicted)
            if overlay.tracked_world is not None:
                draw_points(image, view, overlay.tracked_world)
            sentence = sentence or f"{overlay.stage}: {overlay.verdict}"
        if self._film is not None:
            draw_inset(image, self._world.view(*INSET))
        sentence = sentence or self._controller.status()
        return compose(image, Caption(self._title, self._world.instruction, sentence, self._world.time, mood))
