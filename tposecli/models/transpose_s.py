"""TransPose-S: the shallow stages of MobileNetV2, a Transformer encoder at stride 8, one deconvolution.

As in the paper's nets, a convolution sees about a limb (at most 107 pixels of a crop), so the encoder has to relate the
joints to each other, and its attention shows how. Heatmaps are linear.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tposecli.models.mobilenet import (
    STAGES,
    DownsampleConv2d,
    InvertedResidual,
    MobileNetShape,
    PadToEven,
    upsample_like,
)
from tposecli.models.pose_net import EncoderShape, PoseNet

STRIDE = 8
HIDDEN = 96
"""Channels between the deconvolution and the heatmaps."""
BLOCKS = (1, 2, 3, 2)
"""Number of blocks of the stages that are kept; MobileNetV2's fourth stage has four."""


class ShallowTrunk(nn.Module):
    """The first stages of MobileNetV2, up to stride 16."""

    def __init__(self, shape: MobileNetShape) -> None:
        super().__init__()
        self.stem = nn.Sequential(PadToEven(), DownsampleConv2d(3, shape.stem), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        inputs = shape.stem
        for (expansion, stride, _), blocks, outputs in zip(STAGES, BLOCKS, shape.stages, strict=False):
            stage = [InvertedResidual(inputs, outputs, stride, expansion)]
            stage += [InvertedResidual(outputs, outputs, 1, expansion) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            inputs = outputs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) to maps at strides 8 and 16."""
        x = self.stem(x)
        for stage in self.stages[:-1]:
            x = stage(x)
        return x, self.stages[-1](x)


class TransPoseS(PoseNet):
    """TransPose with a shallow backbone."""

    def __init__(
        self, input_hw: tuple[int, int], backbone: MobileNetShape, encoder: EncoderShape, keypoints: int = 17
    ) -> None:
        super().__init__(input_hw, STRIDE, encoder)
        self.backbone = ShallowTrunk(backbone)
        fine, coarse = backbone.stages[len(BLOCKS) - 2 : len(BLOCKS)]
        self.reduce = nn.Conv2d(fine + coarse, encoder.channels, 1)
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(encoder.channels, HIDDEN, 4, stride=2, padding=1), nn.ReLU(inplace=True)
        )
        self.final_layer = nn.Conv2d(HIDDEN, keypoints, 1)

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H/8, W/8)."""
        fine, coarse = self.backbone(x)
        return torch.cat((fine, upsample_like(coarse, fine)), dim=1)

    def head(self, x: Tensor) -> Tensor:
        """(B, d, H/8, W/8) to (B, K, H/4, W/4)."""
        return self.final_layer(self.deconv_layers(x))  # type: ignore[no-any-return]
