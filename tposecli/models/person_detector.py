"""The bundled person detector: a small anchor-free one-class net, similar to MoveNet MultiPose (Google, 2021).

MobileNetV2 with a feature pyramid, and three maps at stride 4: the probability that a cell is the centre of a person,
the person's height and width, and the offset of the centre in the cell (CenterNet, Zhou et al., arXiv 1904.07850).
4.7 M parameters.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.models.mobilenet import MOBILENET150, PYRAMID, Pyramid, separable

STRIDE = 4
"""Input pixels per cell."""
DIVISOR = 32
"""Both sides of an image must be multiples of this."""
HIDDEN = 96
INITIAL_SCORE = 0.01
INITIAL_SIZE = 16.0
"""Height and width, in cells, that an untrained net predicts."""


class Dense(NamedTuple):
    """Output at all A cells, in row-major order.

    Attributes:
        logit: (B, A) score before the sigmoid.
        xyxy: (B, A, 4) box in input pixels, pixel edges counted from 0.
    """

    logit: Tensor
    xyxy: Tensor


class Head(nn.Module):
    """The layers of one output map."""

    def __init__(self, outputs: int, start: float) -> None:
        super().__init__()
        self.tower = separable(PYRAMID[-1], HIDDEN)
        self.out = nn.Conv2d(HIDDEN, outputs, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        self.out.bias = nn.Parameter(torch.full((outputs,), start))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, outputs, h, w), in the precision of the last convolution."""
        return self.out(self.tower(x).to(self.out.weight.dtype))  # type: ignore[no-any-return]


class PersonDetector(nn.Module):
    """A net from images to dense boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Pyramid(MOBILENET150)
        self.center = Head(1, math.log(INITIAL_SCORE / (1 - INITIAL_SCORE)))
        self.size = Head(2, INITIAL_SIZE)
        self.offset = Head(2, 0.5)

    def forward(self, images: Tensor) -> Dense:
        """Map (B, 3, H, W) RGB, values 0..255 of any dtype, to boxes; H and W must be multiples of 32.

        In evaluation mode only local maxima keep their score; the logit of other cells is minus infinity.
        """
        x = (images.float() / 127.5 - 1).to(next(self.backbone.parameters()).dtype)
        merged = self.backbone(x)[0]
        logit, size, offset = (head(merged).float() for head in (self.center, self.size, self.offset))
        if not self.training:
            highest = functional.max_pool2d(logit, 3, stride=1, padding=1)
            logit = logit.masked_fill(logit < highest, -math.inf)
        size, offset = (_rows(part).flip(2) * STRIDE for part in (size, offset))
        center = cells((int(merged.shape[2]), int(merged.shape[3])), merged.device) + offset
        half = size.abs() / 2
        return Dense(logit.flatten(1), torch.cat([center - half, center + half], dim=2))


def _rows(part: Tensor) -> Tensor:
    """(B, 2, h, w) to (B, h w, 2)."""
    return part.flatten(2).transpose(1, 2)


def cells(shape_hw: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Return the upper left corners (A, 2) of all cells, x and y in input pixels."""
    y, x = torch.meshgrid(*(torch.arange(side, device=device) for side in shape_hw), indexing="ij")
    return torch.stack([x, y], dim=2).reshape(-1, 2).float() * STRIDE


def halve(net: PersonDetector) -> PersonDetector:
    """Convert a net to bfloat16, in place, except for the scaling of images and the last convolutions."""
    exact = {id(parameter) for head in (net.center, net.size, net.offset) for parameter in head.out.parameters()}
    for parameter in net.parameters():
        if id(parameter) not in exact:
            parameter.data = parameter.data.bfloat16()
    return net
