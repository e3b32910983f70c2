"""The README's picture, cut from the videos of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from armflow.launch.files import make_folder, write_bytes

if TYPE_CHECKING:
    from armflow.launch.episode import EpisodeSpec

__all__ = ["read_video", "write_media"]

MOMENTS = (0.22, 0.5, 1.0)  # of the length of an episode, side by side
WIDTH = 420  # px, of each


def read_video(path: Path) -> tuple[np.ndarray, float]:
    """Return all pictures [T, H, W, 3] uint8 of a video, and how many there are per second."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]), rate


def write_media(specs: list["EpisodeSpec"], videos: Path, folder: str | Path) -> None:
    """Write `run.jpg`: moments of every episode, one row each."""
    from armflow.launch.episode import video_of

    folder = make_folder(folder)
    films = [read_video(videos / video_of(spec)) for spec in specs]
    write_bytes(folder / "run.jpg", _jpeg(np.concatenate([_strip(film) for film, _ in films])))


def _strip(film: np.ndarray) -> np.ndarray:
    """Moments of one episode side by side."""
    return np.concatenate([_smaller(film[round(at * (len(film) - 1))], WIDTH) for at in MOMENTS], axis=1)


def _smaller(picture: np.ndarray, width: int) -> np.ndarray:
    from PIL import Image

    height = round(picture.shape[0] * width / picture.shape[1])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _jpeg(picture: np.ndarray) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=86, optimize=True)
    return buffer.getvalue()
