"""TransPose-M: MoveNet's backbone, a Transformer encoder at stride 8, one deconvolution.

The encoder's input is the finest map of the pyramid, unshuffled to stride 8, concatenated with two maps of MobileNet.
Heatmaps are probabilities between 0 and 1, like MoveNet's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.models.mobilenet import PYRAMID, MobileNetShape, Pyramid, upsample_like
from tposecli.models.pose_net import EncoderShape, PoseNet

STRIDE = 8
HIDDEN = 96
"""Channels between the deconvolution and the heatmaps."""
INITIAL_LOGIT = -4.0
"""Heatmap logit of an untrained net, everywhere."""


class TransPoseM(PoseNet):
    """TransPose with the backbone of MoveNet."""

    def __init__(
        self, input_hw: tuple[int, int], backbone: MobileNetShape, encoder: EncoderShape, keypoints: int = 17
    ) -> None:
        super().__init__(input_hw, STRIDE, encoder)
        self.backbone = Pyramid(backbone)
        channels = 4 * PYRAMID[-1] + backbone.stages[2] + backbone.stages[4]
        self.reduce = nn.Conv2d(channels, encoder.channels, 1)
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(encoder.channels, HIDDEN, 4, stride=2, padding=1), nn.ReLU(inplace=True)
        )
        self.final_layer = nn.Conv2d(HIDDEN, keypoints, 1)
        self.final_layer.bias = nn.Parameter(torch.full((keypoints,), INITIAL_LOGIT))

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H/8, W/8)."""
        merged, fine, coarse = self.backbone(x)
        return torch.cat((functional.pixel_unshuffle(merged, 2), fine, upsample_like(coarse, fine)), dim=1)

    def head(self, x: Tensor) -> Tensor:
        """(B, d, H/8, W/8) to (B, K, H/4, W/4)."""
        return torch.sigmoid(self.final_layer(self.deconv_layers(x)))
