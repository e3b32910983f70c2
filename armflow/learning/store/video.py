"""Colour and depth as MP4: H.264 for colour, lossless 12-bit HEVC for depth.

Every picture depends only on earlier ones (no B-frames) and the time base is one frame, so that episodes can be joined
packet by packet without decoding. Colour loses a little (4:2:0, constant rate factor 18); depth loses nothing, and
every picture of it carries its own checksum: HEVC decodes changed bytes into wrong depths without a complaint.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from armflow.learning.store.errors import DatasetError, reading
from armflow.learning.store.schema import DEPTH_CODES, Feature
from armflow.robot.errors import ShapeError

__all__ = ["VideoWriter", "decode_each", "frame_rate", "join_videos", "video_facts", "video_frames", "video_header"]

KEYFRAMES = 10  # a picture that can be decoded alone every so many
COLOUR = {"crf": "18", "preset": "veryfast", "g": str(KEYFRAMES), "bf": "0"}
DEPTH_TUNING = "ctu=16:max-tu-size=16:fast-intra=1:rc-lookahead=0:scenecut=0:aq-mode=0"  # half the time, 3 % more bytes
DEPTH_LOSSLESS = f"lossless=1:hash=1:bframes=0:keyint={KEYFRAMES}:log-level=none:pools=none:{DEPTH_TUNING}"
DEPTH = {"preset": "ultrafast", "x265-params": DEPTH_LOSSLESS}
CHECKED = {"err_detect": "crccheck+explode"}  # refuse a picture that differs from its MD5, where it carries one
SMALLEST = 17  # px; of pictures one coding block wide, x265 does not keep every bit


def frame_rate(fps: float) -> Fraction:
    """Frames a second as the exact fraction that video needs."""
    return Fraction(fps).limit_denominator(1001)


class VideoWriter:
    """Encodes one camera's pictures of one episode into one file."""

    def __init__(self, path: Path, feature: Feature, fps: float) -> None:
        self.height, self.width = feature.shape[:2]
        self.depth = feature.dtype == "depth"
        if self.depth and min(self.height, self.width) < SMALLEST:
            raise ShapeError("depth", f"at least {SMALLEST} x {SMALLEST} px", feature.shape)
        self.frames = 0
        self._container = av.open(str(path), "w", format="mp4")
        rate = frame_rate(fps)
        self._stream = self._container.add_stream(
            "libx265" if self.depth else "libx264", rate=rate, options=dict(DEPTH if self.depth else COLOUR)
        )
        even = not (self.height % 2 or self.width % 2)
        self._stream.width, self._stream.height = self.width, self.height
        self._stream.pix_fmt = "gray12le" if self.depth else "yuv420p" if even else "yuv444p"
        self._stream.codec_context.time_base = 1 / rate
        self._stream.codec_context.thread_count = 1
        if self.depth:
            self._stream.codec_context.codec_tag = "hvc1"

    def write(self, picture: np.ndarray) -> None:
        """Encode one picture: [H, W, 3] uint8, or [H, W] uint16 codes below 4096.

        Raises:
            ShapeError: A depth code needs more than 12 bits.
        """
        if self.depth and picture.max() >= DEPTH_CODES:
            raise ShapeError("depth", f"codes below {DEPTH_CODES}; choose a larger depth_scale", int(picture.max()))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray12le" if self.depth else "rgb24")
        frame.pts, frame.time_base = self.frames, self._stream.codec_context.time_base
        self.frames += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of the file without finishing it."""
        self._container.close()


def video_facts(feature: Feature, fps: float, scale: float) -> dict[str, object]:
    """What info.json says about a video; a depth code q means q * scale metres, in LeRobot's linear quantiser."""
    height, width = feature.shape[:2]
    depth = feature.dtype == "depth"
    even = not (height % 2 or width % 2)
    facts: dict[str, object] = {
        "video.height": height,
        "video.width": width,
        "video.codec": "hevc" if depth else "h264",
        "video.pix_fmt": "gray12le" if depth else "yuv420p" if even else "yuv444p",
        "video.fps": int(fps) if float(fps).is_integer() else fps,
        "video.channels": 1 if depth else 3,
        "has_audio": False,
        "is_depth_map": depth,
    }
    if depth:
        facts |= {"video.depth_min": 0.0, "video.depth_max": (DEPTH_CODES - 1) * scale}
        facts |= {"video.shift": 0.0, "video.use_log": False}
    return facts


