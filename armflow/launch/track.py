"""`armflow track`: a recording of still cameras as particle tracks, found and followed from what they saw alone."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from armflow.robot.errors import StackError, ValueRangeError

if TYPE_CHECKING:
    import numpy as np

    from armflow.launch.twin_clip import Clip
    from armflow.learning.store import Dataset, Schema

__all__ = ["Track", "TrackError"]

KEPT = ("observation.state", "action")
UNKNOWN = 0.5  # of a material that was not recorded


class TrackError(StackError):
    """A recording that cannot be tracked."""


@dataclass(frozen=True)
class Track:
    """Turn a recording of one to four cameras into a dataset of seen particle tracks to train dynamics on."""

    recording: Positional[Path]
    """Dataset recorded with `armflow play record --images --views 4`."""
    out: Path
    """Folder of the new dataset; a dataset that is there is continued."""
    views: int = 4
    """Cameras to use, the first ones of the recording."""
    particles: int = 300
    """Particles of an object."""
    stride: int = 3
    """Frames from look to look; between them the tracks are interpolated."""

    def run(self) -> int:
        """Track what is missing, write it, and score it where the truth is recorded."""
        from armflow.launch.files import write_json
        from armflow.launch.track_episode import follow, score
        from armflow.launch.twin_clip import load_clip
        from armflow.learning.store import DatasetWriter, Recording, open_dataset

        for name, low in (("views", 1), ("particles", 2), ("stride", 1)):
            if getattr(self, name) < low:
                raise ValueRangeError(f"--{name}", getattr(self, name), f"at least {low}")
        data = open_dataset(self.recording)
        self._limit(load_clip(self.recording))
        rows: list[dict[str, Any]] = []
        with DatasetWriter(self.out, self._schema(data)) as writer:
            for index in range(len(open_dataset(self.out).episodes), len(data.episodes)):
                clip = self._limit(load_clip(self.recording, index))
                seen = follow(clip, self.particles, self.stride)
                arrays = self._arrays(data, index, seen.tracks)
                writer.add(Recording(arrays, clip.stamps, data.episodes[index].task))
                found = {"episode": index, "found": seen.found, "lost": seen.lost}
                rows.append({**found, **score(seen.tracks, clip.tracks)})
                print("  ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()))
                write_json(self.out / "report.json", {"views": self.views, "episodes": rows})
        return 0

    def _limit(self, clip: "Clip") -> "Clip":
        if clip.hand is None:
            raise TrackError(f"{self.recording} holds no hand's path; record with `armflow play record --images`")
        if self.views > len(clip.cameras):
            raise ValueRangeError("--views", self.views, f"at most {len(clip.cameras)}, as many as were recorded")
        return dataclasses.replace(clip, cameras=clip.cameras[: self.views])

    def _schema(self, data: "Dataset") -> "Schema":
        from armflow.learning.store import Feature, Schema

        old = data.schema
        features = {name: old.features[name] for name in KEPT}
        features["tracks"] = Feature("float32", (self.particles, 3))
        features["material"] = old.features.get("material", Feature("float32", (4,)))
        extra = {key: value for key, value in old.extra.items() if key != "cameras"}
        return Schema(old.fps, features, old.robot, {**extra, "tracks": f"seen from {self.views} views"})

    def _arrays(self, data: "Dataset", index: int, tracks: "np.ndarray") -> "dict[str, np.ndarray]":
        import numpy as np

        known = [*KEPT, *(["material"] if "material" in data.schema.features else [])]
        arrays = {"material": np.full((len(tracks), 4), UNKNOWN, np.float32)}
        return {**arrays, **data.read(index, known).arrays, "tracks": tracks.astype(np.float32)}
