"""Rows and columns of an encoder's attention, computed after the forward pass from the inputs of the layers.

The full matrix of a layer, S x S per head, is never kept: rows need one product with the keys; columns and rollout
process the queries in blocks. All softmaxes are in float32, whatever the precision of the net.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tposecli.models.encoder import Encoder, EncoderLayer, SelfAttention

Mode = Literal["dependency", "influence"]
Combination = Literal["mean", "rollout"]

QUERY_BLOCK = 256
"""Queries per block, where all of them are needed."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Which attention to read.

    Attributes:
        layers: Indices from 0, negative ones counting from the last; or ``mean`` of all layers; or ``rollout``, the
            product of all layers, each averaged with the identity for its shortcut (Abnar and Zuidema, ACL 2020),
            which has no columns.
        keypoints: Indices of keypoints; None for all.
        mode: ``dependency``, rows: what the prediction at the keypoint depends on; ``influence``, columns: what the
            keypoint affects.
        per_head: Return every head instead of their mean; not with ``rollout``.
    """

    layers: tuple[int, ...] | Combination = (-1,)
    keypoints: tuple[int, ...] | None = None
    mode: Mode = "dependency"
    per_head: bool = False

    def __post_init__(self) -> None:
        if self.layers == "rollout" and (self.per_head or self.mode == "influence"):
            raise ValueError("rollout: expected mode dependency and heads averaged")

    def shape(self, heads: int, keypoints: int) -> tuple[int, ...]:
        """Return the axes between crops and grid: (L, Q), or (L, heads, Q) with ``per_head``."""
        layers = 1 if isinstance(self.layers, str) else len(self.layers)
        asked = keypoints if self.keypoints is None else len(self.keypoints)
        return (layers, heads, asked) if self.per_head else (layers, asked)


@dataclass(frozen=True, slots=True)
class EncoderState:
    """The inputs of an encoder's layers, L tensors (B, S, d), and the (1, S, d) position embedding."""

    encoder: Encoder
    inputs: list[Tensor]
    position: Tensor

    def queries_and_keys(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return two float32 tensors (B, heads, S, d / heads), whose product is the attention logits."""
        module = self.encoder.layers[layer]
        assert isinstance(module, EncoderLayer)
        attention: SelfAttention = module.self_attn
        query, key = attention.queries_and_keys(self.inputs[layer], self.position)
        return query.float() / math.sqrt(query.shape[3]), key.float()


def read(state: EncoderState, cells: Tensor, request: Attention) -> Tensor:
    """Return (B, L, Q, S) float32 attention scores of the cells; (B, L, heads, Q, S) with ``per_head``.

    Args:
        state: State of one forward pass.
        cells: (B, Q) int64, row-major indices of the grid.
        request: Which attention to read.
    """
    if request.layers == "rollout":
        return _rollout(state, cells)[:, None]
    layers = range(len(state.inputs)) if request.layers == "mean" else request.layers
    assert not isinstance(layers, str)
    part = _rows if request.mode == "dependency" else _columns
    maps = torch.stack([part(*state.queries_and_keys(layer), cells) for layer in layers], dim=1)
    if request.layers == "mean":
        maps = maps.mean(dim=1, keepdim=True)
    return maps if request.per_head else maps.mean(dim=2)


def _rows(query: Tensor, key: Tensor, cells: Tensor) -> Tensor:
    """Return (B, heads, Q, S): the row of each cell, which sums to 1."""
    return (_at(query, cells) @ key.transpose(2, 3)).softmax(dim=3)


def _columns(query: Tensor, key: Tensor, cells: Tensor) -> Tensor:
    """Return (B, heads, Q, S): how much every position attends to each cell."""
    asked = _at(key, cells).transpose(2, 3)
    parts = [
        torch.exp(block @ asked - torch.logsumexp(block @ key.transpose(2, 3), dim=3, keepdim=True))
        for block in _blocks(query)
    ]
    return torch.cat(parts, dim=2).transpose(2, 3)


def _rollout(state: EncoderState, cells: Tensor) -> Tensor:
    """Return (B, Q, S): rows of the product of all layers, from the last one down."""
    last = len(state.inputs) - 1
    identity = torch.nn.functional.one_hot(cells, state.position.shape[1]).float()
    rows = (identity + _rows(*state.queries_and_keys(last), cells).mean(dim=1)) / 2
    for layer in range(last - 1, -1, -1):
        rows = (rows + _times_attention(rows, *state.queries_and_keys(layer))) / 2
    return rows


def _times_attention(rows: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Return (B, Q, S): rows times the head-averaged attention matrix, computed block by block."""
    total = torch.zeros_like(rows)
    start = 0
    for block in _blocks(query):
        matrix = (block @ key.transpose(2, 3)).softmax(dim=3).mean(dim=1)
        total += rows[:, :, start : start + block.shape[2]] @ matrix
        start += block.shape[2]
    return total


def _blocks(query: Tensor) -> Iterator[Tensor]:
    """Yield (B, heads, at most ``QUERY_BLOCK``, d) blocks, in order."""
    for start in range(0, query.shape[2], QUERY_BLOCK):
        yield query[:, :, start : start + QUERY_BLOCK]


def _at(x: Tensor, cells: Tensor) -> Tensor:
    """Gather (B, heads, S, d) at (B, Q) cells: (B, heads, Q, d)."""
    return x.gather(2, cells[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
