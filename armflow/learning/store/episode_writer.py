"""One running episode: numbers in memory, pictures encoded as they come, sealed when it ends."""

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
from av.error import FFmpegError

from armflow.learning.files import WriteError, sync
from armflow.learning.store import layout
from armflow.learning.store.columns import to_arrow, write_table
from armflow.learning.store.schema import Feature, Schema
from armflow.learning.store.stats import PixelCounter, number_statistics, to_lists
from armflow.learning.store.video import VideoWriter
from armflow.robot.errors import ShapeError

__all__ = ["EpisodeWriter", "checksum"]

BLOCK = 1 << 20


def checksum(path: Path) -> tuple[int, int]:
    """Size in bytes and CRC-32 of a file."""
    size = crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return size, crc


class EpisodeWriter:
    """Writes one episode into a folder of its own that gets its name when it is whole."""

    def __init__(self, root: Path, index: int, task: str, schema: Schema) -> None:
        self.schema, self.task = schema, task
        self.folder = layout.episode_folder(root, index)
        self.part = self.folder.with_name(self.folder.name + ".part")
        self._blocks: dict[str, list[np.ndarray]] = {n: [] for n, f in schema.features.items() if not f.moving}
        self._stamps: list[np.ndarray] = []
        self._videos: dict[str, tuple[VideoWriter, PixelCounter]] = {}
        try:
            self.part.mkdir(parents=True)
            for name, feature in schema.features.items():
                if feature.moving:
                    video = VideoWriter(self.part / f"{name}.mp4", feature, schema.fps)
                    self._videos[name] = video, PixelCounter(feature)
        except (OSError, FFmpegError) as error:
            raise WriteError(self.part, str(error)) from error

    def extend(self, arrays: dict[str, np.ndarray], stamps: np.ndarray) -> None:
        """Append frames: name to [T, ...], and their capture times [T], s.

        Raises:
            ShapeError: Other names or shapes than the schema's, NaN, or times that do not rise; names the frame.
            WriteError: The disk is full.
        """
        frame = self.length
        before = self._stamps[-1][-1] if self._stamps else -np.inf
        if not np.isfinite(stamps).all() or (np.diff(stamps, prepend=before) <= 0).any():
            raise ShapeError("stamps", f"finite and rising from {before}", f"{stamps[:3]} at frame {frame}")
        if set(arrays) != set(self.schema.features):
            odd = sorted(set(arrays) ^ set(self.schema.features))
            raise ShapeError("recording", f"the features {', '.join(self.schema.features)}", f"other: {', '.join(odd)}")
        checked = {name: _checked(name, arrays[name], f, frame) for name, f in self.schema.features.items()}
        try:
            for name, array in checked.items():
                if name in self._blocks:
                    self._blocks[name].append(array.copy())
                else:
                    for picture in array:
                        self._videos[name][0].write(picture)
                        self._videos[name][1].add(picture)
        except (OSError, FFmpegError) as error:
            raise WriteError(self.part, str(error)) from error
        self._stamps.append(np.array(stamps, np.float64))

    @property
    def length(self) -> int:
        """Frames so far."""
        return sum(len(block) for block in self._stamps)

    def seal(self, *, durable: bool) -> None:
        """Finish the episode: from here on it survives whatever happens to this process.

        Args:
            durable: Wait for the disk, so that it survives a power failure as well.

        Raises:
            WriteError: The disk is full; the episode is not there, everything before it is.
        """
        try:
            for video, _ in self._videos.values():
                video.close()
            columns = {name: np.concatenate(blocks) for name, blocks in self._blocks.items()}
            length = self.length
            columns["timestamp"] = (np.arange(length) / self.schema.fps).astype(np.float32)
            columns["frame_index"] = np.arange(length)
            table = pa.table({name: to_arrow(array) for name, array in columns.items()})
            write_table(self.part / "data.parquet", [table], table.schema)
            stamps = pa.table({"stamp": np.concatenate(self._stamps)})
            write_table(self.part / "capture.parquet", [stamps], stamps.schema)
            files = sorted(self.part.iterdir())
            stats = {name: to_lists(number_statistics(array)) for name, array in columns.items()}
            stats |= {name: to_lists(counter.statistics()) for name, (_, counter) in self._videos.items()}
            marks = {file.name: checksum(file) for file in files}
            seal = {"length": length, "task": self.task, "files": marks, "stats": stats}
            (self.part / "seal.json").write_text(json.dumps(seal, allow_nan=False))
            if durable:
                for path in (*files, self.part / "seal.json", self.part):
                    sync(path)
            self.part.replace(self.folder)
            if durable:
                sync(self.folder.parent)
        except (OSError, FFmpegError, pa.ArrowException) as error:
            raise WriteError(self.part, str(error)) from error

    def abandon(self) -> None:
        """Forget the episode and remove what it wrote."""
        for video, _ in self._videos.values():
            video.abandon()
        shutil.rmtree(self.part, ignore_errors=True)


def _checked(name: str, array: np.ndarray, feature: Feature, frame: int) -> np.ndarray:
    """The array in the feature's type, or an error that names feature and frame."""
    shape = array.shape[1:] or (1,)
    if shape != feature.shape or not np.can_cast(array.dtype, feature.numpy, "same_kind"):
        raise ShapeError(
            name, f"[T, {', '.join(map(str, feature.shape))}] {feature.numpy}", f"{array.shape} {array.dtype}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
        raise ShapeError(name, "finite", f"NaN or infinity at frame {frame + bad}")
    return array.astype(feature.numpy, copy=False)
