"""TransPose-H: the first three stages of an HRNet and a Transformer encoder at stride 4.

The high-resolution net is that of Sun et al., CVPR 2019: branches of one resolution each run side by side and are
summed into one another at the end of every module.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from tposecli.inference.backends.fused_ops import activated, merged
from tposecli.models.blocks import BasicBlock, Bottleneck, conv1x1, conv3x3, stack
from tposecli.models.pose_net import EncoderShape, PoseNet

STRIDE = 4
STEM = 64
BLOCKS = 4


class TransPoseH(PoseNet):
    """TransPose with an HRNet backbone (Yang et al., ICCV 2021); keys are those of the authors' checkpoints.

    Args:
        input_hw: Height and width of a crop; both divide by 32, as the authors ask.
        width: Channels of the highest resolution, 32 or 48; each lower one has twice the channels.
        encoder: Size of the Transformer.
        keypoints: Number of heatmaps.
    """

    def __init__(self, input_hw: tuple[int, int], width: int, encoder: EncoderShape, keypoints: int = 17) -> None:
        super().__init__(input_hw, STRIDE, encoder)
        self.conv1 = conv3x3(3, STEM, stride=2)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.conv2 = conv3x3(STEM, STEM, stride=2)
        self.bn2 = nn.BatchNorm2d(STEM)
        self.layer1 = stack(Bottleneck, STEM, 64, BLOCKS)
        stem_out = 64 * Bottleneck.expansion
        widths = [width, 2 * width, 4 * width]
        # The inner Sequential stands where a longer chain of strides would: it is part of the checkpoints' keys.
        self.transition1 = nn.ModuleList(
            [Activated(stem_out, widths[0]), nn.Sequential(Activated(stem_out, widths[1], stride=2))]
        )
        self.stage2 = nn.Sequential(Exchange(widths[:2], outputs=2))
        self.transition2 = nn.ModuleList(
            [nn.Identity(), nn.Identity(), nn.Sequential(Activated(widths[1], widths[2], stride=2))]
        )
        self.stage3 = nn.Sequential(*(Exchange(widths, outputs) for outputs in (3, 3, 3, 1)))
        self.reduce = conv1x1(width, encoder.channels)
        self.final_layer = nn.Conv2d(encoder.channels, keypoints, 1)

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, width, H/4, W/4)."""
        x = activated(self.conv1, self.bn1, x)
        x = activated(self.conv2, self.bn2, x)
        x = self.layer1(x)
        high, low = self.stage2([branch(x) for branch in self.transition1])
        (highest,) = self.stage3([high, low, self.transition2[2](low)])
        return highest  # type: ignore[no-any-return]

    def head(self, x: Tensor) -> Tensor:
        """(B, d, H/4, W/4) to (B, K, H/4, W/4)."""
        return self.final_layer(x)  # type: ignore[no-any-return]


class Exchange(nn.Module):
    """Branches of falling resolution side by side, then each output as the sum of all branches brought to its size."""

    def __init__(self, widths: list[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(stack(BasicBlock, width, width, BLOCKS) for width in widths)
        self.fuse_layers = nn.ModuleList(
            Merge(_resample(widths, source, target) for source in range(len(widths))) for target in range(outputs)
        )

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        """One (B, C, h, w) tensor a branch, to one an output, highest resolution first."""
        maps = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        return [merge(maps) for merge in self.fuse_layers]


class Merge(nn.ModuleList):
    """The sum of all branches, each brought to the channels of one of them, and to its size.

    Attributes:
        bias: (C,) of all of them together, where they have none of their own any more.
    """

    bias: Tensor | None

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__(layers)
        self.register_buffer("bias", None, persistent=False)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """One (B, C, h, w) tensor a branch to that of this output."""
        return merged([layer(x) for layer, x in zip(self, maps, strict=True)], self.bias)


def _resample(widths: list[int], source: int, target: int) -> nn.Module:
    """What brings branch ``source`` to the channels of branch ``target``, and to its size if that is smaller."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(conv1x1(widths[source], widths[target]), nn.BatchNorm2d(widths[target]))
    halvings = [Activated(widths[source], widths[source], stride=2) for _ in range(target - source - 1)]
    last = nn.Sequential(conv3x3(widths[source], widths[target], stride=2), nn.BatchNorm2d(widths[target]))
    return nn.Sequential(*halvings, last)


class Activated(nn.Sequential):
    """A 3x3 convolution, normalised, and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h / stride, w / stride)."""
        return activated(self[0], self[1], x)
