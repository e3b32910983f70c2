"""Draw Gaussians as colour, depth and alpha, with gradients to all that they are made of.

`splat` is the compiled rasteriser, for one processor thread; `splat_reference` says the same in plain torch and
`splat_cuda` hands over to gsplat where there is a GPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import RigidTransform

from armflow.perception.frame import RGBDFrame
from armflow.perception.splat_kernel import bin_tiles, draw, draw_backward
from armflow.perception.splat_projection import MARGIN, Lens, project, project_backward
from armflow.robot.arrays import check_finite, check_shape
from armflow.robot.errors import ShapeError, StackError, ValueRangeError

if TYPE_CHECKING:
    from armflow.perception.gaussians import GaussianObject

__all__ = ["MissingRasterizerError", "Picture", "Splats", "View", "choose_rasterizer", "render", "splat", "splat_cuda"]

NEAR = 0.01  # nothing nearer to the camera is drawn, m
_EMPTY = 1e-6  # alpha below which a pixel has no depth


class MissingRasterizerError(StackError):
    """The package or the device that a rasteriser needs is not there."""


class Splats(NamedTuple):
    """Gaussians as tensors of one floating type and device.

    Attributes:
        means: [N, 3] m, world.
        quats: [N, 4] wxyz, of any length but zero.
        scales: [N, 3] standard deviations along their own axes, m.
        opacities: [N] in 0 … 1.
        colors: [N, 3] red, green, blue.
    """

    means: torch.Tensor
    quats: torch.Tensor
    scales: torch.Tensor
    opacities: torch.Tensor
    colors: torch.Tensor

    @classmethod
    def of(
        cls, gaussians: "GaussianObject", dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> "Splats":
        """Tensors of a `GaussianObject`."""
        g = gaussians
        arrays = (g.means_world, g.quats, g.scales, g.opacities, g.colors)
        return cls(*(torch.as_tensor(array, dtype=dtype, device=device) for array in arrays))


@dataclass(frozen=True, slots=True)
class View:
    """A camera to draw for.

    Attributes:
        K: [3, 3] pinhole intrinsics without skew, px; pixel (row v, column u) is the image point (u, v).
        T_world_camera: Camera to world; the camera is x right, y down, z forward.
        width: px.
        height: px.
    """

    K: np.ndarray
    T_world_camera: RigidTransform
    width: int
    height: int

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ShapeError: K is not [3, 3] or has an entry that is not finite.
            ValueRangeError: A focal length is not positive, K has skew, or the picture has no pixel.
        """
        check_shape("K", self.K, "3 3")
        check_finite("K", self.K)
        if not (self.K[0, 0] > 0 and self.K[1, 1] > 0 and self.K[0, 1] == 0):
            raise ValueRangeError("K", self.K[:2, :2].tolist(), "a matrix with positive focal lengths and no skew, px")
        if self.width < 1 or self.height < 1:
            raise ValueRangeError("picture size", (self.width, self.height), "at least 1 px on each side")

    @classmethod
    def of(cls, frame: RGBDFrame) -> "View":
        """The camera that took a frame."""
        return cls(frame.K, frame.T_world_camera, frame.rgb.shape[1], frame.rgb.shape[0])

    def lens(self) -> Lens:
        """The camera as numbers."""
        T = self.T_world_camera.inv().as_matrix()
        focal, center = np.diag(self.K)[:2].astype(float), self.K[:2, 2].astype(float)
        size = np.array([self.width, self.height], float)
        margin = MARGIN * 0.5 * size / focal
        low, high = -center / focal - margin, (size - center) / focal + margin
        pairs = [(float(a), float(b)) for a, b in (focal, center, low, high)]
        R, t = np.ascontiguousarray(T[:3, :3]), np.ascontiguousarray(T[:3, 3])
        return Lens(R, t, pairs[0], pairs[1], pairs[2], pairs[3], NEAR)


Rasterizer = Callable[[Splats, View], torch.Tensor]
"""Gaussians and a camera to [H, W, 5]: red, green, blue and depth (m), each times alpha, and alpha."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a camera would see.

    Attributes:
        rgb: [H, W, 3] float32 in 0 … 1, before black.
        depth: [H, W] float32 mean depth of what is seen, m; NaN where nothing is.
        alpha: [H, W] float32, 0 where nothing is, towards 1 where nothing shines through.
    """

    rgb: np.ndarray
    depth: np.ndarray
    alpha: np.ndarray


def render(gaussians: "GaussianObject", view: View, rasterizer: Rasterizer | None = None) -> Picture:
    """Draw an object.

    Args:
        gaussians: What to draw.
        view: From where.
        rasterizer: Which one draws; the compiled one if left out.
    """
    device = "cuda" if rasterizer is splat_cuda else "cpu"
    with torch.no_grad():
        image = (rasterizer or splat)(Splats.of(gaussians, device=device), view).cpu().numpy()
    alpha = image[..., 4]
    depth = np.where(alpha > _EMPTY, image[..., 3] / np.maximum(alpha, _EMPTY), np.nan)
    return Picture(np.clip(image[..., :3], 0.0, 1.0), depth.astype(np.float32), alpha)


