"""TransPose-R: the first two stages of a ResNet, a Transformer encoder at stride 8, one deconvolution."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tposecli.models.blocks import BasicBlock, Block, Bottleneck, stack
from tposecli.models.pose_net import EncoderShape, PoseNet

STRIDE = 8


@dataclass(frozen=True, slots=True)
class ResNetShape:
    """Size of the backbone: type of block, and the number of blocks in each of its two stages."""

    block: Block
    blocks: tuple[int, int]


RESNET18 = ResNetShape(BasicBlock, (2, 2))
RESNET50 = ResNetShape(Bottleneck, (3, 4))


class TransPoseR(PoseNet):
    """TransPose with a ResNet backbone (Yang et al., ICCV 2021); state-dict keys are those of the authors."""

    def __init__(
        self, input_hw: tuple[int, int], backbone: ResNetShape, encoder: EncoderShape, keypoints: int = 17
    ) -> None:
        super().__init__(input_hw, STRIDE, encoder)
        width = encoder.channels
        block = backbone.block
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stack(block, 64, 64, backbone.blocks[0])
        self.layer2 = stack(block, 64 * block.expansion, 128, backbone.blocks[1], stride=2)
        self.reduce = nn.Conv2d(128 * block.expansion, width, 1, bias=False)
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.final_layer = nn.Conv2d(width, keypoints, 1)

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 64, H/4, W/4)."""
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H/8, W/8)."""
        return self.layer2(self.layer1(self.stem(x)))  # type: ignore[no-any-return]

    def head(self, x: Tensor) -> Tensor:
        """(B, d, H/8, W/8) to (B, K, H/4, W/4)."""
        return self.final_layer(self.deconv_layers(x))  # type: ignore[no-any-return]
