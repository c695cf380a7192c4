"""MobileNetV2 under a feature pyramid, laid out like the convolutional part of MoveNet (Google, 2021).

MobileNetV2 (Sandler et al., CVPR 2018), whose maps of four strides are merged from coarse to fine (Lin et al., CVPR
2017). There is no normalisation in it: MoveNet is published with its normalisations folded into the convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

STAGES = ((1, 1, 1), (6, 2, 2), (6, 2, 3), (6, 2, 4), (6, 1, 3), (6, 2, 3), (6, 1, 1))
"""Of each stage of MobileNetV2: expansion, stride of its first block, number of blocks."""
PYRAMID = (64, 32, 24)
"""Channels of the pyramid's maps: what comes from stride 32, merged at stride 16, merged at strides 8 and 4."""


@dataclass(frozen=True, slots=True)
class MobileNetShape:
    """Size of the net.

    Attributes:
        stem: Channels of the first convolution.
        stages: Channels of the stages but the last.
        top: Channels of the last stage and of the convolution after it; empty where the last stage has the pyramid's
            channels and leads into it at once.
    """

    stem: int
    stages: tuple[int, ...]
    top: tuple[int, ...] = ()


MOBILENET150 = MobileNetShape(48, (24, 40, 48, 96, 144, 240), (480, 1280))
MOBILENET175 = MobileNetShape(56, (32, 40, 56, 112, 168, 280))


class Even(nn.Module):
    """Zeros at the right and below where a side is odd."""

    def forward(self, x: Tensor) -> Tensor:
        odd = x.shape[2] % 2, x.shape[3] % 2
        return functional.pad(x, (0, odd[1], 0, odd[0])) if any(odd) else x


class Halving(nn.Conv2d):
    """A 3x3 convolution of stride 2 that looks at 2i, 2i + 1, 2i + 2, as TensorFlow's does; sides must be even.

    A 4x4 kernel whose first row and column are zero does that with equal margins. It costs next to nothing, whereas a
    copy of the input with a margin on two sides only takes longer than the convolution; but not on CUDA, where there
    are fast kernels for 3x3 only.
    """

    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, 3, 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            x = functional.pad(x, (0, 1, 0, 1))
            return functional.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)
        kernel = functional.pad(self.weight, (1, 0, 1, 0))
        return functional.conv2d(x, kernel, self.bias, self.stride, 1, groups=self.groups)


def filtered(channels: int, stride: int = 1) -> list[nn.Module]:
    """A 3x3 convolution of each channel apart."""
    if stride == 2:
        return [Even(), Halving(channels, channels, channels)]
    return [nn.Conv2d(channels, channels, 3, padding=1, groups=channels)]


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution of each channel apart, and one that mixes them."""
    return nn.Sequential(*filtered(inputs), nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True))


class InvertedResidual(nn.Module):
    """Widen, filter each channel apart, narrow again; a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = nn.Sequential(nn.Conv2d(inputs, wide, 1), nn.ReLU6(inplace=True)) if expansion > 1 else None
        self.filter = nn.Sequential(*filtered(wide, stride), nn.ReLU6(inplace=True))
        self.project = nn.Conv2d(wide, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else self.expand(x)
        out: Tensor = self.project(self.filter(wide))
        return x + out if self.shortcut else out


class Pyramid(nn.Module):
    """MobileNetV2, and its maps of strides 32, 16, 8 and 4 merged from coarse to fine."""

    def __init__(self, shape: MobileNetShape) -> None:
        super().__init__()
        coarse, middle, fine = PYRAMID
        self.stem = nn.Sequential(Even(), Halving(3, shape.stem), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        inputs = shape.stem
        for (expansion, stride, blocks), outputs in zip(STAGES, (*shape.stages, [*shape.top, coarse][0]), strict=True):
            stage = []
            for block in range(blocks):
                stage.append(InvertedResidual(inputs, outputs, stride if block == 0 else 1, expansion))
                inputs = outputs
            self.stages.append(nn.Sequential(*stage))
        self.top = nn.Sequential()
        if shape.top:
            last, wide = shape.top
            self.top = nn.Sequential(nn.Conv2d(last, wide, 1), nn.ReLU6(inplace=True), nn.Conv2d(wide, coarse, 1))
        self.lateral = nn.ModuleList(
            nn.Conv2d(shape.stages[stage], width, 1) for stage, width in ((3, coarse), (2, middle), (1, fine))
        )
        self.merge = nn.ModuleList(separable(a, b) for a, b in ((coarse, middle), (middle, fine), (fine, fine)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to the merged map of stride 4, and the MobileNet's own at strides 8 and 16."""
        maps = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        x = self.top(x)
        for lateral, merge, side in zip(self.lateral, self.merge, (maps[3], maps[2], maps[1]), strict=True):
            x = merge(doubled(x, side) + lateral(side))
        return x, maps[2], maps[4]


def doubled(x: Tensor, like: Tensor) -> Tensor:
    """Twice as large, between the pixels' centres, and cut to the size of the other."""
    larger = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return larger[:, :, : like.shape[2], : like.shape[3]]
