"""Gaussians brought closer to the frames they were made from, by gradients of their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussians import GaussianError, GaussianObject
from armflow.perception.splat import Rasterizer, Splats, View, splat, splat_cuda
from armflow.robot.arrays import check_shape
from armflow.robot.errors import ShapeError, ValueRangeError

__all__ = ["RefineConfig", "Refined", "psnr", "refine"]

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
        gaussians: The better Gaussians.
        losses: [steps] of the frame drawn at each step, before that step.
    """

    gaussians: GaussianObject
    losses: np.ndarray


@dataclass(frozen=True, slots=True)
class _Target:
    """One frame as the loss takes it: view, picture [H, W, 3] with black around, mask and depth [H, W], all tensors."""

    view: View
    rgb: torch.Tensor
    mask: torch.Tensor
    depth: torch.Tensor


def refine(
    gaussians: GaussianObject,
    frames: Sequence[RGBDFrame],
    masks: Sequence[np.ndarray],
    config: RefineConfig | None = None,
    rasterizer: Rasterizer = splat,
) -> Refined:
    """Move, turn, size and colour Gaussians so that their pictures come closer to the frames.

    Minimises the mean absolute error of colour on black, plus weighted those of alpha and, in the mask, of depth.

    Args:
        gaussians: Where to start.
        frames: Views of one moment.
        masks: [H, W] bool each, the object's silhouette.
        config: Steps, rates and weights.
        rasterizer: Which one draws.

    Raises:
        GaussianError: No frames, or the loss is no longer finite.
        ShapeError: Not one mask a frame, or a mask of another size.

    Reference:
        Kerbl et al. (2023), doi:10.1145/3592433, section 5, without adding or removing Gaussians.
    """
    config = config or RefineConfig()
    device = "cuda" if rasterizer is splat_cuda else "cpu"
    targets = _targets(frames, masks, device)
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
    return Refined(_as_object(gaussians, _bound(free)), losses)


def _targets(frames: Sequence[RGBDFrame], masks: Sequence[np.ndarray], device: str) -> list[_Target]:
    if not len(frames):
        raise GaussianError("no frames to refine with; give at least one RGB-D frame and its mask")
    if len(masks) != len(frames):
        raise ShapeError("masks", f"{len(frames)} masks, one a frame", len(masks))
    targets = []
    for i, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        check_shape(f"masks[{i}]", mask, "H W", {"H": frame.depth.shape[0], "W": frame.depth.shape[1]})
        arrays = (frame.rgb / 255.0 * mask[..., None], mask, np.where(mask, frame.depth, np.nan))
        tensors = (torch.as_tensor(np.asarray(array), dtype=torch.float32, device=device) for array in arrays)
        targets.append(_Target(View.of(frame), *tensors))
    return targets


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
    loss = (image[..., :3] - target.rgb).abs().mean() + config.mask_weight * (alpha - target.mask).abs().mean()
    return loss + config.depth_weight * ((image[..., 3] - alpha * depth).abs() * measured).mean()


def _as_object(like: GaussianObject, splats: Splats) -> GaussianObject:
    means, quats, scales, opacities, colors = (t.detach().cpu().numpy().astype(float) for t in splats)
    quats = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    return replace(like, means_world=means, quats=quats, scales=scales, opacities=opacities, colors=colors)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two pictures with values in 0 … 1, dB; infinite where they are equal."""
    error = float(np.mean((np.asarray(first, float) - np.asarray(second, float)) ** 2))
    return float("inf") if error == 0.0 else -10.0 * float(np.log10(error))
