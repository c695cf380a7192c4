"""One device with its net: from crops to keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from tposecli.geometry import heatmaps
from tposecli.inference.backends.base import Engine, NetOutput
from tposecli.inference.backends.cuda_graphs import CudaGraphRunner, capture_on_cuda
from tposecli.models.attention_readout import Attention
from tposecli.models.pose_net import PoseNet
from tposecli.utils.timings import Timings


class Keypoints(NamedTuple):
    """Keypoints of B crops: (B, K, 2) heatmap positions, (B, K) peaks, (B, L, K, h, w) attention or None."""

    xy: Tensor
    score: Tensor
    attention: Tensor | None = None

    @classmethod
    def concatenate(cls, parts: Sequence[Keypoints]) -> Keypoints:
        """Concatenate consecutive batches, from any devices, on the CPU."""
        attention = [part.attention.cpu() for part in parts if part.attention is not None]
        return cls(
            torch.cat([part.xy.cpu() for part in parts]),
            torch.cat([part.score.cpu() for part in parts]),
            torch.cat(attention) if attention else None,
        )


@dataclass(frozen=True, slots=True)
class DeviceWorker:
    """A net, the engine that runs it, and its device.

    On CUDA, ``estimate`` returns before the device has finished, so that one thread keeps several devices busy.

    Attributes:
        net: The net, for its sizes and for reading attention.
        engine: Runs the net.
        device: Where the engine runs.
        mirror: For each keypoint, the index of its left-right counterpart, for the flip test; None without flip test.
        attention: Which attention to read; None for none.
        graphs: Replays everything from crops to keypoints as CUDA graphs; None to run it step by step.
    """

    net: PoseNet
    engine: Engine
    device: torch.device
    mirror: Sequence[int] | None = None
    attention: Attention | None = None
    graphs: CudaGraphRunner | None = None

    def with_cuda_graphs(self, max_batch: int) -> DeviceWorker:
        """Return a copy that replays CUDA graphs, for batches of up to ``max_batch`` crops."""

        def as_list(crops: Tensor) -> list[Tensor]:
            return [part for part in self._run(crops, Timings()) if part is not None]

        return replace(self, graphs=CudaGraphRunner(as_list, max_batch, capture_on_cuda))

    def estimate(self, crops: Tensor, timings: Timings) -> Keypoints:
        """Return the keypoints of (B, H, W, 3) uint8 crops; all of it on the device."""
        if self.graphs is None:
            return self._run(crops, timings)
        with timings.measure("net"):
            return Keypoints(*self.graphs(crops))

    def _run(self, crops: Tensor, timings: Timings) -> Keypoints:
        """Run net, attention readout and decoding step by step."""
        with timings.measure("net"):
            output = self.engine(crops)
            averaged = self._flip_averaged(crops, output.heatmaps)
        attention = None
        if self.attention is not None:
            with timings.measure("attention"):
                attention = self._attention_at_keypoints(output, self.attention)
        with timings.measure("heatmap decode"):
            xy, score = heatmaps.decode(averaged)
        return Keypoints(xy, score, attention)

    def heatmaps(self, crops: Tensor) -> Tensor:
        """Return the (B, K, h, w) float32 heatmaps of (B, H, W, 3) uint8 crops; all of it on the device."""
        return self._flip_averaged(crops, self.engine(crops).heatmaps)

    def attention_at(self, crops: Tensor, cells: Tensor) -> Tensor:
        """Return (B, L, Q, h, w) attention at (B, Q) cells of the grid; needs the attribute ``attention``."""
        assert self.attention is not None
        return self.net.attention(self.engine(crops).inputs, cells.to(self.device), self.attention)

    def _flip_averaged(self, crops: Tensor, maps: Tensor) -> Tensor:
        """Return the heatmaps, averaged with those of the mirrored crops if there is a flip test."""
        if self.mirror is None:
            return maps
        return (maps + heatmaps.flip_back(self.engine(crops.flip(2)).heatmaps, self.mirror)) / 2

    def _attention_at_keypoints(self, output: NetOutput, request: Attention) -> Tensor:
        """Return (B, L, K, h, w) attention at the cells of the unflipped crops' keypoints."""
        net = self.net
        stride = net.input_hw[0] // net.grid_hw[0]
        cells = heatmaps.attention_cells(heatmaps.decode(output.heatmaps)[0], stride, net.grid_hw)
        if request.keypoints is not None:
            cells = cells[:, heatmaps.index(request.keypoints, cells.device)]
        return net.attention(output.inputs, cells, request)
