"""The Transformer encoder of TransPose: post-norm layers, position added to queries and keys in every layer.

Formulas: Vaswani et al., NeurIPS 2017; two-dimensional sine embedding: Carion et al., ECCV 2020 (DETR).
Tokens are the positions of the attention grid in row-major order, batch first: (B, S, d) with S = h * w.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def sine_embedding(grid_hw: tuple[int, int], channels: int) -> Tensor:
    """Return (S, 1, channels) float32: sines and cosines in turn, of y in the first half of the channels, then of x."""
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
    """Multi-head self-attention; the position embedding is added to queries and keys, not to values."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        """(B, S, d) tokens and (1, S, d) position to (B, S, d)."""
        channels = tokens.shape[2]
        query, key = self.queries_and_keys(tokens, position)
        weight, bias = self.in_proj_weight[2 * channels :], self.in_proj_bias[2 * channels :]
        value = self.split_heads(functional.linear(tokens, weight, bias))
        return self.attend(query, key, value)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return the (B, S, d) output projection of the attention of three tensors (B, heads, S, d / heads)."""
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def queries_and_keys(self, tokens: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Return two tensors (B, heads, S, d / heads), from the (B, S, d) input of the layer."""
        channels = tokens.shape[2]
        weight, bias = self.in_proj_weight[: 2 * channels], self.in_proj_bias[: 2 * channels]
        query, key = functional.linear(tokens + position, weight, bias).chunk(2, dim=2)
        return self.split_heads(query), self.split_heads(key)

    def split_heads(self, x: Tensor) -> Tensor:
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
        """(B, S, d) tokens and (1, S, d) position to (B, S, d)."""
        tokens = self.norm1(tokens + self.dropout(self.self_attn(tokens, position)))
        hidden = self.dropout(functional.relu(self.linear1(tokens)))
        return self.norm2(tokens + self.dropout(self.linear2(hidden)))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Encoder layers in sequence."""

    def __init__(self, layers: int, channels: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(channels, hidden, heads) for _ in range(layers))

    def forward(self, tokens: Tensor, position: Tensor) -> list[Tensor]:
        """Return the input of every layer and the output of the last: L + 1 tensors (B, S, d)."""
        stages = [tokens]
        for layer in self.layers:
            stages.append(layer(stages[-1], position))
        return stages
