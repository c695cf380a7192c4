"""Rewrites of a net for prediction with torch on a CPU, and for export to files: the same function in fewer steps."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional

from tposecli.inference.backends.fold_batchnorm import fold_batchnorm
from tposecli.inference.backends.rewrite import swap_classes
from tposecli.models.encoder import SelfAttention
from tposecli.models.mobilenet import DownsampleConv2d
from tposecli.models.pose_net import PoseNet

Net = TypeVar("Net", bound=nn.Module)


def for_prediction(net: PoseNet) -> PoseNet:
    """Return a copy with all rewrites; its outputs equal the net's up to rounding."""
    return pad_kernels(precompute_positions(fold_batchnorm(net)))


class PositionedSelfAttention(SelfAttention):
    """Self-attention for one fixed position: one product gives queries, keys and values.

    Attributes:
        offset: (1, S, 3 d) what position and bias add to queries, keys and values.
    """

    offset: Tensor

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        """(B, S, d) to (B, S, d); the position is ignored."""
        projected = functional.linear(tokens, self.in_proj_weight) + self.offset
        return self.attend(*(self.split_heads(part) for part in projected.chunk(3, dim=2)))

    def fix_position(self, position: Tensor) -> None:
        """Compute the offset from the (1, S, d) position."""
        channels = position.shape[2]
        queries_keys = self.in_proj_weight.detach()[: 2 * channels]
        moved = functional.pad(functional.linear(position.detach(), queries_keys), (0, channels))
        self.register_buffer("offset", moved + self.in_proj_bias.detach(), persistent=False)


def precompute_positions(net: PoseNet) -> PoseNet:
    """Compute the position's part of all queries and keys once; in place."""
    swap_classes(net, {SelfAttention: PositionedSelfAttention})
    for module in net.modules():
        if isinstance(module, PositionedSelfAttention):
            module.fix_position(net.pos_embedding.transpose(0, 1))
    return net


def pad_kernels(net: Net) -> Net:
    """Pad the kernels of asymmetrically padded convolutions instead of their inputs; in place.

    A 4x4 kernel whose first row and column are zero gives with symmetric padding what a 3x3 kernel gives on an input
    padded at the right and the bottom. It costs next to nothing, while the padded copy of the input takes longer than
    the convolution itself. Not for CUDA, which has fast kernels for 3x3 only.
    """
    for module in list(net.modules()):
        for name, conv in module.named_children():
            if type(conv) is DownsampleConv2d:
                setattr(module, name, _with_padded_kernel(conv))
    return net


def _with_padded_kernel(conv: DownsampleConv2d) -> nn.Conv2d:
    """Return the convolution with a 4x4 kernel and symmetric padding."""
    padded = nn.Conv2d(
        conv.in_channels, conv.out_channels, 4, stride=2, padding=1, groups=conv.groups, device="meta"
    )  # fmt: skip
    padded.weight = nn.Parameter(functional.pad(conv.weight.detach(), (1, 0, 1, 0)), requires_grad=False)
    padded.bias = conv.bias
    return padded
