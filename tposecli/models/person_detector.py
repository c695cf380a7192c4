"""The bundled person detector: a small one-class, anchor-free net.

ResNet-18's first stages (as in the pose model, whose weights they start from), two slim stages at strides 16 and 32,
a top-down feature pyramid (Lin et al., CVPR 2017) and one dense head for each of three strides: every cell predicts
how likely it is to see a person and the distances from its centre to the four sides of the box (FCOS, Tian et al.,
ICCV 2019). 3.65 M parameters; 2.7 GMAC for a 384x224 input, 1.3 for 256x160.
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tposecli.models.blocks import BasicBlock, stack

STRIDES = (8, 16, 32)
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
INITIAL_SCORE = 0.01


class Dense(NamedTuple):
    """What the net says at all its A cells, finest stride first, row by row.

    Attributes:
        logit: (B, A) a person's likeness before the sigmoid.
        xyxy: (B, A, 4) box in input pixels, pixel edges counted from 0.
    """

    logit: Tensor
    xyxy: Tensor


def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Head(nn.Module):
    """Two convolutions and the five maps of one stride: likeness, and log-distances in strides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tower = nn.Sequential(_conv(channels, channels), _conv(channels, channels))
        self.out = nn.Conv2d(channels, 5, 3, 1, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        bias = torch.tensor([math.log(INITIAL_SCORE / (1 - INITIAL_SCORE)), 1.0, 1.0, 1.0, 1.0])
        with torch.no_grad():
            self.out.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.tower(x).to(self.out.weight.dtype))  # type: ignore[no-any-return]


class PersonDetector(nn.Module):
    """Pictures to dense boxes.

    Input: (B, 3, H, W) RGB, values 0..255 of any dtype, H and W multiples of 32. Output: :class:`Dense`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int = 96) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = stack(BasicBlock, 64, 64, 2)
        self.layer2 = stack(BasicBlock, 64, 128, 2, stride=2)
        self.layer3 = stack(BasicBlock, 128, 192, 2, stride=2)
        self.layer4 = stack(BasicBlock, 192, 160, 2, stride=2)
        self.lateral = nn.ModuleList([_conv(width, channels, 1) for width in (128, 192, 160)])
        self.smooth = nn.ModuleList([_conv(channels, channels) for _ in range(2)])
        self.head = nn.ModuleList([Head(channels) for _ in STRIDES])

    def forward(self, picture: Tensor) -> Dense:
        x = ((picture.float() - self.mean) / self.std).to(self.conv1.weight.dtype)
        maps = [head(level) for head, level in zip(self.head, self._pyramid(x), strict=True)]
        raw = torch.cat([m.flatten(2) for m in maps], dim=2).float().transpose(1, 2)
        centre, stride = grid([(int(m.shape[2]), int(m.shape[3])) for m in maps], raw.device)
        reach = raw[..., 1:].clamp(max=5).exp() * stride[:, None]
        return Dense(raw[..., 0], torch.cat([centre - reach[..., :2], centre + reach[..., 2:]], dim=2))

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        """The three merged feature maps, finest first."""
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layer1(functional.max_pool2d(x, 3, 2, 1))
        fine = self.layer2(x)
        middle = self.layer3(fine)
        coarse = self.lateral[2](self.layer4(middle))
        middle = self.smooth[1](self.lateral[1](middle) + functional.interpolate(coarse, scale_factor=2.0))
        fine = self.smooth[0](self.lateral[0](fine) + functional.interpolate(middle, scale_factor=2.0))
        return [fine, middle, coarse]


def grid(shapes: list[tuple[int, int]], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Centres (A, 2) of all cells in input pixels and their strides (A,), for the (h, w) of each level."""
    centres, strides = [], []
    for (height, width), stride in zip(shapes, STRIDES, strict=True):
        y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
        centres.append((torch.stack([x, y], dim=2).reshape(-1, 2).float() + 0.5) * stride)
        strides.append(torch.full((height * width,), float(stride), device=device))
    return torch.cat(centres), torch.cat(strides)


def fold(net: PersonDetector) -> PersonDetector:
    """A copy for prediction whose batch normalisations are folded into the convolutions before them."""
    folded = copy.deepcopy(net).eval()
    for module in list(folded.modules()):
        children = list(module.named_children())
        for (first, conv), (second, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, nn.Identity())
    return folded


def halve(net: PersonDetector) -> PersonDetector:
    """Let a folded net compute in bfloat16, in place, all but the pictures' scaling and the last convolutions."""
    exact = {id(parameter) for head in net.head for parameter in cast(Head, head).out.parameters()}
    for parameter in net.parameters():
        if id(parameter) not in exact:
            parameter.data = parameter.data.bfloat16()
    return net
