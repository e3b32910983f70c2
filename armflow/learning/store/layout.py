"""Where the files of a LeRobotDataset v3.0 lie, and where ours lie beside them.

    meta/info.json                         rate, features, counts, path templates
    meta/stats.json                        statistics of every feature
    meta/tasks.parquet                     instructions and their numbers
    meta/episodes/chunk-000/file-000.parquet   one row an episode: where its rows and pictures are
    data/chunk-000/file-000.parquet        one row a frame, one row group an episode
    videos/<feature>/chunk-000/file-000.mp4

Ours, which other readers ignore:

    meta/armflow.json                      cameras, environment, a copy of what info.json says
    meta/digests.json                      size and CRC-32 of every file when it was written
    capture/chunk-000/file-000.parquet     capture time of every frame, row by row as in data/
    recording/episode-000007/              an episode that is finished but not yet joined with the others
    damaged/                               what `armflow data repair` took out

Reference:
    LeRobotDataset v3.0, https://github.com/huggingface/lerobot (src/lerobot/datasets).
"""

import re
from pathlib import Path, PurePosixPath

from armflow.learning.store.errors import DatasetError

__all__ = ["ARMFLOW", "DIGESTS", "INFO", "STATS", "TASKS", "capture_file", "chunk_file", "fill", "next_file"]

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
ARMFLOW = "meta/armflow.json"
DIGESTS = "meta/digests.json"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
RECORDING = "recording"
DAMAGED = "damaged"
CHUNK_FILES = 1000  # files in one chunk folder
DATA_MEGABYTES, VIDEO_MEGABYTES = 100, 200  # a file that would grow beyond is followed by another
HOLE = re.compile(r"\{([a-z_]+)(?::0?([1-9])d)?\}")


def fill(template: str, chunk: int, file: int, key: str = "") -> str:
    """Fill a path template without giving it the powers of `str.format`.

    Raises:
        DatasetError: Unknown holes, or a path that leaves the dataset.
    """
    values: dict[str, str | int] = {"chunk_index": chunk, "file_index": file, "video_key": key}

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise DatasetError(INFO, "path template", f"no value {match[1]!r}; it may hold {', '.join(values)}")
        return str(values[match[1]]).zfill(int(match[2] or 1))

    path = HOLE.sub(value, template)
    parts = PurePosixPath(path).parts
    if "{" in path or "\0" in path or path.startswith("/") or ".." in parts or len(parts) < 2 or len(path) > 400:
        raise DatasetError(INFO, "path template", f"{template[:100]!r} does not name a file inside the dataset")
    return path


def chunk_file(template: str, chunk: int, file: int, key: str = "") -> str:
    """Path of one of our own files."""
    return template.format(chunk_index=chunk, file_index=file, video_key=key)


def capture_file(data: str) -> str:
    """Path of the capture times that belong to a data file."""
    return "capture" + data.removeprefix("data")


def next_file(chunk: int, file: int) -> tuple[int, int]:
    """Chunk and file index that follow."""
    return (chunk, file + 1) if file + 1 < CHUNK_FILES else (chunk + 1, 0)


def episode_folder(root: Path, index: int) -> Path:
    """Where a finished episode waits to be joined with the others."""
    return root / RECORDING / f"episode-{index:06d}"
