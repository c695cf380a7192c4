"""Rewrites of a folded net for prediction on CUDA: the same function in the steps that these devices do fastest."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.inference.backends import fused_ops
from tposecli.inference.backends.kernels import nets
from tposecli.inference.backends.rewrite import swap_classes
from tposecli.models.blocks import BasicBlock, Bottleneck, ConvBNReLU
from tposecli.models.encoder import EncoderLayer
from tposecli.models.pose_net import Normalize, PoseNet
from tposecli.models.transpose_h import BranchSum, TransPoseH
from tposecli.models.transpose_r import TransPoseR

Net = TypeVar("Net", bound=nn.Module)

COLOURS: Final = 3
CHANNEL_MULTIPLE: Final = 8
"""Tensor cores work on so many channels at once."""
FUSED: Final[Mapping[type[nn.Module], type[nn.Module]]] = {
    ConvBNReLU: fused_ops.FusedConvBNReLU,
    BasicBlock: fused_ops.FusedBasicBlock,
    Bottleneck: fused_ops.FusedBottleneck,
    BranchSum: fused_ops.FusedBranchSum,
    EncoderLayer: fused_ops.FusedEncoderLayer,
    TransPoseR: fused_ops.FusedTransPoseR,
    TransPoseH: fused_ops.FusedTransPoseH,
}
"""Plain modules, and those that do the same in fewer steps."""


def rewrite_for_cuda(net: PoseNet) -> PoseNet:
    """Apply all rewrites, in place.

    Args:
        net: With its batch normalisations folded, on its device, in its precision, channels last.

    Raises:
        ValueError: The net has batch normalisations.
    """
    if any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
        raise ValueError("rewrite_for_cuda: expected a net with batch normalisations folded")
    pack_first_convolution(net)
    net.final_layer = ChannelPaddedConv2d(net.final_layer)
    return fuse_convolutions(fuse_modules(net))


def fuse_modules(net: PoseNet) -> PoseNet:
    """Exchange the modules of the table ``FUSED``, in place; biases move to where something is added anyway."""
    for module in list(net.modules()):
        if isinstance(module, BasicBlock | Bottleneck) and module.downsample is not None:
            _move_bias(module.downsample[0], module.conv3 if isinstance(module, Bottleneck) else module.conv2)
        elif isinstance(module, BranchSum):
            _gather_biases(module)
    swap_classes(net, FUSED)
    return net


def fuse_convolutions(net: Net) -> Net:
    """Let ReLU add the bias of the convolution before it, and compute 1x1 convolutions as matrix products; in place."""
    for module in list(net.modules()):
        if type(module) is nn.Sequential:
            steps = [(name, step) for name, step in module.named_children() if not isinstance(step, nn.Identity)]
            for (_, conv), (name, relu) in pairwise(steps):
                if isinstance(relu, nn.ReLU | nn.ReLU6) and isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
                    setattr(module, name, fused_ops.BiasReLU(conv.bias, 6.0 if isinstance(relu, nn.ReLU6) else None))
                    conv.bias = None
        for name, conv in module.named_children():
            if type(conv) is nn.Conv2d and conv.kernel_size == conv.stride == (1, 1) and conv.groups == 1:
                setattr(module, name, PointwiseConv2d.of(conv))
    return net


def pack_first_convolution(net: PoseNet) -> PoseNet:
    """Let a first convolution of stride 2 see 2x2 pixels as the channels of one position, in place."""
    first = getattr(net, "conv1", None)
    if isinstance(first, nn.Conv2d) and first.stride == (2, 2):
        net.normalize = PackedNormalize(first)
        net.conv1 = packed_conv(first)
    return net


class PointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution as a matrix product; cuDNN would spend tens of milliseconds looking for a kernel first."""

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Self:
        """Return one that shares the weights of a convolution."""
        pointwise = cls(conv.in_channels, conv.out_channels, 1, device="meta")
        pointwise.weight, pointwise.bias = conv.weight, conv.bias
        return pointwise

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h, w), channels last."""
        return functional.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class ChannelPaddedConv2d(PointwiseConv2d):
    """A 1x1 convolution with its output channels padded to what tensor cores take; the padding is dropped."""

    def __init__(self, conv: nn.Conv2d) -> None:
        padding = -conv.out_channels % CHANNEL_MULTIPLE
        super().__init__(conv.in_channels, conv.out_channels + padding, 1)
        assert conv.bias is not None
        self.kept = conv.out_channels
        self.weight = nn.Parameter(functional.pad(conv.weight, (0, 0, 0, 0, 0, 0, 0, padding)), False)
        self.bias = nn.Parameter(functional.pad(conv.bias, (0, padding)), False)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to the original convolution's (B, outputs, h, w)."""
        return super().forward(x)[:, : self.kept]


class PackedNormalize(Normalize):
    """Normalisation to the input of :func:`packed_conv`."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.margin, self.dtype = _margin(conv), conv.weight.dtype
        self.to(conv.weight.device)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB to (B, ``PACKED``, H / 2 + margin, W / 2 + margin)."""
        return nets.normalize_packed(crops, self.mean.flatten(), self.std.flatten(), self.margin, self.dtype)


def packed_conv(conv: nn.Conv2d) -> nn.Conv2d:
    """Return a convolution of stride 2 as one of stride 1 over 2x2 pixels in the channels of one position.

    A tap at an offset of ``2 a + p`` pixels from the output's lies ``a`` positions from it, in its channels of row or
    column ``p``.
    """
    before, after = _margin(conv)
    size = before + after + 1
    lead = 2 * before - _reach(conv)
    weight = functional.pad(conv.weight, (lead, 2 * size - lead - conv.kernel_size[1]) * 2)
    outputs = len(weight)
    cells = weight.view(outputs, COLOURS, size, 2, size, 2).permute(0, 3, 5, 1, 2, 4).flatten(1, 3)
    packed = nn.Conv2d(nets.PACKED, outputs, size, device=weight.device, dtype=weight.dtype)
    packed.weight = nn.Parameter(functional.pad(cells, (0, 0, 0, 0, 0, nets.PACKED - cells.shape[1])), False)
    packed.bias = conv.bias
    return packed.to(memory_format=torch.channels_last)


def _margin(conv: nn.Conv2d) -> tuple[int, int]:
    """Return how many positions of 2x2 pixels the kernel reaches before and after the output's own."""
    reach = _reach(conv)
    return (reach + 1) // 2, (conv.kernel_size[0] - 1 - reach) // 2


def _reach(conv: nn.Conv2d) -> int:
    """Return how many pixels the kernel reaches before the output's own."""
    assert not isinstance(conv.padding, str)
    return conv.padding[0]


def _move_bias(source: nn.Module, target: nn.Conv2d) -> None:
    """Move a bias from one convolution to another, whose outputs are added to its own."""
    assert isinstance(source, nn.Conv2d)
    if source.bias is not None and target.bias is not None:
        target.bias += source.bias
        source.bias = None


def _gather_biases(branches: BranchSum) -> None:
    """Move the biases of all branches into one, and leave upsampling to the sum."""
    convs = [
        [module for module in branch.modules() if isinstance(module, nn.Conv2d)][-1]
        for branch in branches
        if not isinstance(branch, nn.Identity)
    ]
    biases = [conv.bias for conv in convs if conv.bias is not None]
    bias = torch.stack(biases).float().sum(0).to(biases[0].dtype) if biases else None
    branches.register_buffer("bias", bias, persistent=False)
    for conv in convs:
        conv.bias = None
    for branch in branches:
        for name, step in branch.named_children():
            if isinstance(step, nn.Upsample):
                setattr(branch, name, nn.Identity())
