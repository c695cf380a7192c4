"""A net for prediction, in the form in which CUDA devices run it fastest: the same function, of other steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.models.blocks import BasicBlock, Bottleneck
from tposecli.models.encoder import SelfAttention
from tposecli.models.pose_net import Normalize, PoseNet
from tposecli.models.transpose_h import Merge

Net = TypeVar("Net", bound=nn.Module)

COLOURS: Final = 3
WIDTH: Final = 8
"""Channels that tensor cores take at once."""


def fit(net: PoseNet) -> PoseNet:
    """Change a folded net on its device, in its precision, in place.

    Biases that would be added in passes of their own move to where something is added anyway; a first convolution of
    stride 2 sees 2x2 pixels as the channels of one; and positions are added to tokens, not to their larger products.
    """
    for module in list(net.modules()):
        if isinstance(module, BasicBlock | Bottleneck) and module.downsample is not None:
            _move_bias(module.downsample[0], module.last)
        elif isinstance(module, Merge):
            _gather_biases(module)
        elif isinstance(module, SelfAttention):
            module.offset = None
    first = getattr(net, "conv1", None)
    if isinstance(first, nn.Conv2d) and first.stride == (2, 2):
        net.normalize = Packed(first)
        net.conv1 = packed_conv(first)
    net.final_layer = Widened(net.final_layer)
    return fit_convolutions(net)


def fit_convolutions(net: Net) -> Net:
    """Let what follows a convolution add its bias, and multiply matrices where a convolution is no more, in place."""
    for module in list(net.modules()):
        children = list(module.named_children())
        if isinstance(module, nn.Sequential):
            for (_, conv), (name, follows) in pairwise(children):
                if isinstance(follows, nn.ReLU | nn.ReLU6) and isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
                    setattr(module, name, Added(conv, 6.0 if isinstance(follows, nn.ReLU6) else None))
                    conv.bias = None
        for name, conv in children:
            if type(conv) is nn.Conv2d and conv.kernel_size == conv.stride == (1, 1) and conv.groups == 1:
                setattr(module, name, Pointwise.of(conv))
    return net


class Pointwise(nn.Conv2d):
    """A 1x1 convolution as a product of matrices: cuDNN would look for a kernel first, for tens of milliseconds."""

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Self:
        """With the same weights."""
        product = cls(conv.in_channels, conv.out_channels, 1, device="meta")
        product.weight, product.bias = conv.weight, conv.bias
        return product

    def forward(self, x: Tensor) -> Tensor:
        """What the convolution gives, channels last."""
        return functional.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class Added(nn.Module):
    """ReLU after the bias of the convolution before, up to a highest value."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, most: float | None) -> None:
        super().__init__()
        self.bias, self.most = conv.bias, most

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        from tposecli.inference.backends.kernels import nets

        return nets.merged([x.contiguous(memory_format=torch.channels_last)], self.bias, self.most)


def _move_bias(source: nn.Module, target: nn.Conv2d) -> None:
    """To the other summand of a sum."""
    assert isinstance(source, nn.Conv2d)
    if source.bias is not None and target.bias is not None:
        target.bias += source.bias
        source.bias = None


def _gather_biases(merge: Merge) -> None:
    """Of the last convolutions of all branches."""
    convs = [
        [module for module in branch.modules() if isinstance(module, nn.Conv2d)][-1]
        for branch in merge
        if not isinstance(branch, nn.Identity)
    ]
    biases = [conv.bias for conv in convs if conv.bias is not None]
    merge.bias = torch.stack(biases).float().sum(0).to(biases[0].dtype) if biases else None
    for conv in convs:
        conv.bias = None


class Widened(Pointwise):
    """A 1x1 convolution to as many channels as tensor cores take, of which some are given away."""

    def __init__(self, conv: nn.Conv2d) -> None:
        more = -conv.out_channels % WIDTH
        super().__init__(conv.in_channels, conv.out_channels + more, 1)
        assert conv.bias is not None
        self.wanted = conv.out_channels
        self.weight = nn.Parameter(functional.pad(conv.weight, (0, 0, 0, 0, 0, 0, 0, more)), False)
        self.bias = nn.Parameter(functional.pad(conv.bias, (0, more)), False)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """What the convolution itself gives."""
        return super().forward(x)[:, : self.wanted]


class Packed(Normalize):
    """From bytes to what :func:`packed_conv` takes."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.margin, self.dtype = _margin(conv), conv.weight.dtype
        self.to(conv.weight.device)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB to (B, ``PACKED``, H / 2 + margin, W / 2 + margin)."""
        from tposecli.inference.backends.kernels import nets

        return nets.packed(crops, self.mean.flatten(), self.std.flatten(), self.margin, self.dtype)


def packed_conv(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution of stride 2 as one of stride 1 over 2x2 pixels in the channels of one position.

    A tap at an offset of ``2 a + p`` pixels from the output's lies ``a`` positions from it, in its channels of row or
    column ``p``.
    """
    from tposecli.inference.backends.kernels.nets import PACKED

    before, after = _margin(conv)
    size = before + after + 1
    lead = 2 * before - _reach(conv)
    weight = functional.pad(conv.weight, (lead, 2 * size - lead - conv.kernel_size[1]) * 2)
    outputs = len(weight)
    cells = weight.view(outputs, COLOURS, size, 2, size, 2).permute(0, 3, 5, 1, 2, 4).flatten(1, 3)
    packed = nn.Conv2d(PACKED, outputs, size, device=weight.device, dtype=weight.dtype)
    packed.weight = nn.Parameter(functional.pad(cells, (0, 0, 0, 0, 0, PACKED - cells.shape[1])), False)
    packed.bias = conv.bias
    return packed.to(memory_format=torch.channels_last)


def _margin(conv: nn.Conv2d) -> tuple[int, int]:
    """Positions of 2x2 pixels that the kernel reaches before and after the output's own."""
    reach = _reach(conv)
    return (reach + 1) // 2, (conv.kernel_size[0] - 1 - reach) // 2


def _reach(conv: nn.Conv2d) -> int:
    """Pixels that the kernel reaches before the output's own."""
    assert not isinstance(conv.padding, str)
    return conv.padding[0]
