"""The bundled person detector: NanoDet-g with one class (RangiLyu, github.com/RangiLyu/nanodet, 2021).

A cross-stage partial net (CSPNet, Wang et al., arXiv 1911.11929) under a path aggregation network (PANet, Liu et al.,
CVPR 2018), and at strides 8, 16 and 32, for each cell, a score and the distances from its centre to the four sides of
the box. Each distance is the mean of a distribution over ``BINS`` values (Generalized Focal Loss, Li et al., NeurIPS
2020). 3.8 M parameters, no normalisation layers: they are folded into the convolutions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.models.mobilenet import upsample_like
from tposecli.models.pose_net import IMAGENET_MEAN, IMAGENET_STD

STRIDES = (8, 16, 32)
"""Input pixels per cell on each level."""
DIVISOR = 32
"""Both sides of an image must be multiples of this."""
BINS = 11
"""Values that a distance may take: 0 to 10 cells."""
STAGES = ((32, 1, 1), (64, 2, 2), (128, 2, 2), (256, 2, 3))
"""Channels, stride and number of reductions of each stage."""
NECK = 128
"""Channels of the maps that the heads see."""
SLOPE = 0.1
INITIAL_SCORE = 0.01
"""Score of a person in every cell of an untrained net."""


class Dense(NamedTuple):
    """Output at all A cells: of stride 8 first, then 16 and 32, each in row-major order.

    Attributes:
        logit: (B, A) score before the sigmoid.
        xyxy: (B, A, 4) box in input pixels, pixel edges counted from 0.
        bins: (B, A, 4, BINS) logits of the distances to the left, top, right and bottom side, in cells.
    """

    logit: Tensor
    xyxy: Tensor
    bins: Tensor


class Cells(NamedTuple):
    """Where the cells of an image are.

    Attributes:
        centre: (A, 2) x and y, input pixels.
        stride: (A,) input pixels per cell.
    """

    centre: Tensor
    stride: Tensor


class Conv(nn.Sequential):
    """A 3x3 convolution and a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(SLOPE, inplace=True))


class Stage(nn.Module):
    """A stage of the backbone: its entry goes on beside its blocks, and both are joined at the end."""

    def __init__(self, inputs: int, channels: int, stride: int, blocks: int) -> None:
        super().__init__()
        self.entry = Conv(inputs, channels, stride)
        self.reduce = nn.ModuleList(Conv(channels, channels // 2) for _ in range(blocks))
        self.second = nn.ModuleList(Conv(channels // 2, channels // 2) for _ in range(blocks))
        self.exit = Conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, 2 channels, h / stride, w / stride)."""
        entry = x = self.entry(x)
        for reduce, second in zip(self.reduce, self.second, strict=True):
            reduced = reduce(x)
            x = torch.cat([second(reduced), reduced], dim=1)
        return torch.cat([self.exit(x), entry], dim=1)


class PersonDetector(nn.Module):
    """A net from images to dense boxes."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, STAGES[0][0], 2)
        self.stages = nn.ModuleList()
        inputs = STAGES[0][0]
        for channels, stride, blocks in STAGES:
            self.stages.append(Stage(inputs, channels, stride, blocks))
            inputs = 2 * channels
        self.lateral = nn.ModuleList(nn.Conv2d(2 * channels, NECK, 1) for channels, _, _ in STAGES[1:])
        self.head = nn.ModuleList(nn.Sequential(Conv(NECK, NECK), score_and_box()) for _ in STRIDES)
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> Dense:
        """Map (B, 3, H, W) RGB, values 0..255 of any dtype, to boxes; H and W must be multiples of 32."""
        return decode(self.raw(images), cells((int(images.shape[2]), int(images.shape[3])), images.device))

    def raw(self, images: Tensor) -> Tensor:
        """Return the (B, A, 1 + 4 BINS) logits of the score and of the distances, in float32, of the same images."""
        x = ((images.float() - self.mean) / self.std).to(next(self.stem.parameters()).dtype)
        x = functional.max_pool2d(self.stem(x), 3, 2, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        fine, middle, coarse = (lateral(side) for lateral, side in zip(self.lateral, maps[1:], strict=True))
        middle = middle + upsample_like(coarse, middle)
        fine = fine + upsample_like(middle, fine)
        middle = middle + functional.avg_pool2d(fine, 2)
        coarse = coarse + functional.avg_pool2d(middle, 2)
        return torch.cat([_level(*parts) for parts in zip((fine, middle, coarse), self.head, strict=True)], dim=1)


def _level(level: Tensor, head: nn.Module) -> Tensor:
    """Return the logits at the cells of one level."""
    tower, out = head.children()
    seen = tower(level)
    with torch.autocast(level.device.type, enabled=False):
        found: Tensor = out(seen.to(next(out.parameters()).dtype)).float()
    return found.flatten(2).transpose(1, 2)


def decode(raw: Tensor, where: Cells) -> Dense:
    """Return the boxes that the logits of a net mean at these cells.

    Args:
        raw: (B, A, 1 + 4 BINS), see :meth:`PersonDetector.raw`.
        where: The cells; of several images if they differ, (B, A, 2) and (B, A).
    """
    bins = raw[..., 1:].reshape(*raw.shape[:2], 4, BINS)
    values = torch.arange(BINS, device=raw.device, dtype=torch.float32)
    before, after = ((bins.softmax(dim=3) * values).sum(dim=3) * where.stride[..., None]).chunk(2, dim=2)
    return Dense(raw[..., 0], torch.cat([where.centre - before, where.centre + after], dim=2), bins)


def score_and_box() -> nn.Conv2d:
    """Return the last convolution of a level: the score, and the bins of four distances."""
    out = nn.Conv2d(NECK, 1 + 4 * BINS, 1)
    nn.init.normal_(out.weight, std=0.01)
    assert out.bias is not None
    nn.init.zeros_(out.bias)
    nn.init.constant_(out.bias[:1], math.log(INITIAL_SCORE / (1 - INITIAL_SCORE)))
    return out


def cells(size_hw: tuple[int, int], device: torch.device | str = "cpu") -> Cells:
    """Return the cells of an image of that height and width, in the order of the net's output."""
    centres = [_centres((size_hw[0] // stride, size_hw[1] // stride), stride, device) for stride in STRIDES]
    strides = [torch.full((len(part),), float(s), device=device) for part, s in zip(centres, STRIDES, strict=True)]
    return Cells(torch.cat(centres), torch.cat(strides))


def halve(net: PersonDetector) -> PersonDetector:
    """Convert a net to bfloat16, in place, except for the scaling of images and the last convolutions."""
    exact = {id(parameter) for head in net.head for parameter in head[1].parameters()}  # type: ignore[index]
    for parameter in net.parameters():
        if id(parameter) not in exact:
            parameter.data = parameter.data.bfloat16()
    return net


def _centres(shape_hw: tuple[int, int], stride: int, device: torch.device | str) -> Tensor:
    """Return (h w, 2) centres of a level's cells, input pixels."""
    y, x = torch.meshgrid(*(torch.arange(side, device=device) for side in shape_hw), indexing="ij")
    return (torch.stack([x, y], dim=2).reshape(-1, 2).float() + 0.5) * stride
