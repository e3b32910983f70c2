"""Gaussians brought closer to the frames they were made from, by gradients of their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussians import GaussianError, GaussianObject
from armflow.perception.splat import Rasterizer, Splats, View, splat, splat_cuda
from armflow.robot.arrays import check_shape
from armflow.robot.errors import ShapeError, ValueRangeError

__all__ = ["RefineConfig", "Refined", "refine"]

_BORDER = 12  # px kept around the object's mask
_FAINT = 0.15  # opacity below which a Gaussian is dropped in the end
_EDGE = 1e-4  # opacities and colours are kept so far from 0 and 1 while they are moved


@dataclass(frozen=True, slots=True)
class RefineConfig:
    """How Gaussians are refined."""

    steps: int = 100
    """Steps of Adam; each draws one frame, in turn."""
    place: float = 2e-4
    """Learning rate of the middles, m."""
    turn: float = 5e-3
    """Learning rate of the quaternions."""
    size: float = 1e-2
    """Learning rate of the scales' logarithms."""
    opacity: float = 5e-2
    """Learning rate of the opacities' logits."""
    color: float = 5e-2
    """Learning rate of the colours' logits."""
    mask_weight: float = 0.5
    """Weight of alpha against the mask, beside the colours' 1."""
    depth_weight: float = 1.0
    """Weight of the depth's error, 1/m."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueRangeError: A value below 0 or not finite.
        """
        for name in self.__slots__:
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueRangeError(name, value, "finite and at least 0")


@dataclass(frozen=True, slots=True)
class Refined:
    """What refining gave.

    Attributes:
        gaussians: The better Gaussians, without those that have faded away.
        losses: [steps] of the frame drawn at each step, before that step.
    """

    gaussians: GaussianObject
    losses: np.ndarray


@dataclass(frozen=True, slots=True)
class _Target:
    """One frame as the loss takes it: picture [H, W, 3] with black around, mask, depth, what counts, all [H, W]."""

    view: View
    rgb: torch.Tensor
    mask: torch.Tensor
    depth: torch.Tensor
    counts: torch.Tensor


def refine(
    gaussians: GaussianObject,
    frames: Sequence[RGBDFrame],
    masks: Sequence[np.ndarray],
    config: RefineConfig | None = None,
    *,
    hidden: Sequence[np.ndarray] | None = None,
    rasterizer: Rasterizer = splat,
) -> Refined:
    """Move, turn, size and colour Gaussians so that their pictures come closer to the frames.

    Minimises the mean absolute error of colour on black, plus weighted those of alpha and, in the mask, of depth.

    Args:
        gaussians: Where to start.
        frames: Views of one moment.
        masks: [H, W] bool each, the object's silhouette.
        config: Steps, rates and weights.
        hidden: [H, W] bool each, pixels outside the mask where something else may be in front of the object; they
            say nothing.
        rasterizer: Which one draws.

    Raises:
        GaussianError: No frames, or the loss is no longer finite.
        ShapeError: Not one mask a frame, or a mask of another size.
        ValueRangeError: A mask without a pixel.

    Reference:
        Kerbl et al. (2023), doi:10.1145/3592433, section 5, without adding or removing Gaussians.
    """
    config = config or RefineConfig()
    device = "cuda" if rasterizer is splat_cuda else "cpu"
    targets = _targets(frames, masks, hidden or [np.zeros_like(mask) for mask in masks], device)
    free = _free(Splats.of(gaussians, device=device))
    rates = (config.place, config.turn, config.size, config.opacity, config.color)
    optimizer = torch.optim.Adam([{"params": [p], "lr": rate} for p, rate in zip(free, rates, strict=True)], eps=1e-15)
    losses = np.zeros(config.steps)
    for step in range(config.steps):
        target = targets[step % len(targets)]
        loss = _loss(rasterizer(_bound(free), target.view), target, config)
        losses[step] = loss.item()
        if not np.isfinite(losses[step]):
            raise GaussianError(f"the loss is {losses[step]} at step {step}; lower the learning rates")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return Refined(_as_object(_bound(free)), losses)


def _targets(
    frames: Sequence[RGBDFrame], masks: Sequence[np.ndarray], hidden: Sequence[np.ndarray], device: str
) -> list[_Target]:
    if not len(frames):
        raise GaussianError("no frames to refine with; give at least one RGB-D frame and its mask")
    for name, given in (("masks", masks), ("hidden", hidden)):
        if len(given) != len(frames):
            raise ShapeError(name, f"{len(frames)} masks, one a frame", len(given))
        for i, (frame, mask) in enumerate(zip(frames, given, strict=True)):
            check_shape(f"{name}[{i}]", mask, "H W", {"H": frame.depth.shape[0], "W": frame.depth.shape[1]})
    return [_target(*views, device) for views in zip(frames, masks, hidden, strict=True)]


def _target(frame: RGBDFrame, mask: np.ndarray, hidden: np.ndarray, device: str) -> _Target:
    """The part of a frame about the object; drawing only that is many times faster."""
    if not mask.any():
        raise ValueRangeError("pixels of a mask", 0, "at least 1")
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = max(rows[0] - _BORDER, 0), max(columns[0] - _BORDER, 0)
    part = np.s_[top : rows[-1] + 1 + _BORDER, left : columns[-1] + 1 + _BORDER]
    rgb, mask, depth, hidden = frame.rgb[part], mask[part], frame.depth[part], hidden[part]
    arrays = (rgb / 255.0 * mask[..., None], mask, np.where(mask, depth, np.nan), ~hidden | mask)
    tensors = (torch.as_tensor(np.asarray(array), dtype=torch.float32, device=device) for array in arrays)
    K = frame.K - np.array([[0.0, 0.0, left], [0.0, 0.0, top], [0.0, 0.0, 0.0]])
    return _Target(View(K, frame.T_world_camera, mask.shape[1], mask.shape[0]), *tensors)


def _free(splats: Splats) -> Splats:
    """Parameters that may take any value: logarithms of the scales, logits of opacities and colours."""
    opacities, colors = (torch.logit(x.clamp(_EDGE, 1.0 - _EDGE)) for x in (splats.opacities, splats.colors))
    found = Splats(splats.means, splats.quats, splats.scales.log(), opacities, colors)
    return Splats(*(tensor.detach().clone().requires_grad_() for tensor in found))


def _bound(free: Splats) -> Splats:
    """The Gaussians of such parameters."""
    quats = torch.nn.functional.normalize(free.quats, dim=-1)
    return Splats(free.means, quats, free.scales.exp(), free.opacities.sigmoid(), free.colors.sigmoid())


def _loss(image: torch.Tensor, target: _Target, config: RefineConfig) -> torch.Tensor:
    """Loss of a picture [H, W, 5]; depth counts where it was measured."""
    alpha = image[..., 4]
    measured = torch.isfinite(target.depth) & (target.depth > 0)
    depth = torch.where(measured, target.depth, 0.0)
    color = (image[..., :3] - target.rgb).abs().mean(dim=-1)
    error = color + config.mask_weight * (alpha - target.mask).abs()
    error = error + config.depth_weight * (image[..., 3] - alpha * depth).abs() * measured
    return (error * target.counts).mean()


def _as_object(splats: Splats) -> GaussianObject:
    """The Gaussians that can be seen."""
    means, quats, scales, opacities, colors = (t.detach().cpu().numpy().astype(float) for t in splats)
    quats = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    kept = opacities >= min(_FAINT, opacities.max())
    return GaussianObject(means[kept], quats[kept], scales[kept], opacities[kept], colors[kept])
