"""`armflow perceive`: what is on the table in an RGB-D recording, and what moves in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from armflow.launch.files import make_folder, write_bytes, write_json

if TYPE_CHECKING:
    import numpy as np

    from armflow.perception.detection import Detection
    from armflow.perception.motion import MovingObject
    from armflow.perception.recording import Recording
    from armflow.perception.unposed import UnposedScene

__all__ = ["Perceive"]


@dataclass(frozen=True)
class Perceive:
    """Find the surface and the objects in an RGB-D recording; leave marked pictures and objects.json."""

    file: Annotated[Path, tyro.conf.Positional]
    """An .npz (rgb, depth_mm or depth, K or hfov_deg) or a folder of rgb_*.png, depth_*.png and intrinsics.json."""
    out: Path = Path("runs/perceive")
    """Folder for the results."""
    instruction: str | None = None
    """Also say which objects this sentence names; by default the recording's own."""
    seed: int = 0
    """Seed of the fits."""

    def run(self) -> int:
        """Perceive, write and tell.

        Raises:
            FormatError: The recording is malformed.
            InstructionError: The instruction given here is not understood.
        """
        import numpy as np

        from armflow.perception.instruction import parse_instruction
        from armflow.perception.motion import moving_object
        from armflow.perception.recording import load_recording
        from armflow.perception.unposed import perceive_unposed

        if self.instruction is not None:
            parse_instruction(self.instruction)
        recording = load_recording(self.file)
        frames = recording.frames
        motion = moving_object(frames) if len(frames) > 1 else None
        shown = sorted({0} | ({motion.best} if motion is not None and motion.best >= 0 else set()))
        rng = np.random.default_rng(self.seed)
        scenes = {
            i: perceive_unposed(frames[i], rng=rng, arm=None if motion is None else motion.arms[i]) for i in shown
        }
        self._write(recording, scenes, motion)
        height, width = recording.frames[0].depth.shape
        print(f"{self.file}: {len(frames)} frame{'s' * (len(frames) > 1)}, {width} x {height} px")
        _tell_scene(scenes[0])
        if motion is not None:
            print(_motion_line(recording, motion))
        for line in self._named(recording, scenes[0]):
            print(line)
        print(f"pictures and objects.json are in {self.out}")
        return 0

    def _named(self, recording: "Recording", scene: "UnposedScene") -> list[str]:
        """What the instruction names among the objects of the first frame."""
        from armflow.perception.instruction import InstructionError, find_object, parse_instruction

        text = self.instruction or recording.instruction
        if text is None:
            return []
        try:
            command = parse_instruction(text)
        except InstructionError as error:  # the recording's own sentence may use words that are not known here
            return [f"instruction “{text}”: {error.problem}"]
        lines = [f"instruction “{text}”: {command.relation}"]
        for role, phrase in (("what", command.target), ("where", command.reference)):
            if phrase is not None:
                lines.append(f"  {role}: {find_object(scene.objects.detections, phrase).answer}")
        return lines

    def _write(self, recording: "Recording", scenes: dict[int, "UnposedScene"], motion: "MovingObject | None") -> None:
        """Write one picture per scene, and objects.json."""
        from armflow.launch.overlay import draw_objects, outline, png_bytes

        folder = make_folder(self.out)
        for index, scene in scenes.items():
            picture = draw_objects(scene.frame, scene.objects.detections, scene.surroundings)
            if motion is not None and index in motion.masks:
                outline(picture, motion.masks[index])
            write_bytes(folder / f"overlay_{index:04d}.png", png_bytes(picture))
        moving = None
        if motion is not None:
            frames = sorted(motion.masks)
            moving = {"found": bool(frames), "frames": frames, "best": motion.best, "reason": motion.reason}
        value = {
            "recording": str(self.file),
            "instruction": self.instruction or recording.instruction,
            "moving": moving,
            "frames": [{"frame": i, **_as_json(scene)} for i, scene in scenes.items()],
        }
        write_json(folder / "objects.json", value)


def _as_json(scene: "UnposedScene") -> dict[str, Any]:
    """A scene as plain values; lengths in m, positions with z = 0 on the surface."""
    return {
        "surface_roughness_m": scene.roughness,
        "kinds_told": scene.shapes_told,
        "T_world_camera": _plain(scene.frame.T_world_camera.as_matrix()),
        "objects": [_object(d) for d in scene.objects.detections],
    }


def _object(detection: "Detection") -> dict[str, Any]:
    pose = detection.T_world_object
    return {
        "name": detection.state.name,
        "kind": detection.kind,
        "color": detection.color,
        "confidence": round(detection.confidence, 3),
        "position_m": _plain(pose.translation),
        "quaternion_wxyz": _plain(pose.rotation.as_quat(scalar_first=True)),
        "size_m": _plain(detection.size),
        "pixels": int(detection.mask.sum()),
    }


def _plain(values: "np.ndarray") -> list:
    return values.round(5).tolist()


def _tell_scene(scene: "UnposedScene") -> None:
    """Print surface and objects."""
    count = len(scene.objects.detections)
    rough = "" if scene.shapes_told else f"; rough within {1e3 * scene.roughness:.0f} mm, so kinds are not told"
    print(f"a surface with {count or 'no'} object{'s' * (count != 1)} in the first frame{rough}")
    for detection in scene.objects.detections:
        x, y, _ = detection.T_world_object.translation
        size = " x ".join(f"{100 * side:.1f}" for side in detection.size)
        print(f"  {detection.state.name}, {size} cm, at x = {x:.2f} m, y = {y:.2f} m")
    if scene.surroundings:
        print(
            f"  and {len(scene.surroundings)} larger or cut-off pieces that are no objects (blue-gray in the picture)"
        )


def _motion_line(recording: "Recording", motion: "MovingObject") -> str:
    """One sentence on what moved."""
    if motion.best < 0:
        return motion.reason
    from armflow.perception.colors import color_word

    mask = motion.masks[motion.best]
    row, column = (int(v) for v in _center(mask))
    color = color_word(recording.frames[motion.best].rgb[mask])
    return f"{motion.reason}: {color}, {int(mask.sum())} px about column {column}, row {row}"


def _center(mask: "np.ndarray") -> "np.ndarray":
    import numpy as np

    return np.argwhere(mask).mean(0)