def choose_rasterizer() -> Rasterizer:
    """The fastest rasteriser of this machine: gsplat where it and a CUDA device are there, else the compiled one."""
    from importlib.util import find_spec

    return splat_cuda if torch.cuda.is_available() and find_spec("gsplat") is not None else splat


def splat(splats: Splats, view: View) -> torch.Tensor:
    """Draw with the compiled rasteriser; gradients flow to every tensor of `splats`.

    Args:
        splats: Tensors on the processor; computed with in float64 up to the projection, then in float32.
        view: The camera.

    Returns:
        [H, W, 5] float32 red, green, blue and depth (m), each times alpha, and alpha.

    Raises:
        ShapeError: A tensor of the wrong shape, or with an entry that is not finite.

    Reference:
        Kerbl et al. (2023), doi:10.1145/3592433; Zwicker et al. (2002), doi:10.1109/TVCG.2002.1021576.
    """
    result = _Splat.apply(*splats, view)
    assert isinstance(result, torch.Tensor)
    return result


class _Splat(torch.autograd.Function):
    """The kernels as one step of a torch computation."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> torch.Tensor:
        *tensors, view = inputs
        means, quats, scales, opacities, colors = check_splats(Splats(*tensors))
        lens = view.lens()
        flat, boxes = project(means, quats, scales, opacities, colors, lens, (view.width, view.height))
        seen = np.flatnonzero(boxes[:, 1] > boxes[:, 0])
        order = seen[np.argsort(flat[seen, 9], kind="stable")]
        first, members = bin_tiles(boxes, order, view.width, view.height)
        image = np.empty((view.height, view.width, 5), np.float32)
        draw(flat, boxes, first, members, image)
        ctx.kept = (means, quats, scales), lens, flat, boxes, first, members, image
        ctx.types = [tensor.dtype for tensor in tensors]
        return torch.from_numpy(image.copy())

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (means, quats, scales), lens, flat, boxes, first, members, image = ctx.kept
        upstream = np.ascontiguousarray(gradients[0].detach().numpy(), dtype=np.float32)
        to_flat = draw_backward(flat, boxes, first, members, image, upstream)
        moved = project_backward(means, quats, scales, lens, boxes, to_flat)
        found = (*moved, to_flat[:, 5], to_flat[:, 6:9])
        given = (torch.from_numpy(np.ascontiguousarray(g)).to(kind) for g, kind in zip(found, ctx.types, strict=True))
        return (*given, None)


def check_splats(splats: Splats) -> tuple[np.ndarray, ...]:
    """Contiguous float64 arrays of the five tensors, once their shapes agree and they are finite.

    Raises:
        ShapeError: A tensor of the wrong shape or on a device, or with an entry that is not finite.
    """
    shapes = ("N 3", "N 4", "N 3", "N", "N 3")
    arrays, sizes = [], {}
    for name, tensor, shape in zip(Splats._fields, splats, shapes, strict=True):
        if tensor.device.type != "cpu":
            raise ShapeError(name, "a tensor on the processor", f"one on {tensor.device}")
        array = np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float64)
        sizes = check_shape(name, array, shape, sizes)
        check_finite(name, array)
        arrays.append(array)
    return tuple(arrays)


def splat_cuda(splats: Splats, view: View) -> torch.Tensor:
    """Draw with gsplat on a CUDA device; same answer as `splat` but that alpha may reach 0.999.

    Args:
        splats: Tensors on a CUDA device.
        view: The camera.

    Returns:
        [H, W, 5] as `splat`, on the same device.

    Raises:
        MissingRasterizerError: gsplat is not installed, or there is no CUDA device.
    """
    if not torch.cuda.is_available():
        raise MissingRasterizerError("gsplat needs a CUDA device and there is none; use the compiled rasteriser")
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise MissingRasterizerError(f"gsplat cannot be imported ({error}); install armflow[gsplat]") from error
    like = splats.means
    K = view.K.copy()
    K[:2, 2] += 0.5  # gsplat has the middle of the first pixel at (0.5, 0.5)
    T_camera_world = view.T_world_camera.inv().as_matrix()
    colors, alphas, _ = rasterization(
        *splats,
        viewmats=like.new_tensor(T_camera_world[None]),
        Ks=like.new_tensor(K[None]),
        width=view.width,
        height=view.height,
        near_plane=NEAR,
        render_mode="RGB+D",
    )
    return torch.cat([colors[0], alphas[0]], -1)
