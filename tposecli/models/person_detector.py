"""The bundled person detector: a small one-class, anchor-free net.

EfficientNet-Lite0 without its classifier (Tan and Le, ICML 2019, in Google's variant for mobile devices), a top-down
feature pyramid (Lin et al., CVPR 2017) and one dense head for each of three strides: every cell predicts how likely it
is to see a person and the distances from its centre to the four sides of the box (FCOS, Tian et al., ICCV 2019).
3.47 M parameters.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
MEAN, STD = 127.0, 128.0
INITIAL_SCORE = 0.01
STEM = 32
STAGES = (
    *((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3)),
    *((5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)),
)
"""EfficientNet-Lite0: kernel, stride, expansion, channels and number of blocks of each stage."""
TAPS = (2, 4, 6)
"""Stages whose outputs, at the three strides, go into the pyramid."""


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


class InvertedBottleneck(nn.Module):
    """Widen, filter each channel apart, narrow again (Sandler et al., CVPR 2018); a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        widen = [nn.Conv2d(inputs, wide, 1, bias=False), _norm(wide), nn.ReLU6(inplace=True)] if expansion > 1 else []
        self.layers = nn.Sequential(
            *widen,
            *(nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False), _norm(wide)),
            *(nn.ReLU6(inplace=True), nn.Conv2d(wide, outputs, 1, bias=False), _norm(outputs)),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return x + out if self.shortcut else out


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _backbone() -> nn.Sequential:
    """The stem and the seven stages."""
    parts: list[nn.Module] = [
        nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), _norm(STEM), nn.ReLU6(inplace=True))
    ]
    inputs = STEM
    for kernel, stride, expansion, channels, blocks in STAGES:
        stage = []
        for block in range(blocks):
            stage.append(InvertedBottleneck(inputs, channels, kernel, stride if block == 0 else 1, expansion))
            inputs = channels
        parts.append(nn.Sequential(*stage))
    return nn.Sequential(*parts)


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

    def __init__(self, channels: int = 80) -> None:
        super().__init__()
        self.backbone = _backbone()
        widths = [STAGES[tap][3] for tap in TAPS]
        self.lateral = nn.ModuleList([_conv(width, channels, 1) for width in widths])
        self.smooth = nn.ModuleList([_conv(channels, channels) for _ in range(2)])
        self.head = nn.ModuleList([Head(channels) for _ in STRIDES])

    def forward(self, picture: Tensor) -> Dense:
        x = ((picture.float() - MEAN) / STD).to(next(self.backbone.parameters()).dtype)
        maps = [head(level) for head, level in zip(self.head, self._pyramid(x), strict=True)]
        raw = torch.cat([m.flatten(2) for m in maps], dim=2).float().transpose(1, 2)
        centre, stride = grid([(int(m.shape[2]), int(m.shape[3])) for m in maps], raw.device)
        reach = raw[..., 1:].clamp(max=5).exp() * stride[:, None]
        return Dense(raw[..., 0], torch.cat([centre - reach[..., :2], centre + reach[..., 2:]], dim=2))

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        """The three merged feature maps, finest first."""
        taps = []
        for index, part in enumerate(self.backbone):
            x = part(x)
            if index - 1 in TAPS:
                taps.append(x)
        fine, middle, coarse = taps
        coarse = self.lateral[2](coarse)
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


def halve(net: PersonDetector) -> PersonDetector:
    """Let a folded net compute in bfloat16, in place, all but the pictures' scaling and the last convolutions."""
    exact = {id(parameter) for head in net.head for parameter in cast(Head, head).out.parameters()}
    for parameter in net.parameters():
        if id(parameter) not in exact:
            parameter.data = parameter.data.bfloat16()
    return net
