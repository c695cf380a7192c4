"""The bundled person detector: a small one-class net without anchors, of MoveNet MultiPose's kind (Google, 2021).

MobileNetV2 under a feature pyramid, and at stride 4 three maps: how likely a cell is the middle of a person, how tall
and wide that person is, and where in the cell the middle lies (CenterNet, Zhou et al., arXiv 1904.07850). 4.7 M
parameters.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.models.mobilenet import MOBILENET150, PYRAMID, Pyramid, separable

STRIDE = 4
"""Input pixels between two cells."""
DIVISOR = 32
"""What the sides of a picture must divide by."""
HIDDEN = 96
INITIAL_SCORE = 0.01
INITIAL_SIZE = 16.0
"""Height and width, cells, that an untrained net gives a person."""


class Dense(NamedTuple):
    """What the net says at all its A cells, row by row.

    Attributes:
        logit: (B, A) a person's likeness before the sigmoid.
        xyxy: (B, A, 4) box in input pixels, pixel edges counted from 0.
    """

    logit: Tensor
    xyxy: Tensor


class Head(nn.Module):
    """One of the maps."""

    def __init__(self, outputs: int, start: float) -> None:
        super().__init__()
        self.tower = separable(PYRAMID[-1], HIDDEN)
        self.out = nn.Conv2d(HIDDEN, outputs, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        self.out.bias = nn.Parameter(torch.full((outputs,), start))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.tower(x).to(self.out.weight.dtype))  # type: ignore[no-any-return]


class PersonDetector(nn.Module):
    """Pictures to dense boxes.

    Input: (B, 3, H, W) RGB, values 0..255 of any dtype, H and W multiples of 32. Output: :class:`Dense`; in evaluation
    mode cells that a neighbour surpasses have no likeness at all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Pyramid(MOBILENET150)
        self.center = Head(1, math.log(INITIAL_SCORE / (1 - INITIAL_SCORE)))
        self.size = Head(2, INITIAL_SIZE)
        self.offset = Head(2, 0.5)

    def forward(self, picture: Tensor) -> Dense:
        x = (picture.float() / 127.5 - 1).to(next(self.backbone.parameters()).dtype)
        merged = self.backbone(x)[0]
        likeness, size, offset = (head(merged).float() for head in (self.center, self.size, self.offset))
        if not self.training:
            highest = functional.max_pool2d(likeness, 3, stride=1, padding=1)
            likeness = likeness.masked_fill(likeness < highest, -math.inf)
        size, offset = (_rows(part).flip(2) * STRIDE for part in (size, offset))
        middle = cells((int(merged.shape[2]), int(merged.shape[3])), merged.device) + offset
        reach = size.abs() / 2
        return Dense(likeness.flatten(1), torch.cat([middle - reach, middle + reach], dim=2))


def _rows(part: Tensor) -> Tensor:
    """(B, 2, h, w) to (B, h w, 2)."""
    return part.flatten(2).transpose(1, 2)


def cells(shape_hw: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Left upper corners (A, 2) of all cells, x and y in input pixels."""
    y, x = torch.meshgrid(*(torch.arange(side, device=device) for side in shape_hw), indexing="ij")
    return torch.stack([x, y], dim=2).reshape(-1, 2).float() * STRIDE


def halve(net: PersonDetector) -> PersonDetector:
    """Let a net compute in bfloat16, in place, all but the pictures' scaling and the last convolutions."""
    exact = {id(parameter) for head in (net.center, net.size, net.offset) for parameter in head.out.parameters()}
    for parameter in net.parameters():
        if id(parameter) not in exact:
            parameter.data = parameter.data.bfloat16()
    return net
