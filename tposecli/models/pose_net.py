"""The common part of all TransPose nets: backbone, Transformer encoder, heatmap head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tposecli.models.attention_readout import Attention, EncoderState, read
from tposecli.models.encoder import Encoder, sine_embedding

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
AFTER_BACKBONE = ("reduce", "global_encoder", "deconv_layers", "final_layer")
"""Prefixes of the parameters that do not belong to the backbone."""


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Size of a Transformer encoder: number of layers, channels, hidden channels of the feed-forward net, heads."""

    layers: int
    channels: int
    hidden: int
    heads: int


class Normalize(nn.Module):
    """Normalisation of bytes by ImageNet's mean and standard deviation, in the net's precision."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB to (B, 3, H, W)."""
        scaled = crops.permute(0, 3, 1, 2).to(self.mean.dtype) / 255
        return (scaled - self.mean) / self.std


class PoseNet(nn.Module):
    """A net that turns crops of people into keypoint heatmaps.

    Subclasses implement ``features`` (crop to feature map) and ``head`` (encoded map to heatmaps).

    Attributes:
        input_hw: Height and width of a crop, in pixels.
        grid_hw: Height and width of the attention grid.
    """

    pos_embedding: nn.Parameter
    reduce: nn.Conv2d
    global_encoder: Encoder
    final_layer: nn.Conv2d

    def __init__(self, input_hw: tuple[int, int], stride: int, shape: EncoderShape) -> None:
        super().__init__()
        self.input_hw = input_hw
        self.grid_hw = (input_hw[0] // stride, input_hw[1] // stride)
        self.pos_embedding = nn.Parameter(sine_embedding(self.grid_hw, shape.channels), requires_grad=False)
        self.global_encoder = Encoder(shape.layers, shape.channels, shape.hidden, shape.heads)
        self.normalize = Normalize()

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.pos_embedding.device

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised crops to a (B, C, h, w) map on the attention grid."""
        raise NotImplementedError

    def head(self, x: Tensor) -> Tensor:
        """(B, d, h, w) encoded map to (B, K, H/4, W/4) heatmaps."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised float32 to (B, K, H/4, W/4) heatmaps."""
        return self.encode(x)[0]

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the heatmaps, and the inputs of the encoder layers for reading attention: L tensors (B, S, d)."""
        grid = self.reduce(self.features(x))
        tokens = grid.flatten(2).transpose(1, 2)
        stages = self.global_encoder(tokens, self._position())
        encoded = stages.pop().transpose(1, 2).reshape(grid.shape)
        return self.head(encoded), stages

    def attention(self, inputs: list[Tensor], cells: Tensor, request: Attention) -> Tensor:
        """Return (B, L, Q, h, w) float32 attention scores; (B, L, heads, Q, h, w) with ``per_head``.

        Args:
            inputs: Input of each encoder layer, from :meth:`encode`.
            cells: (B, Q) int64, row-major indices of the attention grid.
            request: Which layers, and rows or columns.
        """
        maps = read(EncoderState(self.global_encoder, inputs, self._position()), cells, request)
        return maps.reshape(*maps.shape[:-1], *self.grid_hw)

    def _position(self) -> Tensor:
        """Return the (1, S, d) position embedding."""
        return self.pos_embedding.transpose(0, 1)
