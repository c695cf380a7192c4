"""Modules of the nets for prediction on CUDA, where cuDNN, cuBLAS or a kernel of ours does several steps in one.

Each derives from the plain module, whose batch normalisations must have been folded, and overrides only the steps that
it fuses. None of them supports gradients or autocast.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.inference.backends.kernels import fuses_convolutions, nets
from tposecli.models.blocks import BasicBlock, Bottleneck, ConvBNReLU
from tposecli.models.encoder import EncoderLayer
from tposecli.models.transpose_h import BranchSum, TransPoseH
from tposecli.models.transpose_r import TransPoseR


def conv_relu(conv: nn.Conv2d, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
    """Return ReLU of a convolution, with the shortcut added to it before."""
    if x.dtype != torch.float32 and fuses_convolutions(x.device):
        assert not isinstance(conv.padding, str)
        shape = conv.stride, conv.padding, conv.dilation, conv.groups
        if shortcut is None:
            return torch.cudnn_convolution_relu(x, conv.weight, conv.bias, *shape)
        return torch.cudnn_convolution_add_relu(x, conv.weight, shortcut, 1.0, conv.bias, *shape)
    y = conv(x)
    return functional.relu(y if shortcut is None else y + shortcut, inplace=True)


def linear_relu(linear: nn.Linear, x: Tensor) -> Tensor:
    """Return ReLU of a linear layer of (B, S, d), the activation in the epilogue of the matrix product."""
    flat: Tensor = torch._addmm_activation(linear.bias, x.flatten(0, 1), linear.weight.T)
    return flat.view(*x.shape[:2], -1)


def channels_last(x: Tensor) -> Tensor:
    """Return the (B, C, h, w) tensor in the layout that the kernels expect."""
    return x.contiguous(memory_format=torch.channels_last)


class FusedConvBNReLU(ConvBNReLU):
    """Convolution, bias and ReLU in one step."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h / stride, w / stride)."""
        conv = self[0]
        assert isinstance(conv, nn.Conv2d)
        return conv_relu(conv, x)


class FusedBasicBlock(BasicBlock):
    """Each convolution with its bias, the shortcut and ReLU in one step."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, width, H / stride, W / stride)."""
        y = conv_relu(self.conv1, x)
        return conv_relu(self.conv2, y, x if self.downsample is None else self.downsample(x))


class FusedBottleneck(Bottleneck):
    """Each convolution with its bias, the shortcut and ReLU in one step."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 4 * width, H / stride, W / stride)."""
        y = conv_relu(self.conv1, x)
        y = conv_relu(self.conv2, y)
        return conv_relu(self.conv3, y, x if self.downsample is None else self.downsample(x))


class FusedEncoderLayer(EncoderLayer):
    """Shortcut and LayerNorm in one step, linear layer and ReLU in one; no dropout."""

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        """(B, S, d) tokens and (1, S, d) position to (B, S, d)."""
        tokens = nets.add_norm(tokens, self.self_attn(tokens, position), self.norm1)
        return nets.add_norm(tokens, self.linear2(linear_relu(self.linear1, tokens)), self.norm2)


class FusedBranchSum(BranchSum):
    """Upsampling, sum, bias and ReLU in one step; the branches themselves neither upsample nor add a bias.

    Attributes:
        bias: (C,) sum of the biases of all branches.
    """

    bias: Tensor | None

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map one (B, C, h, w) tensor per branch to one of the target branch's shape."""
        return nets.sum_relu([channels_last(layer(x)) for layer, x in zip(self, maps, strict=True)], self.bias)


class FusedTransPoseR(TransPoseR):
    """A stem of two steps."""

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 64, H/4, W/4); H and W must be divisible by 4."""
        return nets.max_pool(channels_last(conv_relu(self.conv1, x)))


class FusedTransPoseH(TransPoseH):
    """A stem of two steps."""

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 64, H/4, W/4)."""
        return conv_relu(self.conv2, conv_relu(self.conv1, x))


class BiasReLU(nn.Module):
    """Bias of the convolution before it, and ReLU, in one step.

    Attributes:
        bias: (C,), or None if the convolution has none.
        max_value: Upper bound of the output: 6 in place of ReLU6.
    """

    def __init__(self, bias: Tensor | None, max_value: float | None) -> None:
        super().__init__()
        self.bias, self.max_value = bias, max_value

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        return nets.sum_relu([channels_last(x)], self.bias, self.max_value)
