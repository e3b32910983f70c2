"""The causal transformer that the policies share.

Pre-norm blocks (Radford et al. 2019) with one projection for queries, keys and values and fused attention. Only some
tokens are read at the end, so the last block computes queries and the two-layer part for those alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from armflow.robot.errors import StackError

__all__ = ["BackboneConfig", "BackboneError", "CausalTransformer"]


class BackboneError(StackError):
    """A transformer of impossible shape."""


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """Size of the transformer.

    Attributes:
        width: Numbers per token.
        depth: Blocks.
        heads: Attention heads; they divide the width.
        dropout: Share of attention weights and of residual updates that are dropped in training.
    """

    width: int = 240
    depth: int = 4
    heads: int = 12
    dropout: float = 0.05

    def __post_init__(self) -> None:
        """Check that the heads divide the width."""
        if min(self.width, self.depth, self.heads) < 1 or self.width % self.heads:
            raise BackboneError(
                f"width {self.width}, depth {self.depth}, heads {self.heads}: at least 1, and heads divide width"
            )
        if not 0 <= self.dropout < 1:
            raise BackboneError(f"dropout {self.dropout} is not in 0 to 1")


class _Block(nn.Module):
    """Attention and a two-layer part, each added to its input."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.drop = nn.Dropout(config.dropout)
        smaller = 0.02 / (2 * config.depth) ** 0.5
        for layer, spread in ((self.qkv, 0.02), (self.up, 0.02), (self.out, smaller), (self.down, smaller)):
            nn.init.normal_(layer.weight, std=spread)
            nn.init.zeros_(layer.bias)

    def _split(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        return x.view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)  # [B, heads, T, width / heads]

    def forward(self, x: Tensor, read: Tensor | None, mask: Tensor | None) -> Tensor:
        """Map tokens [B, T, C] to [B, R, C]: all of them, or those at `read` [R] with their rows of `mask` [R, T]."""
        width = x.shape[-1]
        normed = self.norm_attention(x)
        if read is None:
            q, k, v = self.qkv(normed).split(width, dim=-1)
        else:
            weight, bias = self.qkv.weight, self.qkv.bias
            x = x[:, read]
            q = nn.functional.linear(normed[:, read], weight[:width], bias[:width])
            k, v = nn.functional.linear(normed, weight[width:], bias[width:]).split(width, dim=-1)
        dropout = self.dropout if self.training else 0.0
        seen = scaled_dot_product_attention(
            self._split(q), self._split(k), self._split(v), mask, dropout, is_causal=mask is None
        )
        x = x + self.drop(self.out(seen.transpose(1, 2).reshape(x.shape)))
        return x + self.drop(self.down(gelu(self.up(self.norm_mlp(x)), approximate="tanh")))


class CausalTransformer(nn.Module):
    """Tokens in, a few tokens out; each sees itself and those before it."""

    def __init__(self, config: BackboneConfig) -> None:
        """Draw weights of spread 0.02; those that add to the residual stream are smaller by sqrt(2 depth)."""
        super().__init__()
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, tokens: Tensor, read: Tensor) -> Tensor:
        """Map tokens [B, T, C] to the outputs at the places `read` [R], [B, R, C]."""
        *early, last = self.blocks
        for block in early:
            tokens = block(tokens, None, None)
        mask = torch.arange(tokens.shape[1], device=tokens.device) <= read[:, None]
        return self.norm(last(tokens, read, mask))
