"""The Transformer encoder of TransPose: post-norm layers, position added to queries and keys in every layer.

Formulas: Vaswani et al., NeurIPS 2017; two-dimensional sine embedding: Carion et al., ECCV 2020 (DETR).
Tokens are the positions of the attention grid in row-major order, batch first: (B, S, d) with S = h * w.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.inference.backends.fused_ops import add_norm, linear_relu


def sine_embedding(grid_hw: tuple[int, int], channels: int) -> Tensor:
    """(S, 1, channels) float32: the first half of the channels encodes y, the second x, sines and cosines in turn."""
    height, width = grid_hw
    half = channels // 2
    wavelength = 10000 ** (2 * (torch.arange(half, dtype=torch.float32) // 2) / half)

    def encode(length: int) -> Tensor:
        position = torch.arange(1, length + 1, dtype=torch.float32)
        angle = (position / (length + 1e-6) * 2 * math.pi)[:, None] / wavelength
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)

    y = encode(height)[:, None].expand(height, width, half)
    x = encode(width)[None].expand(height, width, half)
    return torch.cat((y, x), dim=2).reshape(height * width, 1, channels)


class SelfAttention(nn.Module):
    """Multi-head self-attention whose queries and keys carry the position and whose values do not.

    Attributes:
        offset: (1, S, 3 d) what position and bias add to queries, keys and values; None until it is precomputed.
    """

    offset: Tensor | None

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.register_buffer("offset", None, persistent=False)
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        """(B, S, d) to (B, S, d); no attention matrix is made."""
        if self.offset is None:
            channels = tokens.shape[2]
            query, key = self.queries_and_keys(tokens, position)
            weight, bias = self.in_proj_weight[2 * channels :], self.in_proj_bias[2 * channels :]
            value = self._split(functional.linear(tokens, weight, bias))
        else:
            parts = (functional.linear(tokens, self.in_proj_weight) + self.offset).chunk(3, dim=2)
            query, key, value = (self._split(part) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def precompute(self, position: Tensor) -> None:
        """Fix the (1, S, d) position, for prediction: its products are made once, and one product gives all three."""
        queries_keys = self.in_proj_weight.detach()[: 2 * position.shape[2]]
        moved = functional.pad(functional.linear(position.detach(), queries_keys), (0, position.shape[2]))
        self.offset = moved + self.in_proj_bias.detach()

    def queries_and_keys(self, tokens: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Two tensors (B, heads, S, d / heads), of what the layer was given."""
        channels = tokens.shape[2]
        weight, bias = self.in_proj_weight[: 2 * channels], self.in_proj_bias[: 2 * channels]
        query, key = functional.linear(tokens + position, weight, bias).chunk(2, dim=2)
        return self._split(query), self._split(key)

    def _split(self, x: Tensor) -> Tensor:
        """(B, S, d) to (B, heads, S, d / heads)."""
        batch, positions, channels = x.shape
        return x.reshape(batch, positions, self.heads, channels // self.heads).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Attention and a two-layer feed-forward net, each followed by its shortcut and LayerNorm."""

    def __init__(self, channels: int, hidden: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.self_attn = SelfAttention(channels, heads)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        """(B, S, d) to (B, S, d)."""
        tokens = add_norm(self.norm1, tokens, self.dropout(self.self_attn(tokens, position)))
        hidden = self.dropout(linear_relu(self.linear1, tokens))
        return add_norm(self.norm2, tokens, self.dropout(self.linear2(hidden)))


class Encoder(nn.Module):
    """A chain of encoder layers."""

    def __init__(self, layers: int, channels: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(channels, hidden, heads) for _ in range(layers))

    def forward(self, tokens: Tensor, position: Tensor) -> list[Tensor]:
        """The input of every layer, first to last, and the output of the last: L + 1 tensors (B, S, d)."""
        stages = [tokens]
        for layer in self.layers:
            stages.append(layer(stages[-1], position))
        return stages
