"""TransPose-M: MoveNet's convolutional part, a Transformer encoder at stride 8, one deconvolution.

What the encoder is given is the finest merged map of the pyramid, folded to stride 8, beside two maps of the MobileNet
itself. Heatmaps are chances, between 0 and 1, as MoveNet's are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.models.mobilenet import PYRAMID, MobileNetShape, Pyramid, doubled
from tposecli.models.pose_net import EncoderShape, PoseNet

STRIDE = 8
HIDDEN = 96
"""Channels between the deconvolution and the heatmaps."""
NOWHERE = -4.0
"""Logarithm of the odds with which a net that has not learnt yet expects a joint anywhere."""


class TransPoseM(PoseNet):
    """TransPose with the convolutional part of MoveNet."""

    def __init__(
        self, input_hw: tuple[int, int], backbone: MobileNetShape, encoder: EncoderShape, keypoints: int = 17
    ) -> None:
        super().__init__(input_hw, STRIDE, encoder)
        self.backbone = Pyramid(backbone)
        seen = 4 * PYRAMID[-1] + backbone.stages[2] + backbone.stages[4]
        self.reduce = nn.Conv2d(seen, encoder.channels, 1)
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(encoder.channels, HIDDEN, 4, stride=2, padding=1), nn.ReLU(inplace=True)
        )
        self.final_layer = nn.Conv2d(HIDDEN, keypoints, 1)
        self.final_layer.bias = nn.Parameter(torch.full((keypoints,), NOWHERE))

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H/8, W/8)."""
        merged, fine, coarse = self.backbone(x)
        return torch.cat((functional.pixel_unshuffle(merged, 2), fine, doubled(coarse, fine)), dim=1)

    def head(self, x: Tensor) -> Tensor:
        """(B, d, H/8, W/8) to (B, K, H/4, W/4)."""
        return torch.sigmoid(self.final_layer(self.deconv_layers(x)))
