"""TransPose-M: a MobileNetV2 with a feature pyramid, a Transformer encoder at stride 8, one deconvolution.

The convolutional part is laid out like that of MoveNet (Google, 2021): MobileNetV2 (Sandler et al., CVPR 2018), whose
maps of four strides are merged from coarse to fine (Lin et al., CVPR 2017). There is no normalisation in it. What the
encoder is given is the finest merged map, folded to stride 8, beside two maps of the MobileNet itself. Heatmaps are
chances, between 0 and 1, as MoveNet's are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.models.net import EncoderShape, PoseNet

STRIDE = 8
STAGES = ((1, 1, 1), (6, 2, 2), (6, 2, 3), (6, 2, 4), (6, 1, 3), (6, 2, 3), (6, 1, 1))
"""Of each stage of MobileNetV2: expansion, stride of its first block, number of blocks."""


@dataclass(frozen=True, slots=True)
class MobileNetShape:
    """Channels of the stem, of the stages, and of the pyramid's three merged maps, coarsest first."""

    stem: int
    stages: tuple[int, ...]
    pyramid: tuple[int, int, int] = (64, 32, 24)


MOBILENET175 = MobileNetShape(56, (32, 40, 56, 112, 168, 280))
HIDDEN = 96
"""Channels between the deconvolution and the heatmaps."""
NOWHERE = -4.0
"""Logarithm of the odds with which a net that has not learnt yet expects a joint anywhere."""


class Halving(nn.Module):
    """Zeros at the right and below: a 3x3 convolution of stride 2 looks at 2i, 2i + 1, 2i + 2, as TensorFlow's does."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, (0, 1 + x.shape[3] % 2, 0, 1 + x.shape[2] % 2))


def filtered(channels: int, stride: int = 1) -> list[nn.Module]:
    """A 3x3 convolution of each channel apart."""
    conv = nn.Conv2d(channels, channels, 3, stride, padding=1 if stride == 1 else 0, groups=channels)
    return [conv] if stride == 1 else [Halving(), conv]


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
        self.shape = shape
        coarse, middle, fine = shape.pyramid
        self.stem = nn.Sequential(Halving(), nn.Conv2d(3, shape.stem, 3, 2), nn.ReLU6(inplace=True))
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
        self.merge = nn.ModuleList(
            nn.Sequential(*filtered(a), nn.Conv2d(a, b, 1), nn.ReLU(inplace=True))
            for a, b in ((coarse, middle), (middle, fine), (fine, fine))
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to the merged map of stride 4, and the MobileNet's own at strides 8 and 16."""
        maps = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        for lateral, merge, side in zip(self.lateral, self.merge, (maps[3], maps[2], maps[1]), strict=True):
            x = merge(doubled(x, side) + lateral(side))
        return x, maps[2], maps[4]


def doubled(x: Tensor, like: Tensor) -> Tensor:
    """Twice as large, between the pixels' centres, and cut to the size of the other."""
    larger = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return larger[:, :, : like.shape[2], : like.shape[3]]


class TransPoseM(PoseNet):
    """TransPose with the convolutional part of MoveNet."""

    def __init__(
        self, input_hw: tuple[int, int], backbone: MobileNetShape, encoder: EncoderShape, keypoints: int = 17
    ) -> None:
        super().__init__(input_hw, STRIDE, encoder)
        width = encoder.channels
        self.backbone = Pyramid(backbone)
        seen = 4 * backbone.pyramid[2] + backbone.stages[2] + backbone.stages[4]
        self.reduce = nn.Conv2d(seen, width, 1)
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(width, HIDDEN, 4, stride=2, padding=1), nn.ReLU(inplace=True)
        )
        self.final_layer = nn.Conv2d(HIDDEN, keypoints, 1)
        nn.init.constant_(self.final_layer.bias, NOWHERE)

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H/8, W/8)."""
        merged, fine, coarse = self.backbone(x)
        return torch.cat((functional.pixel_unshuffle(merged, 2), fine, doubled(coarse, fine)), dim=1)

    def head(self, x: Tensor) -> Tensor:
        """(B, d, H/8, W/8) to (B, K, H/4, W/4)."""
        return torch.sigmoid(self.final_layer(self.deconv_layers(x)))
