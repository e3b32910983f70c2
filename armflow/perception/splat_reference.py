"""The rasteriser in plain torch: every Gaussian at every pixel, nearest first; slow, and plain to read."""

import torch

from armflow.perception.splat import Splats, View
from armflow.perception.splat_kernel import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from armflow.perception.splat_projection import BLUR

__all__ = ["rotation_matrices", "splat_reference"]


def splat_reference(splats: Splats, view: View) -> torch.Tensor:
    """Draw as `splat` does.

    Args:
        splats: Tensors of any floating type.
        view: The camera.

    Returns:
        [H, W, 5] of that type: red, green, blue and depth (m), each times alpha, and alpha.
    """
    middles, inverses, depths, valid = _project(splats, view)
    order = torch.argsort(depths.detach(), stable=True)
    order = order[valid[order]]
    rows, columns = torch.meshgrid(torch.arange(view.height), torch.arange(view.width), indexing="ij")
    pixels = torch.stack([columns, rows], -1).reshape(-1, 2).to(middles)
    offsets = pixels[None] - middles[order][:, None]  # [V, H W, 2]
    q = torch.einsum("npi,nij,npj->np", offsets, inverses[order], offsets)
    alpha = (splats.opacities[order][:, None] * torch.exp(-0.5 * q)).clamp(max=ALPHA_MAX)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, 0.0)
    added = torch.cat([splats.colors, depths[:, None], torch.ones_like(depths)[:, None]], -1)[order]
    image, T = pixels.new_zeros(len(pixels), 5), pixels.new_ones(len(pixels))
    for a, value in zip(alpha, added, strict=True):
        w = torch.where(TRANSMITTANCE_MIN <= T, a * T, 0.0)
        image = image + w[:, None] * value
        T = T - w
    return image.reshape(view.height, view.width, 5)


def _project(splats: Splats, view: View) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Middles [N, 2] px, inverse covariances [N, 2, 2] 1/px^2, depths [N] m and which are drawn [N]."""
    lens = view.lens()
    W, t = splats.means.new_tensor(lens.R), splats.means.new_tensor(lens.t)
    focal, center = splats.means.new_tensor(lens.focal), splats.means.new_tensor(lens.center)
    points = splats.means @ W.T + t
    valid = (points[:, 2] > lens.near) & (splats.opacities > ALPHA_MIN)
    points = torch.where(valid[:, None], points, torch.ones_like(points))
    depths = points[:, 2]
    slopes = points[:, :2] / depths[:, None]
    kept = slopes.clamp(splats.means.new_tensor(lens.low), splats.means.new_tensor(lens.high))
    J = points.new_zeros(len(points), 2, 3)
    J[:, :, :2] = torch.diag_embed(focal / depths[:, None])
    J[:, :, 2] = -focal * kept / depths[:, None]
    M = rotation_matrices(splats.quats) * splats.scales[:, None, :]
    A = J @ W @ M
    covariance = A @ A.mT + BLUR * torch.eye(2).to(A)
    return focal * slopes + center, torch.linalg.inv(covariance), depths, valid


def rotation_matrices(quats: torch.Tensor) -> torch.Tensor:
    """Rotations [N, 3, 3] of quaternions wxyz [N, 4] of any length but zero."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    entries = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, -1) for row in entries], -2)
