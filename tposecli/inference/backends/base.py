"""The interface of engines, and helpers to split and join batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class NetOutput(NamedTuple):
    """Output of a net for B crops.

    Attributes:
        heatmaps: (B, K, h, w) float32.
        inputs: Input of each encoder layer, (B, S, d), from which attention is read; empty if the engine was built
            without.
    """

    heatmaps: Tensor
    inputs: list[Tensor]


class Engine(Protocol):
    """Runs a net on one device."""

    def __call__(self, crops: Tensor) -> NetOutput:
        """Run the net on (B, H, W, 3) uint8 RGB crops on the device."""
        ...


def pieces(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most ``size`` that cover ``count`` items in order."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def pad_batch(x: Tensor, size: int) -> Tensor:
    """Return (B, ...) padded to ``size`` items with copies of the first."""
    missing = size - len(x)
    return x if missing <= 0 else torch.cat((x, x[:1].expand(missing, *x.shape[1:])))


def concatenate(parts: Sequence[NetOutput]) -> NetOutput:
    """Concatenate consecutive batches."""
    if len(parts) == 1:
        return parts[0]
    inputs = zip(*(part.inputs for part in parts), strict=True)
    return NetOutput(torch.cat([part.heatmaps for part in parts]), [torch.cat(stage) for stage in inputs])
