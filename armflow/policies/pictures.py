"""Pictures beside the state.

A small encoder turns each into a few numbers, its sights, that a policy sees as further columns of the state.

A frame is encoded once: in training once a batch, never once a denoising step; at run time once when it arrives.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from armflow.perception.frame import RGBDFrame
from armflow.robot.errors import ShapeError, StackError, ValueRangeError

__all__ = ["Eye", "PictureConfig", "PictureEncoder", "PictureError", "resize", "shift"]

AT_ONCE = 256  # pictures encoded in one go where no gradient is needed: 100 MB
SLACK = 1.0  # px that the recorded view may lie outside a camera's picture
ALIKE = 0.02  # relative difference of two aspect ratios that are taken as one


class PictureError(StackError):
    """Pictures that are missing, too many, or not of the recorded view."""


@dataclass(frozen=True, slots=True)
class PictureConfig:
    """What pictures a policy sees, and how.

    Attributes:
        camera: Name of the camera in the dataset.
        height: Of a picture as the encoder takes it, px.
        width: Likewise.
        intrinsics: [3][3] of the camera at this size, px; () where the dataset does not tell.
        sights: Numbers that a picture becomes.
        channels: Of the three convolutions.
        points: Places that the encoder finds in a picture.
        shifted: Farthest random shift in training, px. Half of DrQ's, as places are told in the world's frame.
    """

    camera: str
    height: int
    width: int
    intrinsics: tuple[tuple[float, ...], ...] = ()
    sights: int = 64
    channels: tuple[int, int, int] = (24, 32, 64)
    points: int = 32
    shifted: int = 2

    def __post_init__(self) -> None:
        """Check the sizes, and take lists, as JSON has them, for tuples."""
        object.__setattr__(self, "intrinsics", tuple(tuple(float(x) for x in row) for row in self.intrinsics))
        object.__setattr__(self, "channels", tuple(self.channels))
        if min(self.height, self.width) < 16:
            raise ValueRangeError("picture size", (self.width, self.height), "at least 16 px each way")
        if (
            len(self.channels) != 3
            or min(*self.channels, self.points, self.sights) < 8
            or any(channels % 8 for channels in self.channels)
        ):
            raise ValueRangeError("channels", self.channels, "three multiples of 8; points and sights at least 8")
        if self.shifted < 0:
            raise ValueRangeError("shifted", self.shifted, "at least 0 px")


class PictureEncoder(nn.Module):
    """Strided convolutions, then where each of some channels is bright, and how bright the others are on average.

    Places are the mean pixel under a softmax over the picture: Finn et al. (2016), arXiv 1509.06113, section V-A. They
    move with what they follow, and are computed in float32 also where the rest is not. Some 80 000 parameters.
    """

    grid: Tensor

    def __init__(self, config: PictureConfig) -> None:
        """Build for pictures of one size."""
        super().__init__()
        self.config = config
        first, second, third = config.channels
        self.body = nn.Sequential(
            nn.Conv2d(3, first, 5, stride=2, padding=2),
            nn.GroupNorm(first // 8, first),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.GroupNorm(second // 8, second),
            nn.SiLU(),
            nn.Conv2d(second, third, 3, padding=1),
            nn.GroupNorm(third // 8, third),
            nn.SiLU(),
        )
        self.places = nn.Conv2d(third, config.points, 1)
        self.head = nn.Sequential(
            nn.Linear(2 * config.points + third, 4 * config.sights),
            nn.SiLU(),
            nn.Linear(4 * config.sights, config.sights),
        )
        rows, columns = ((size + 3) // 4 for size in (config.height, config.width))
        y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
        self.register_buffer("grid", torch.stack([x, y]).flatten(1), persistent=False)  # [2, rows * columns]

    def forward(self, pictures: Tensor) -> Tensor:
        """Sights [N, P] of pictures [N, H, W, 3] uint8."""
        x = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
        found = self.body(x.contiguous(memory_format=torch.channels_last))
        bright = self.places(found)
        with torch.autocast(pictures.device.type, enabled=False):
            places = _places(bright.float(), self.grid)
            return self.head(torch.cat([places, found.float().mean(dim=(2, 3))], dim=-1))

    def sights(self, pictures: Tensor) -> Tensor:
        """Sights [..., P] of pictures [..., H, W, 3], some at a time where no gradient is needed.

        Raises:
            ShapeError: The pictures are not of the encoder's size.
        """
        config = self.config
        flat = pictures.flatten(0, -4)
        if flat.shape[1:] != (config.height, config.width, 3):
            raise ShapeError(
                "picture", f"[{config.height}, {config.width}, 3], the recorded size", tuple(flat.shape[1:])
            )
        parts = flat.split(len(flat) if torch.is_grad_enabled() else AT_ONCE)
        return torch.cat([self(part) for part in parts]).unflatten(0, pictures.shape[:-3])


def _places(bright: Tensor, grid: Tensor) -> Tensor:
    """Mean places [N, 2 * K], in -1 to 1, of maps [N, K, rows, columns] over a grid [2, rows * columns]."""
    weights = bright.flatten(2).softmax(dim=-1)
    return torch.cat([(weights * axis).sum(dim=-1) for axis in grid], dim=-1)


def shift(pictures: Tensor, most: int, *, generator: torch.Generator) -> Tensor:
    """Shift each window's pictures [B, W, H, W', 3] together, by up to `most` px; the edge repeats.

    Reference:
        Kostrikov, Yarats and Fergus (2020), arXiv 2004.13649, section 3.1.
    """
    count, _, height, width, _ = pictures.shape
    by = torch.randint(-most, most + 1, (2, count, 1), generator=generator, device=generator.device)
    by = by.to(pictures.device)
    rows = (torch.arange(height, device=pictures.device) + by[0]).clamp(0, height - 1)  # [B, H]
    columns = (torch.arange(width, device=pictures.device) + by[1]).clamp(0, width - 1)
    batch = torch.arange(count, device=pictures.device)[:, None, None]
    return pictures.transpose(0, 1)[:, batch, rows[:, :, None], columns[:, None, :]].transpose(0, 1)


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale a picture [H, W, 3] uint8; a smaller one averages over all of its pixels."""
    if picture.shape[:2] == (height, width):
        return picture
    x = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    small = nn.functional.interpolate(x, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return small[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


class Eye:
    """An encoder at run time.

    Attributes:
        config: What pictures it takes.
    """

    def __init__(self, encoder: PictureEncoder) -> None:
        """Take a trained encoder."""
        self._encoder, self.config = encoder, encoder.config

    @torch.no_grad()
    def look(self, picture: np.ndarray) -> np.ndarray:
        """Sights [P] of one picture [H, W, 3] uint8 of the recorded size.

        Raises:
            ShapeError: Another size.
        """
        found = self._encoder.sights(
            torch.from_numpy(np.ascontiguousarray(picture))[None].to(self._encoder.grid.device)
        )
        return found[0].float().cpu().numpy()

    def view(self, frame: RGBDFrame) -> np.ndarray:
        """Cut the recorded view out of a frame of the same camera in any size, and scale it to the recorded size.

        Raises:
            PictureError: The frame does not show all of the recorded view.
        """
        config = self.config
        height, width = frame.rgb.shape[:2]
        if not config.intrinsics:
            if abs(width / height / (config.width / config.height) - 1) > ALIKE:
                raise PictureError(
                    f"pictures of camera {config.camera} were {config.width} x {config.height} px when recorded; "
                    f"{width} x {height} px is another shape: set --camera-size"
                )
            return resize(frame.rgb, config.height, config.width)
        recorded = np.array(config.intrinsics)
        (left, right), (top, bottom) = (
            _span(recorded[axis], frame.K[axis], axis, size) for axis, size in enumerate((config.width, config.height))
        )
        if min(left, top) < -SLACK or right > width + SLACK or bottom > height + SLACK:
            raise PictureError(
                f"the recorded view of camera {config.camera} spans {right - left:.0f} x {bottom - top:.0f} px of this "
                f"camera, whose picture is {width} x {height} px and does not show all of it: set --camera-size to "
                f"{config.width} {config.height}"
            )
        columns, rows = (slice(max(round(low), 0), max(round(high), 1)) for low, high in ((left, right), (top, bottom)))
        return resize(frame.rgb[rows, columns], config.height, config.width)


def _span(recorded: np.ndarray, now: np.ndarray, axis: int, size: int) -> tuple[float, float]:
    """Where the two edges of a recorded picture lie in another one of the same camera, px from its edge.

    Args:
        recorded: [3] row of the intrinsics for this axis; pixel 0 is centred at 0.
        now: [3] likewise.
        axis: 0 for x, 1 for y.
        size: Of the recorded picture, px.
    """
    scale = now[axis] / recorded[axis]
    low, high = ((edge - recorded[2]) * scale + now[2] + 0.5 for edge in (-0.5, size - 0.5))
    return float(low), float(high)
