"""CUDA graphs: a forward's kernels, recorded once for each batch size and launched all at once ever after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from tposecli.inference.backends.base import padded, pieces

WARM_UP: Final = 3
"""Forwards before recording, in which libraries choose their kernels and take their memory."""

STEP: Final = 8
"""From one recorded size to the next; a device that works on some padding is still faster than what feeds it."""

Function = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True, slots=True)
class CudaGraph:
    """A recording: ``replay`` reads what lies in ``input`` and writes to ``outputs``, always the same memory."""

    input: Tensor
    outputs: list[Tensor]
    replay: Callable[[], None]


class CudaGraphRunner:
    """A function of a batch, by recordings of a few fixed sizes, for each shape of items.

    A batch is padded to the next of them, and cut where it is larger than the largest. There are few, because a
    recording takes up to seconds, in which libraries look for kernels for each new size; and which one a batch takes
    depends on nothing else, so that one run after the other gives the same digits.
    """

    def __init__(self, function: Function, largest: int, capture: Callable[[Function, Tensor], CudaGraph]) -> None:
        """Prepare; each size is recorded when it is first met.

        Args:
            function: (B, ...) to tensors whose first axis is B, without looking at values on the host.
            largest: Batch size.
            capture: Records the function, given an input to keep.
        """
        self._function, self._largest, self._capture = function, largest, capture
        self._recorded: dict[tuple[int, ...], CudaGraph] = {}

    def __call__(self, x: Tensor) -> list[Tensor]:
        """The function's outputs, in memory of their own."""
        parts = [self._piece(x[piece]) for piece in pieces(len(x), self._largest)]
        return parts[0] if len(parts) == 1 else [torch.cat(outputs) for outputs in zip(*parts, strict=True)]

    def _piece(self, x: Tensor) -> list[Tensor]:
        size = self.size_for(len(x))
        shape = size, *x.shape[1:]
        recorded = self._recorded.get(shape)
        if recorded is None:
            recorded = self._recorded[shape] = self._capture(self._function, padded(x, size).clone())
        recorded.input[: len(x)].copy_(x)
        recorded.replay()
        return [output[: len(x)].clone() for output in recorded.outputs]

    def size_for(self, count: int) -> int:
        """The largest size divided by ``STEP`` as often as so many still have room."""
        size = self._largest
        while size // STEP >= count:
            size //= STEP
        return size


def capture_on_cuda(function: Function, x: Tensor) -> CudaGraph:
    """Record on the input's CUDA device; what other threads do there meanwhile is not recorded."""
    with torch.cuda.device(x.device):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                function(x)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = function(x)
    return CudaGraph(x, outputs, graph.replay)
