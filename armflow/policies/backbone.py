"""The causal transformer that the policies share.

Pre-norm blocks (Radford et al. 2019) with one projection for queries, keys and values and fused attention. Only some
tokens are read at the end, so the last block computes queries and the two-layer part for those alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from armflow.robot.errors import StackError

__all__ = ["BackboneConfig", "BackboneError", "CausalTransformer", "Memory"]


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
        return self._after(x, _attend(self._split(q), self._split(k), self._split(v), mask, dropout))

    def _after(self, x: Tensor, seen: Tensor) -> Tensor:
        x = x + self.drop(self.out(seen.transpose(1, 2).reshape(x.shape)))
        return x + self.drop(self.down(gelu(self.up(self.norm_mlp(x)))))

    def remember(self, x: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Keys and values [B, heads, T + 1, D] for x [B, T, C], with room for one more, and what `forward` gives."""
        q, k, v = (self._split(part) for part in self.qkv(self.norm_attention(x)).split(x.shape[-1], dim=-1))
        return _with_room(k, v), self._after(x, _attend(q, k, v, None, 0.0))

    def remember_only(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values as `remember` gives them, where nothing else is needed."""
        width = x.shape[-1]
        weight, bias = self.qkv.weight[width:], self.qkv.bias[width:]
        k, v = nn.functional.linear(self.norm_attention(x), weight, bias).split(width, dim=-1)
        return _with_room(self._split(k), self._split(v))

    def extend(self, x: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """Map one more token [B, 1, C], given what the block remembers of those before; overwrites the last place."""
        q, k, v = (self._split(part) for part in self.qkv(self.norm_attention(x)).split(x.shape[-1], dim=-1))
        keys, values = memory
        keys[:, :, -1:], values[:, :, -1:] = k, v
        return self._after(x, scaled_dot_product_attention(q, keys, values))


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Attention of queries [B, heads, R, D] to T tokens, causal without a `mask` [R, T].

    For few tokens in bf16 the processor's fused kernel takes twice as long, both ways, as the products by themselves.
    """
    if q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=mask is None)
    seen = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril() if mask is None else mask
    hidden = q.new_zeros(seen.shape).masked_fill(~seen, -torch.inf)
    with torch.autocast("cpu", enabled=False):  # which would take the softmax to float32 and back
        rows, columns, values = (part.flatten(0, 1) for part in (q, k, v))
        scores = torch.baddbmm(hidden, rows, columns.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
        return (nn.functional.dropout(scores.softmax(dim=-1), dropout) @ values).unflatten(0, q.shape[:2])


def _with_room(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values [B, heads, T, D] as [B, heads, T + 1, D]."""
    return nn.functional.pad(k, (0, 0, 0, 1)), nn.functional.pad(v, (0, 0, 0, 1))


Memory = list[tuple[Tensor, Tensor]]
"""Keys and values of every block."""


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

    def remember(self, tokens: Tensor) -> Memory:
        """Compute what later tokens need of tokens [B, T, C]; by causality they do not change with what follows."""
        *early, last = self.blocks
        memory = []
        for block in early:
            kept, tokens = block.remember(tokens)  # type: ignore[operator]
            memory.append(kept)
        return [*memory, last.remember_only(tokens)]  # type: ignore[operator]

    def extend(self, token: Tensor, memory: Memory) -> Tensor:
        """Map one more token [B, 1, C] to its output [B, 1, C]; the memory serves for any number of such tokens."""
        for block, kept in zip(self.blocks, memory, strict=True):
            token = block.extend(token, kept)  # type: ignore[operator]
        return self.norm(token)
