"""What all ways to run a net have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor

BACKENDS: Final = ("auto", "torch", "compile", "onnx", "openvino")
"""What ``--backend`` takes."""


class NetOutput(NamedTuple):
    """What a net says of B crops.

    Attributes:
        heatmaps: (B, K, h, w) float32.
        inputs: What each encoder layer was given, (B, S, d), from which attention is read; none where the engine was
            made without.
    """

    heatmaps: Tensor
    inputs: list[Tensor]


class Engine(Protocol):
    """Runs a net on one device."""

    def __call__(self, crops: Tensor) -> NetOutput:
        """(B, H, W, 3) uint8 RGB crops, on the device."""
        ...


def pieces(count: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``count`` items in order."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def padded(x: Tensor, size: int) -> Tensor:
    """(B, ...) with its first item repeated at the end until there are ``size``."""
    missing = size - len(x)
    return x if missing <= 0 else torch.cat((x, x[:1].expand(missing, *x.shape[1:])))


def joined(parts: Sequence[NetOutput]) -> NetOutput:
    """Consecutive batches as one."""
    if len(parts) == 1:
        return parts[0]
    inputs = zip(*(part.inputs for part in parts), strict=True)
    return NetOutput(torch.cat([part.heatmaps for part in parts]), [torch.cat(stage) for stage in inputs])
