"""Mixtures of Gaussians: their exact denoiser, samples and distribution functions, to hold samplers against."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mixture:
    """sum_k weights[k] N(means[k], covariances[k]); weights [K], means [K, D], covariances [K, D, D], all float64."""

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Exact mean of the clean x [B, D], given x and a noise level []: Tweedie's formula, component by component."""
        total = self.covariances + sigma**2 * torch.eye(x.shape[-1], dtype=x.dtype)
        away = x[:, None] - self.means  # [B, K, D]
        whitened = torch.einsum("kij,bkj->bki", torch.linalg.inv(total), away)
        log_weight = self.weights.log() - torch.logdet(total) / 2 - (away * whitened).sum(-1) / 2
        cleaned = self.means + torch.einsum("kij,bkj->bki", self.covariances, whitened)
        return torch.einsum("bk,bki->bi", log_weight.softmax(-1), cleaned)

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """ln p(x; sigma) [B] of the mixture with noise added, without the constant."""
        total = self.covariances + sigma**2 * torch.eye(x.shape[-1], dtype=x.dtype)
        away = x[:, None] - self.means
        square = (away * torch.linalg.solve(total, away[..., None])[..., 0]).sum(-1)
        return torch.logsumexp(self.weights.log() - torch.logdet(total) / 2 - square / 2, dim=-1)

    def mean(self) -> np.ndarray:
        return (self.weights[:, None] * self.means).sum(0).numpy()

    def covariance(self) -> np.ndarray:
        away = self.means - torch.as_tensor(self.mean())
        return torch.einsum("k,kij->ij", self.weights, self.covariances + away[:, :, None] * away[:, None, :]).numpy()

    def below(self, values: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Probability that x . direction is below each of the values."""
        centres = self.means.numpy() @ direction
        deviations = np.sqrt(np.einsum("i,kij,j->k", direction, self.covariances.numpy(), direction))
        return ndtr((values[:, None] - centres) / deviations) @ self.weights.numpy()


def three_blobs() -> Mixture:
    """Three well separated blobs in the plane, one round, two slanted, of unequal weights."""
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    means = torch.tensor([[1.0, 0.5], [-1.2, 0.8], [0.1, -1.3]], dtype=torch.float64)
    roots = torch.tensor([[[0.2, 0.0], [0.0, 0.2]], [[0.3, 0.0], [0.2, 0.1]], [[0.1, 0.0], [-0.2, 0.3]]]).double()
    return Mixture(weights, means, roots @ roots.mT)


def two_hills() -> Mixture:
    """Two overlapping hills on a line: a flow without sharp forks, whose errors show their order early."""
    weights, means = torch.tensor([0.3, 0.7]).double(), torch.tensor([[-0.6], [0.5]]).double()
    return Mixture(weights, means, torch.tensor([[[0.09]], [[0.16]]]).double())
