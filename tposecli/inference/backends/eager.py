"""Torch on any device, eager or compiled."""

from __future__ import annotations

import shutil
from typing import Final

import torch
from torch import Tensor

from tposecli.inference.backends.base import NetOutput, concatenate, pad_batch, pieces
from tposecli.inference.backends.matmul_precision import exact_float32_matmul
from tposecli.models.pose_net import PoseNet
from tposecli.utils.errors import UsageError

COMPILED_BATCH: Final = {"cpu": 1}
"""Crops per compiled forward pass, by device type: on a CPU, more are no faster and take longer to compile."""


class Eager:
    """Torch in eager mode; implements :class:`~tposecli.inference.backends.base.Engine`."""

    def __init__(self, net: PoseNet) -> None:
        self.net = net

    def __call__(self, crops: Tensor) -> NetOutput:
        """See :class:`~tposecli.inference.backends.base.Engine`."""
        with exact_float32_matmul(crops.device):
            heatmaps, inputs = self.net.encode(self.net.normalize(crops))
        return NetOutput(heatmaps.float(), inputs)


class Compiled:
    """Torch's compiler (Inductor): takes some ten seconds at the first batch."""

    def __init__(self, net: PoseNet, size: int) -> None:
        """Prepare; compilation happens at the first batch.

        Args:
            net: The net, on its device.
            size: Crops per forward pass; each other size would need compilation, so smaller batches are padded.

        Raises:
            UsageError: No C++ compiler is installed.
        """
        if net.device.type == "cpu" and not any(map(shutil.which, ("g++", "c++", "clang++", "cl"))):
            raise UsageError("--backend compile needs a C++ compiler (g++); install one or choose --backend torch")
        self._size = size
        option = "freezing" if net.device.type == "cpu" else "triton.cudagraphs"
        self._encode = torch.compile(_Core(net), dynamic=False, options={option: True})

    def __call__(self, crops: Tensor) -> NetOutput:
        """See :class:`~tposecli.inference.backends.base.Engine`."""
        return concatenate([self._piece(crops[piece]) for piece in pieces(len(crops), self._size)])

    def _piece(self, crops: Tensor) -> NetOutput:
        """Run a batch of at most ``size`` crops."""
        with exact_float32_matmul(crops.device):
            heatmaps, inputs = self._encode(pad_batch(crops, self._size))
        # The next call overwrites the outputs.
        return NetOutput(heatmaps[: len(crops)].clone(), [stage[: len(crops)].clone() for stage in inputs])


class _Core(torch.nn.Module):
    """From crops to heatmaps, for the compiler."""

    def __init__(self, net: PoseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the float32 heatmaps of (B, H, W, 3) uint8 crops, and the inputs of the encoder layers."""
        heatmaps, inputs = self.net.encode(self.net.normalize(crops))
        return heatmaps.float(), inputs
