"""MobileNetV2 with a feature pyramid, structured like the backbone of MoveNet (Google, 2021).

MobileNetV2: Sandler et al., CVPR 2018; feature pyramid: Lin et al., CVPR 2017. There are no normalisation layers:
MoveNet is published with its batch normalisation folded into the convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

STAGES = ((1, 1, 1), (6, 2, 2), (6, 2, 3), (6, 2, 4), (6, 1, 3), (6, 2, 3), (6, 1, 1))
"""Expansion, stride of the first block and number of blocks of each stage of MobileNetV2."""
PYRAMID = (64, 32, 24)
"""Channels of the pyramid's maps: from stride 32; merged at stride 16; merged at strides 8 and 4."""


@dataclass(frozen=True, slots=True)
class MobileNetShape:
    """Width of the net.

    Attributes:
        stem: Channels of the first convolution.
        stages: Channels of all stages but the last, which has those of the pyramid's coarsest map.
    """

    stem: int
    stages: tuple[int, ...]


MOBILENET175 = MobileNetShape(56, (32, 40, 56, 112, 168, 280))


class PadToEven(nn.Module):
    """Zero padding at the right and the bottom of maps whose sides are odd."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, h or h + 1, w or w + 1)."""
        odd = x.shape[2] % 2, x.shape[3] % 2
        return functional.pad(x, (0, odd[1], 0, odd[0])) if any(odd) else x


class DownsampleConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 2 whose window starts at 2i, as TensorFlow's does for even sides.

    PyTorch's own padding is symmetric: its window would start at 2i - 1.
    """

    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, 3, 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) with even sides to (B, outputs, h / 2, w / 2)."""
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


def depthwise(channels: int, stride: int = 1) -> list[nn.Module]:
    """Return the layers of a 3x3 depthwise convolution."""
    if stride == 2:
        return [PadToEven(), DownsampleConv2d(channels, channels, channels)]
    return [nn.Conv2d(channels, channels, 3, padding=1, groups=channels)]


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3x3 depthwise convolution, a pointwise convolution and ReLU."""
    return nn.Sequential(*depthwise(inputs), nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True))


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise convolution, linear projection; a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = nn.Sequential(nn.Conv2d(inputs, wide, 1), nn.ReLU6(inplace=True)) if expansion > 1 else None
        self.filter = nn.Sequential(*depthwise(wide, stride), nn.ReLU6(inplace=True))
        self.project = nn.Conv2d(wide, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h / stride, w / stride), rounded up."""
        wide = x if self.expand is None else self.expand(x)
        out: Tensor = self.project(self.filter(wide))
        return x + out if self.shortcut else out


class Pyramid(nn.Module):
    """MobileNetV2 and a feature pyramid that merges its maps of strides 32, 16, 8 and 4 from coarse to fine."""

    def __init__(self, shape: MobileNetShape) -> None:
        super().__init__()
        coarse, middle, fine = PYRAMID
        self.stem = nn.Sequential(PadToEven(), DownsampleConv2d(3, shape.stem), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        inputs = shape.stem
        for (expansion, stride, blocks), outputs in zip(STAGES, (*shape.stages, coarse), strict=True):
            stage = []
            for block in range(blocks):
                stage.append(InvertedResidual(inputs, outputs, stride if block == 0 else 1, expansion))
                inputs = outputs
            self.stages.append(nn.Sequential(*stage))
        self.lateral = nn.ModuleList(
            nn.Conv2d(shape.stages[stage], width, 1) for stage, width in ((3, coarse), (2, middle), (1, fine))
        )
        self.merge = nn.ModuleList(separable(a, b) for a, b in ((coarse, middle), (middle, fine), (fine, fine)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to the pyramid's map at stride 4, and MobileNet's maps at strides 8 and 16."""
        maps = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        for lateral, merge, side in zip(self.lateral, self.merge, (maps[3], maps[2], maps[1]), strict=True):
            x = merge(upsample_like(x, side) + lateral(side))
        return x, maps[2], maps[4]


def upsample_like(x: Tensor, like: Tensor) -> Tensor:
    """Double the size of a map bilinearly, and crop it to the size of the other (odd sides are rounded up before)."""
    larger = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return larger[:, :, : like.shape[2], : like.shape[3]]