def video_frames(path: Path) -> int:
    """Count the packets of a video without decoding them."""
    with closing(av.open(str(path))) as container:
        return sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))


def video_header(path: Path) -> bytes:
    """What a decoder must know before the first picture; videos can be joined where it is equal."""
    with closing(av.open(str(path))) as container:
        return container.streams.video[0].codec_context.extradata or b""


def join_videos(parts: Sequence[Path], out: Path, fps: float) -> None:
    """Put videos of the same encoder end to end, packet by packet; frame i lies at i / fps.

    Raises:
        DatasetError: The videos were encoded with different settings.
    """
    frames, header = 0, None
    with closing(av.open(str(out), "w", format="mp4")) as target:
        stream = None
        for part in parts:
            with closing(av.open(str(part))) as source:
                video = source.streams.video[0]
                if stream is None:
                    stream, header = _like(target, video), video.codec_context.extradata
                elif video.codec_context.extradata != header:
                    raise DatasetError(part, "video", "was encoded with other settings than the ones before")
                step = 1 / (frame_rate(fps) * (video.time_base or Fraction(1)))
                for packet in source.demux(video):
                    if packet.size:
                        packet.pts = packet.dts = round(frames * step)
                        packet.stream = stream
                        target.mux(packet)
                        frames += 1


def _like(target: OutputContainer, video: VideoStream) -> VideoStream:
    stream = target.add_stream_from_template(video)
    stream.time_base = video.time_base
    return stream


def decode_each(path: Path, name: str, feature: Feature, fps: float, frames: tuple[int, int]) -> Iterator[np.ndarray]:
    """Decode frames `frames[0]` to `frames[1]` of a video, counted from its first, one after the other.

    Args:
        path: The file.
        name: What to call it in errors.
        feature: Colour or depth, and its size.
        fps: Frames a second, Hz.
        frames: The first, and the one after the last.

    Yields:
        [H, W, 3] uint8 or [H, W] uint16.

    Raises:
        DatasetError: Another resolution, missing or undecodable frames; names the frame of the file.
    """
    with reading(name, "video"):
        if not path.is_file():
            raise DatasetError(name, "file", "is missing")
        index, pictures = frames[0], _pictures(path, name, feature, fps, frames)
        try:
            while (picture := next(pictures)) is not None:
                yield picture
                index += 1
        except StopIteration:
            return
        except FFmpegError as error:
            reason = f"cannot be decoded: {error.strerror or error}"
            raise DatasetError(name, f"picture {index} of the file", reason) from error
        raise DatasetError(name, f"picture {index} of the file", "cannot be decoded")


def _pictures(
    path: Path, name: str, feature: Feature, fps: float, frames: tuple[int, int]
) -> Iterator[np.ndarray | None]:
    """Yield each frame asked for, or None once where one is damaged or missing."""
    pixels = "gray12le" if feature.dtype == "depth" else "rgb24"
    with closing(av.open(str(path))) as container:
        if not container.streams.video:
            raise DatasetError(name, "video", "holds no pictures")
        stream = container.streams.video[0]
        size = (stream.codec_context.height, stream.codec_context.width)
        if size != tuple(feature.shape[:2]):
            raise DatasetError(name, "resolution", f"{size[1]} x {size[0]} px; the schema says {list(feature.shape)}")
        stream.codec_context.thread_count = 1
        if feature.dtype == "depth":
            stream.codec_context.options = CHECKED
        wanted = frames[0]
        for frame in _frames_from(container, stream, wanted, fps):
            index = None if frame.time is None else round(frame.time * fps)
            if index is not None and index < wanted:
                continue
            if index != wanted or frame.is_corrupt or (frame.height, frame.width) != size:
                yield None
                return
            yield frame.to_ndarray(format=pixels)
            wanted += 1
            if wanted >= frames[1]:
                return
        yield None


def _frames_from(container: InputContainer, stream: VideoStream, first: int, fps: float) -> Iterator[av.VideoFrame]:
    """Decode from the last key frame at or before frame `first`; from the beginning where seeking lands too late."""
    if first and stream.time_base:
        container.seek(int((first + 0.25) / fps / stream.time_base), stream=stream)
        frame = next(container.decode(stream), None)
        if frame is not None and frame.time is not None and round(frame.time * fps) <= first:
            yield frame
        else:
            container.seek(0, stream=stream)
    yield from container.decode(stream)
