"""One device with its net: from crops to what the net says of them."""

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
    """What the net says of B crops: (B, K, 2) heatmap positions, (B, K) peaks, (B, L, K, h, w) attention or None."""

    xy: Tensor
    score: Tensor
    attention: Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence[Keypoints]) -> Keypoints:
        """Consecutive batches of whatever devices, on the CPU."""
        attention = [part.attention.cpu() for part in parts if part.attention is not None]
        return cls(
            torch.cat([part.xy.cpu() for part in parts]),
            torch.cat([part.score.cpu() for part in parts]),
            torch.cat(attention) if attention else None,
        )


@dataclass(frozen=True, slots=True)
class DeviceWorker:
    """A net, what runs it, and where.

    On CUDA ``measure`` returns before the device is done, so that one thread keeps several devices busy.

    Attributes:
        net: For its sizes, and for reading attention.
        engine: Runs it.
        device: Where.
        mirror: Of each keypoint, the index of the one on the other side, for the flip test; None without.
        attention: What to read of it; None for nothing.
        replay: All of it, from crops to what the net says of them, as recordings; None where it is carried out anew.
    """

    net: PoseNet
    engine: Engine
    device: torch.device
    mirror: Sequence[int] | None = None
    attention: Attention | None = None
    replay: CudaGraphRunner | None = None

    def recorded(self, largest: int) -> DeviceWorker:
        """The same by recordings, for batches of at most so many crops; for CUDA."""

        def flat(crops: Tensor) -> list[Tensor]:
            measured = self._anew(crops, Timings())
            return [part for part in measured if part is not None]

        return replace(self, replay=CudaGraphRunner(flat, largest, capture_on_cuda))

    def measure(self, crops: Tensor, timings: Timings) -> Keypoints:
        """(B, H, W, 3) uint8 on the device to what the net says of them, there."""
        if self.replay is None:
            return self._anew(crops, timings)
        with timings.measure("net"):
            return Keypoints(*self.replay(crops))

    def _anew(self, crops: Tensor, timings: Timings) -> Keypoints:
        """One step after the other."""
        with timings.measure("net"):
            encoded = self.engine(crops)
            averaged = self._averaged(crops, encoded.heatmaps)
        attention = None
        if self.attention is not None:
            with timings.measure("attention"):
                attention = self._at_keypoints(encoded, self.attention)
        with timings.measure("heatmap decode"):
            xy, score = heatmaps.decode(averaged)
        return Keypoints(xy, score, attention)

    def heatmaps(self, crops: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 on the device to (B, K, h, w) float32, there."""
        return self._averaged(crops, self.engine(crops).heatmaps)

    def attention_at(self, crops: Tensor, cells: Tensor) -> Tensor:
        """(B, L, Q, h, w) attention at (B, Q) cells of the grid; the lane was made with ``attention``."""
        assert self.attention is not None
        return self.net.attention(self.engine(crops).inputs, cells.to(self.device), self.attention)

    def _averaged(self, crops: Tensor, maps: Tensor) -> Tensor:
        """The heatmaps, averaged with those of the mirrored crops if that was asked for."""
        if self.mirror is None:
            return maps
        return (maps + heatmaps.flip_back(self.engine(crops.flip(2)).heatmaps, self.mirror)) / 2

    def _at_keypoints(self, encoded: NetOutput, request: Attention) -> Tensor:
        """(B, L, K, h, w) at the cells of the unflipped crop's keypoints."""
        net = self.net
        stride = net.input_hw[0] // net.grid_hw[0]
        cells = heatmaps.attention_cells(heatmaps.decode(encoded.heatmaps)[0], stride, net.grid_hw)
        if request.keypoints is not None:
            cells = cells[:, heatmaps.index(request.keypoints, cells.device)]
        return net.attention(encoded.inputs, cells, request)
