"""`armflow twin`: an object of a recording as Gaussians, and how it moves when a hand does something to it."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from armflow.launch.choices import pick
from armflow.launch.files import make_folder, write_bytes, write_json, write_text
from armflow.robot.errors import StackError, ValueRangeError

if TYPE_CHECKING:
    from armflow.launch.twin_clip import Clip, HandPath
    from armflow.perception.gaussians import GaussianObject
    from armflow.planning.dynamics.types import DynamicsModel

__all__ = ["Twin", "TwinOptionsError"]


class TwinOptionsError(StackError):
    """Options that the recording does not allow."""


@dataclass(frozen=True)
class Twin:
    """Make an object's Gaussian twin from RGB-D frames; with --path, also foretell how a hand moves it."""

    frames: Path
    """An episode's dataset with camera views, an .npz, or a folder of PNG pairs, as `armflow perceive` reads them."""
    episode: int = 0
    """Number of the episode in a dataset."""
    start: float = 0.0
    """Moment from which the twin is made, s; the object rests then."""
    object: str | None = None
    """The object in words, such as "red rope"; by default what the hand comes nearest to, or the largest."""
    at: tuple[int, int] | None = None
    """Or the one that this pixel of the first camera shows: column and row."""
    steps: int = 200
    """Steps of photometric refinement."""
    path: str | None = None
    """What the hand does: "recorded", or an .npz with states [T, 8] (m, wxyz, opening) and period (s)."""
    seconds: float = 3.0
    """How long to foretell, s; from shortly before the hand first comes near the object."""
    camera: str | None = None
    """Camera of the video; by default the first."""
    category: str | None = None
    """rope, cloth, plush or box; by default what the recording says."""
    model: Path | None = None
    """Checkpoint of the dynamics; by default those that come along for the category."""
    particles: int = 300
    """Particles that carry the Gaussians."""
    out: Path = field(default_factory=lambda: Path("runs") / time.strftime("twin-%Y%m%d-%H%M%S"))
    """Folder of the results."""
    seed: int = 0
    """Seed of the fits."""
    threads: int = 1
    """Threads of torch."""

    def run(self) -> int:
        """Make, write, foretell and tell.

        Raises:
            TwinOptionsError: Options that the recording does not allow.
            StackError: The recording is malformed, shows no such object, or its object cannot be foretold.
        """
        clip, index, hand = self._open()
        import numpy as np
        import torch

        from armflow.launch.twin_build import Made, build, score
        from armflow.launch.twin_find import find
        from armflow.launch.twin_pictures import beside

        torch.set_num_threads(self.threads)
        model = None if hand is None else self._model(clip)
        found = find(clip, self, index, rng=np.random.default_rng(self.seed))
        made = Made(clip, index, found, build(found, self.steps))
        folder = make_folder(self.out)
        _write_gaussians(folder, made.gaussians)
        write_bytes(folder / "twin.png", beside(found, made.gaussians))
        report = self._report(clip, len(made.gaussians), score(found, made.gaussians))
        _write_report(folder, report)
        _tell(report)
        if hand is not None and model is not None:
            from armflow.launch.twin_film import film

            report["motion"] = film(made, model, hand, self, folder)
            _write_report(folder, report)
            _tell_motion(report["motion"])
        print(f"open {folder / 'report.html'}")
        return 0

    def _open(self) -> "tuple[Clip, int, HandPath | None]":
        """The recording, the frame of the twin, and the hand's path from then on, if there is one."""
        import numpy as np

        from armflow.launch.twin_clip import load_clip

        self._check()
        clip = load_clip(self.frames, self.episode)
        times = clip.stamps - clip.stamps[0]
        if not 0 <= self.start <= times[-1]:
            raise ValueRangeError("--start", self.start, f"0 to {times[-1]:g} s, as long as the recording is")
        pick("camera", self.camera or clip.cameras[0], clip.cameras)
        index = int(np.searchsorted(times, self.start - 1e-9))
        return clip, index, None if self.path is None else self._hand(clip, index)

    def _check(self) -> None:
        for name, low in (("steps", 0), ("particles", 2), ("threads", 1), ("episode", 0), ("seed", 0)):
            if getattr(self, name) < low:
                raise ValueRangeError(f"--{name}", getattr(self, name), f"at least {low}")
        if not 0.1 <= self.seconds <= 60:
            raise ValueRangeError("--seconds", self.seconds, "0.1 to 60 s")

    def _hand(self, clip: "Clip", index: int) -> "HandPath":
        from armflow.launch.twin_clip import RECORDED, HandPath, load_hand

        if not clip.posed:
            raise TwinOptionsError(
                f"--path: {self.frames} does not say where its camera stands, so a hand has no place"
            )
        if self.path != RECORDED:
            return load_hand(Path(str(self.path)))
        if clip.hand is None:
            raise TwinOptionsError(f"--path {RECORDED}: {clip.name} holds no hand with an object; give an .npz")
        if index > len(clip.stamps) - 2:
            raise ValueRangeError("--start", self.start, "before the last frame")
        return HandPath(clip.hand.states[index:], clip.hand.period)

    def _model(self, clip: "Clip") -> "DynamicsModel":
        from armflow.launch.twin_motion import load_model

        return load_model(self.model, self.category or clip.category)

    def _report(self, clip: "Clip", count: int, views: dict[str, Any]) -> dict[str, Any]:
        from armflow.launch.doctor import hardware, versions

        return {
            "command": " ".join(["armflow", *sys.argv[1:]]),
            "recording": clip.name,
            "instruction": clip.instruction,
            "start": self.start,
            "seed": self.seed,
            "gaussians": count,
            "steps": self.steps,
            "views": views,
            "motion": None,
            "hardware": hardware(),
            "versions": versions(),
        }


def _write_gaussians(folder: Path, gaussians: "GaussianObject") -> None:
    from armflow.perception.gaussian_files import write_ply, write_splat

    write_ply(folder / "twin.ply", gaussians)
    write_splat(folder / "twin.splat", gaussians)


def _write_report(folder: Path, report: dict[str, Any]) -> None:
    from armflow.launch.twin_page import render_twin

    write_json(folder / "report.json", report)
    write_text(folder / "report.html", render_twin(report, folder))


def _tell(report: dict[str, Any]) -> None:
    print(f"{report['recording']}: a twin of {report['gaussians']} Gaussians")
    for name, row in report["views"].items():
        words = "" if row["used"] else "  (held out)"
        print(f"  {name:10s} PSNR {row['psnr']:5.1f} dB  SSIM {row['ssim']:.3f}  mask IoU {row['iou']:.3f}{words}")


def _tell_motion(motion: dict[str, Any]) -> None:
    if not motion["twins"]:
        print(f"{motion['seconds']:.1f} s of a path that was not recorded: {motion['video']}")
    for name, row in motion["twins"].items():
        mean = row["mean"]
        point = f"  point error {mean['point']:.1f} mm" if "point" in mean else ""
        print(f"  {name:13s} PSNR {mean['psnr']:5.1f} dB  SSIM {mean['ssim']:.3f}  mask IoU {mean['iou']:.3f}{point}")
