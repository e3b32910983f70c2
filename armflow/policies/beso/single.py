"""The last action's token by itself, in numpy: what a denoising step computes for one robot.

A product of a matrix with one vector is bound by memory and by the cost of a call; numpy is several times as fast there
as torch. The readable form is `ScoreTransformer.extend`, and a test holds this one to it.
"""

import math

import numpy as np
from scipy.special import erf
from torch import Tensor, nn

from armflow.policies.backbone import Memory
from armflow.policies.beso.network import ScoreTransformer

__all__ = ["SingleToken"]

Past = list[tuple[np.ndarray, np.ndarray]]


class SingleToken:
    """`ScoreTransformer.extend` for a batch of one. Shares the network's weights and copies none."""

    def __init__(self, network: ScoreTransformer, sigma_data: float) -> None:
        """Take a network on the CPU in float32, and the spread of its data."""
        self._sigma_data = sigma_data
        self._enter = _Linear(network.action_token)
        self._leave = _Linear(network.head)
        self._place = _array(network.place)[-1]
        self._norm = _Norm(network.backbone.norm)
        self._blocks = [_Block(block) for block in network.backbone.blocks]

    @staticmethod
    def view(memory: Memory) -> Past:
        """See a memory of one window as arrays [heads, T + 1, width / heads]."""
        return [(keys[0].numpy(), values[0].numpy()) for keys, values in memory]

    def denoise(self, x: np.ndarray, sigma: float, past: Past) -> np.ndarray:
        """Estimate the clean row of a noisy one [H * A]: `Preconditioning.denoise` with plain numbers."""
        c_in = 1 / math.sqrt(sigma**2 + self._sigma_data**2)
        row = c_in * x
        return (self._sigma_data * c_in) * (self._sigma_data * row + sigma * self.extend(row, past))

    def extend(self, last: np.ndarray, past: Past) -> np.ndarray:
        """Denoise a row [H * A], scaled by c_in, at the noise level of `past`."""
        token = self._enter(last) + self._place
        for block, (keys, values) in zip(self._blocks, past, strict=True):
            token = block(token, keys, values)
        shift, gain = self._leave(self._norm(token)).reshape(2, -1)
        return shift + gain * last


class _Linear:
    def __init__(self, layer: nn.Linear) -> None:
        self._weight, self._bias = _array(layer.weight), _array(layer.bias)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self._weight @ x + self._bias


class _Norm:
    def __init__(self, layer: nn.LayerNorm) -> None:
        self._gain, self._bias, self._eps = _array(layer.weight), _array(layer.bias), layer.eps

    def __call__(self, x: np.ndarray) -> np.ndarray:
        centred = x - x.sum() / x.size
        return centred * (self._gain / math.sqrt(float(centred @ centred) / x.size + self._eps)) + self._bias


class _Block:
    def __init__(self, block: nn.Module) -> None:
        self._heads = int(block.heads)  # type: ignore[arg-type]
        self._norms = _Norm(block.norm_attention), _Norm(block.norm_mlp)  # type: ignore[arg-type]
        self._layers = [_Linear(getattr(block, name)) for name in ("qkv", "out", "up", "down")]

    def __call__(self, x: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        qkv, out, up, down = self._layers
        q, keys[:, -1], values[:, -1] = qkv(self._norms[0](x)).reshape(3, self._heads, -1)
        weights = np.matmul(keys, q[..., None])[..., 0] / np.float32(math.sqrt(q.shape[-1]))  # [heads, T + 1]
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        x = x + out(np.matmul(weights[:, None], values).ravel())
        return x + down(_gelu(up(self._norms[1](x))))


def _gelu(x: np.ndarray) -> np.ndarray:
    """The input times the normal distribution function: Hendrycks and Gimpel (2016), arXiv 1606.08415, eq. 1."""
    return x * (0.5 + 0.5 * erf(np.float32(math.sqrt(0.5)) * x))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()
