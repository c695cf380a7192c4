"""Rewrites of a net for training with torch on a CPU: the same function by operations whose gradients are faster.

In bf16 with one thread of an AVX-512-BF16 CPU, the gradient of a depthwise convolution of stride 2 takes several times
as long as that of stride 1 with every second pixel taken; the fused attention twice as long as two products and a
softmax; and a dropout mask of one draw per value four times as long as one of 16 bits per value.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tposecli.inference.backends.rewrite import swap_classes
from tposecli.models.encoder import SelfAttention
from tposecli.models.mobilenet import DownsampleConv2d

Net = TypeVar("Net", bound=nn.Module)

LEVELS: Final = 1 << 16
"""Number of values of the random numbers behind a dropout mask."""

_draws: ContextVar[torch.Generator | None] = ContextVar("draws", default=None)


def with_fast_gradients(net: Net) -> Net:
    """Rewrite a net in place; parameters, outputs and gradients stay what they are, up to rounding."""
    swap_classes(
        net,
        {DownsampleConv2d: DenseDownsampleConv2d, SelfAttention: ProductSelfAttention, nn.Dropout: CoarseDropout},
    )
    return net


@contextmanager
def own_draws(seed: int) -> Iterator[None]:
    """Let the dropout of this thread draw from a generator of its own, with that seed."""
    token = _draws.set(torch.Generator().manual_seed(seed))
    try:
        yield
    finally:
        _draws.reset(token)


class DenseDownsampleConv2d(DownsampleConv2d):
    """The convolution of stride 2 as one of stride 1, of which every second pixel is taken, if it is depthwise."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) with even sides to (B, outputs, h / 2, w / 2)."""
        if self.groups == 1 or not (x.requires_grad or self.weight.requires_grad):
            return super().forward(x)
        # The window of output i begins at 2i, as that of the dense output 2i + 1 with a border of one pixel does.
        dense = functional.conv2d(x, self.weight, self.bias, padding=1, groups=self.groups)
        return dense[:, :, 1::2, 1::2].contiguous(memory_format=torch.channels_last)


class ProductSelfAttention(SelfAttention):
    """Self-attention as products of batches of matrices; under autocast, the softmax is in its precision, too."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return the (B, S, d) output projection of the attention of three tensors (B, heads, S, d / heads)."""
        batch, heads, positions, channels = query.shape
        device = query.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype
        scaled, keys, values = (
            part.reshape(batch * heads, positions, channels).to(dtype) for part in (query * channels**-0.5, key, value)
        )
        with torch.autocast(device, enabled=False):
            weights = torch.bmm(scaled, keys.transpose(1, 2)).softmax(dim=2)
            mixed = torch.bmm(weights, values)
        mixed = mixed.view(batch, heads, positions, channels).transpose(1, 2).flatten(2)
        return self.out_proj(mixed)  # type: ignore[no-any-return]


class CoarseDropout(nn.Dropout):
    """Dropout whose probability is rounded to multiples of 1 / ``LEVELS``."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        if not self.training or self.p == 0:
            return x
        limit = min(round(self.p * LEVELS), LEVELS)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
        draws.random_(-(2**63), None, generator=_draws.get())
        kept = draws.view(torch.int16)[: x.numel()].view(x.shape) >= limit - LEVELS // 2
        return x * kept.to(x.dtype).mul_(LEVELS / max(LEVELS - limit, 1))
