"""An MP4 of one episode, closed properly whatever ends it."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

__all__ = ["VideoWriter"]


class VideoWriter:
    """Writes pictures [H, W, 3] uint8 to `path`; the file appears whole when the writer is closed.

    H.264 where this PyAV brings libx264 (its wheels do), MPEG-4 part 2 otherwise. H and W are cut to even numbers.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path = Path(path)
        self.fps = fps
        self.frames = 0
        self._part = self.path.with_name(self.path.name + ".part")
        self._container = None
        self._stream = None

    def write(self, picture: np.ndarray) -> None:
        """Append one picture; the first one sets the size."""
        import av

        picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        if self._container is None:
            self._open(picture.shape[1], picture.shape[0])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts = self.frames
        self.frames += 1
        self._mux(frame)

    def _open(self, width: int, height: int) -> None:
        import av

        h264 = "libx264" in av.codecs_available
        self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "+faststart"})
        rate = Fraction(self.fps).limit_denominator(1000)
        options = {"crf": "24", "preset": "veryfast"} if h264 else {"q:v": "4"}
        self._stream = self._container.add_stream("libx264" if h264 else "mpeg4", rate=rate, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.thread_count = 1

    def _mux(self, frame: object) -> None:
        assert self._stream is not None
        assert self._container is not None
        for packet in self._stream.encode(frame):  # type: ignore[call-overload]
            self._container.mux(packet)

    def close(self) -> None:
        """Write the index and move the file into its place; a second call does nothing."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            assert self._stream is not None
            for packet in self._stream.encode(None):
                container.mux(packet)
        finally:
            container.close()
            self._part.replace(self.path)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
