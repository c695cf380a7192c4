"""CUDA graphs: the kernels of a forward pass, captured once per batch size and then launched all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from tposecli.inference.backends.base import pad_batch, pieces

WARM_UP: Final = 3
"""Calls before capturing, in which libraries choose their kernels and allocate memory."""

STEP: Final = 8
"""Ratio of one captured size to the next; even with padding, the device is faster than what feeds it."""

Function = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True, slots=True)
class CudaGraph:
    """A captured graph: ``replay`` reads ``input`` and writes ``outputs``, always in the same memory."""

    input: Tensor
    outputs: list[Tensor]
    replay: Callable[[], None]


class CudaGraphRunner:
    """Runs a function of a batch as CUDA graphs of a few fixed batch sizes, for each shape of items.

    A batch is padded to the next of these sizes, and split if it is larger than the largest. The sizes are few because
    capturing takes up to seconds, in which libraries search kernels for each new size. Which one is used depends only
    on the batch, so that results are reproducible to the digit.
    """

    def __init__(self, function: Function, max_batch: int, capture: Callable[[Function, Tensor], CudaGraph]) -> None:
        """Prepare; each size is captured when it is first needed.

        Args:
            function: Maps (B, ...) to tensors whose first axis is B, without reading values on the host.
            max_batch: Largest batch size.
            capture: Captures the function with an input, whose memory the graph keeps.
        """
        self._function, self._max_batch, self._capture = function, max_batch, capture
        self._graphs: dict[tuple[int, ...], CudaGraph] = {}

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Return the function's outputs, in memory of their own."""
        parts = [self._piece(x[piece]) for piece in pieces(len(x), self._max_batch)]
        return parts[0] if len(parts) == 1 else [torch.cat(outputs) for outputs in zip(*parts, strict=True)]

    def _piece(self, x: Tensor) -> list[Tensor]:
        size = self.size_for(len(x))
        shape = size, *x.shape[1:]
        graph = self._graphs.get(shape)
        if graph is None:
            graph = self._graphs[shape] = self._capture(self._function, pad_batch(x, size).clone())
        graph.input[: len(x)].copy_(x)
        graph.replay()
        return [output[: len(x)].clone() for output in graph.outputs]

    def size_for(self, count: int) -> int:
        """Return the smallest size, ``max_batch`` divided by a power of ``STEP``, that holds ``count`` items."""
        size = self._max_batch
        while size // STEP >= count:
            size //= STEP
        return size


def capture_on_cuda(function: Function, x: Tensor) -> CudaGraph:
    """Capture the function on the input's CUDA device; other threads' work there is not captured."""
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
