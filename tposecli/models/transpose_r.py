"""TransPose-R: the first two stages of a ResNet, a Transformer encoder at stride 8, one deconvolution."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tposecli.inference.backends.fused_ops import activated, pooled
from tposecli.models.blocks import BasicBlock, Block, Bottleneck, stack
from tposecli.models.pose_net import EncoderShape, PoseNet

STRIDE = 8


@dataclass(frozen=True, slots=True)
class ResNetShape:
    """Size of the backbone: kind of block, and how many of them in its two stages."""

    block: Block
    blocks: tuple[int, int]


RESNET18 = ResNetShape(BasicBlock, (2, 2))
RESNET50 = ResNetShape(Bottleneck, (3, 4))


class TransPoseR(PoseNet):
    """TransPose with a ResNet backbone (Yang et al., ICCV 2021); keys are those of the authors' checkpoints."""

    def __init__(
        self, input_hw: tuple[int, int], backbone: ResNetShape, encoder: EncoderShape, keypoints: int = 17
    ) -> None:
        super().__init__(input_hw, STRIDE, encoder)
        width = encoder.channels
        block = backbone.block
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = stack(block, 64, 64, backbone.blocks[0])
        self.layer2 = stack(block, 64 * block.expansion, 128, backbone.blocks[1], stride=2)
        self.reduce = nn.Conv2d(128 * block.expansion, width, 1, bias=False)
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.final_layer = nn.Conv2d(width, keypoints, 1)

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H/8, W/8)."""
        x = pooled(activated(self.conv1, self.bn1, x))
        return self.layer2(self.layer1(x))  # type: ignore[no-any-return]

    def head(self, x: Tensor) -> Tensor:
        """(B, d, H/8, W/8) to (B, K, H/4, W/4)."""
        deconv, norm = self.deconv_layers
        return self.final_layer(activated(deconv, norm, x))  # type: ignore[no-any-return]
