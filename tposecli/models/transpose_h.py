"""TransPose-H: the first three stages of an HRNet and a Transformer encoder at stride 4.

HRNet (Sun et al., CVPR 2019) runs branches of different resolutions side by side and exchanges information between
them at the end of every module.
"""

from __future__ import annotations

from functools import reduce
from operator import add

from torch import Tensor, nn
from torch.nn import functional

from tposecli.models.blocks import BasicBlock, Bottleneck, ConvBNReLU, conv1x1, conv3x3, stack
from tposecli.models.pose_net import EncoderShape, PoseNet

STRIDE = 4
STEM = 64
BLOCKS = 4


class TransPoseH(PoseNet):
    """TransPose with an HRNet backbone (Yang et al., ICCV 2021); state-dict keys are those of the authors.

    Args:
        input_hw: Height and width of a crop; both must be divisible by 32.
        width: Channels of the highest resolution, 32 or 48; each lower one has twice as many.
        encoder: Size of the Transformer.
        keypoints: Number of heatmaps.
    """

    def __init__(self, input_hw: tuple[int, int], width: int, encoder: EncoderShape, keypoints: int = 17) -> None:
        super().__init__(input_hw, STRIDE, encoder)
        self.conv1 = conv3x3(3, STEM, stride=2)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.conv2 = conv3x3(STEM, STEM, stride=2)
        self.bn2 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = stack(Bottleneck, STEM, 64, BLOCKS)
        stem_out = 64 * Bottleneck.expansion
        widths = [width, 2 * width, 4 * width]
        # The checkpoints' keys have one more level where a transition lowers the resolution: hence the Sequentials.
        self.transition1 = nn.ModuleList(
            [ConvBNReLU(stem_out, widths[0]), nn.Sequential(ConvBNReLU(stem_out, widths[1], stride=2))]
        )
        self.stage2 = nn.Sequential(HRModule(widths[:2], outputs=2))
        self.transition2 = nn.ModuleList(
            [nn.Identity(), nn.Identity(), nn.Sequential(ConvBNReLU(widths[1], widths[2], stride=2))]
        )
        self.stage3 = nn.Sequential(*(HRModule(widths, outputs) for outputs in (3, 3, 3, 1)))
        self.reduce = conv1x1(width, encoder.channels)
        self.final_layer = nn.Conv2d(encoder.channels, keypoints, 1)

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 64, H/4, W/4)."""
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)))  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, width, H/4, W/4)."""
        x = self.layer1(self.stem(x))
        high, low = self.stage2([branch(x) for branch in self.transition1])
        (highest,) = self.stage3([high, low, self.transition2[2](low)])
        return highest  # type: ignore[no-any-return]

    def head(self, x: Tensor) -> Tensor:
        """(B, d, H/4, W/4) to (B, K, H/4, W/4)."""
        return self.final_layer(x)  # type: ignore[no-any-return]


class HRModule(nn.Module):
    """Parallel branches of decreasing resolution; each output is the sum of all branches, resampled to its size."""

    def __init__(self, widths: list[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(stack(BasicBlock, width, width, BLOCKS) for width in widths)
        self.fuse_layers = nn.ModuleList(
            BranchSum(_resample(widths, source, target) for source in range(len(widths))) for target in range(outputs)
        )

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        """Map one (B, C, h, w) tensor per branch to one per output, highest resolution first."""
        maps = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        return [fuse(maps) for fuse in self.fuse_layers]


class BranchSum(nn.ModuleList):
    """ReLU of the sum of all branches, each resampled to the size and the channels of one of them."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map one (B, C, h, w) tensor per branch to one of the target branch's shape."""
        return functional.relu(reduce(add, [layer(x) for layer, x in zip(self, maps, strict=True)]))


def _resample(widths: list[int], source: int, target: int) -> nn.Module:
    """Return the layers that bring branch ``source`` to the channels and the size of branch ``target``."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            conv1x1(widths[source], widths[target]),
            nn.BatchNorm2d(widths[target]),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    halvings = [ConvBNReLU(widths[source], widths[source], stride=2) for _ in range(target - source - 1)]
    last = nn.Sequential(conv3x3(widths[source], widths[target], stride=2), nn.BatchNorm2d(widths[target]))
    return nn.Sequential(*halvings, last)
