"""Steps that nets take again and again, each as one where the device has a kernel for it.

Elsewhere, and while a net is trained or compiled, they are what their names say in torch's own operations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.inference.backends.kernels import fuses_convolutions, has_kernels


def activated(conv: nn.Module, norm: nn.Module, x: Tensor, plus: Tensor | None = None) -> Tensor:
    """ReLU of the normalised convolution, to which a map may be added before."""
    if isinstance(norm, nn.Identity) and _by_kernel(x):
        if isinstance(conv, nn.Conv2d) and x.dtype != torch.float32 and fuses_convolutions(x.device):
            return _fused_conv(conv, x, plus)
        if isinstance(conv, nn.ConvTranspose2d) and plus is None:
            return merged([_without_bias(conv, x)], conv.bias)
    y = norm(conv(x))
    return functional.relu(y if plus is None else y + plus, inplace=True)


def _fused_conv(conv: nn.Conv2d, x: Tensor, plus: Tensor | None) -> Tensor:
    """What cuDNN offers as one step."""
    stride, padding, dilation, groups = conv.stride, conv.padding, conv.dilation, conv.groups
    assert not isinstance(padding, str)
    if plus is None:
        return torch.cudnn_convolution_relu(x, conv.weight, conv.bias, stride, padding, dilation, groups)
    return torch.cudnn_convolution_add_relu(x, conv.weight, plus, 1.0, conv.bias, stride, padding, dilation, groups)


def _without_bias(conv: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    assert not isinstance(conv.padding, str)
    return functional.conv_transpose2d(x, conv.weight, None, conv.stride, conv.padding)


def add_norm(norm: nn.LayerNorm, tokens: Tensor, update: Tensor) -> Tensor:
    """LayerNorm of the sum of two (B, S, d) tensors."""
    if _by_kernel(tokens):
        from tposecli.inference.backends.kernels import nets

        return nets.add_norm(tokens, update, norm)
    return norm(tokens + update)  # type: ignore[no-any-return]


def linear_relu(linear: nn.Linear, x: Tensor) -> Tensor:
    """ReLU of a product and bias."""
    if _by_kernel(x):
        flat: Tensor = torch._addmm_activation(linear.bias, x.flatten(0, 1), linear.weight.T)
        return flat.view(*x.shape[:2], -1)
    return functional.relu(linear(x))


def merged(parts: Sequence[Tensor], bias: Tensor | None = None) -> Tensor:
    """ReLU of the sum of (B, C, h, w) maps and a (C,) bias; smaller maps are repeated up to the first's size."""
    first = parts[0]
    if _by_kernel(first):
        from tposecli.inference.backends.kernels import nets

        return nets.merged([part.contiguous(memory_format=torch.channels_last) for part in parts], bias)
    total = first if bias is None else first + bias[:, None, None]
    for part in parts[1:]:
        factor = first.shape[2] // part.shape[2]
        total = total + (part if factor == 1 else functional.interpolate(part, scale_factor=float(factor)))
    return functional.relu(total)


def pooled(maps: Tensor) -> Tensor:
    """(B, C, h, w) to (B, C, h / 2, w / 2): the highest of 3x3 positions round every other one."""
    if _by_kernel(maps) and maps.shape[2] % 2 == maps.shape[3] % 2 == 0:
        from tposecli.inference.backends.kernels import nets

        return nets.pooled(maps.contiguous(memory_format=torch.channels_last))
    return functional.max_pool2d(maps, 3, stride=2, padding=1)


def _by_kernel(x: Tensor) -> bool:
    """Whether steps are fused: none of them knows gradients, or a precision of its own; a compiler makes others."""
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or torch.is_autocast_enabled():
        return False
    return has_kernels(x.device)
