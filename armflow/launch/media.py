"""The README's pictures, cut from the videos of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from armflow.launch.files import make_folder, write_bytes

if TYPE_CHECKING:
    from armflow.launch.episode import EpisodeSpec

__all__ = ["read_video", "write_media"]

FILM_FRAMES = 4  # pictures side by side in the still
GIF_WIDTH = 480
GIF_HZ = 6.0


def read_video(path: Path) -> tuple[np.ndarray, float]:
    """Return all pictures [T, H, W, 3] uint8 of a video, and how many there are per second."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]), rate


def write_media(specs: list["EpisodeSpec"], videos: Path, folder: str | Path) -> None:
    """Write `run.png`, a strip of moments of every episode, and `run.gif`, the first one moving."""
    from armflow.launch.episode import video_of

    folder = make_folder(folder)
    films = [read_video(videos / video_of(spec)) for spec in specs]
    write_bytes(folder / "run.png", _png(np.concatenate([_strip(film) for film, _ in films])))
    write_bytes(folder / "run.gif", _gif(*films[0]))


def _strip(film: np.ndarray) -> np.ndarray:
    """Moments of one episode side by side, at half size."""
    moments = np.linspace(0, len(film) - 1, FILM_FRAMES + 1)[1:].astype(int)
    return np.concatenate([_smaller(film[moment], film.shape[2] // 2) for moment in moments], axis=1)


def _smaller(picture: np.ndarray, width: int) -> np.ndarray:
    from PIL import Image

    height = round(picture.shape[0] * width / picture.shape[1])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _png(picture: np.ndarray) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).quantize(192, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _gif(film: np.ndarray, rate: float) -> bytes:
    import io

    from PIL import Image

    step = max(1, round(rate / GIF_HZ))
    pictures = [Image.fromarray(_smaller(one, GIF_WIDTH)).quantize(96) for one in film[::step]]
    buffer = io.BytesIO()
    duration = int(1000 * step / rate / 1.5)  # half as fast again as it was
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0, optimize=True)
    return buffer.getvalue()
