"""Torch as it is, on any device, and compiled by it."""

from __future__ import annotations

import shutil
from typing import Final

import torch
from torch import Tensor

from tposecli.inference.backends.base import NetOutput, joined, padded, pieces
from tposecli.inference.backends.matmul_precision import float32_products
from tposecli.models.pose_net import PoseNet
from tposecli.utils.errors import UsageError

COMPILED_BATCH: Final = {"cpu": 1}
"""Crops in a compiled forward, by kind of device: on a CPU more at once gain nothing and take longer to compile."""


class Eager:
    """Torch, one operation after the other; implements :class:`~tposecli.inference.backends.base.Engine`."""

    def __init__(self, net: PoseNet) -> None:
        self.net = net

    def __call__(self, crops: Tensor) -> NetOutput:
        """See :class:`~tposecli.inference.backends.base.Engine`."""
        with float32_products(crops.device):
            heatmaps, inputs = self.net.encode(self.net.normalize(crops))
        return NetOutput(heatmaps.float(), inputs)


class Compiled:
    """Torch's compiler (Inductor): some ten seconds at the first batch, faster ever after."""

    def __init__(self, net: PoseNet, size: int) -> None:
        """Prepare; compiling begins with the first batch.

        Args:
            net: On its device.
            size: Crops in one forward; each further size would be compiled anew, so smaller batches are padded.

        Raises:
            UsageError: There is no C++ compiler.
        """
        if net.device.type == "cpu" and not any(map(shutil.which, ("g++", "c++", "clang++", "cl"))):
            raise UsageError("--backend compile needs a C++ compiler (g++); install one or choose --backend torch")
        self._size = size
        option = "freezing" if net.device.type == "cpu" else "triton.cudagraphs"
        self._encode = torch.compile(_Core(net), dynamic=False, options={option: True})

    def __call__(self, crops: Tensor) -> NetOutput:
        """See :class:`~tposecli.inference.backends.base.Engine`."""
        return joined([self._piece(crops[piece]) for piece in pieces(len(crops), self._size)])

    def _piece(self, crops: Tensor) -> NetOutput:
        """At most so many crops as a forward takes."""
        with float32_products(crops.device):
            heatmaps, inputs = self._encode(padded(crops, self._size))
        # The compiler writes its next outputs over these.
        return NetOutput(heatmaps[: len(crops)].clone(), [stage[: len(crops)].clone() for stage in inputs])


class _Core(torch.nn.Module):
    """From bytes to heatmaps, for the compiler."""

    def __init__(self, net: PoseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, H, W, 3) uint8 to heatmaps in float32, and the layers' inputs."""
        heatmaps, inputs = self.net.encode(self.net.normalize(crops))
        return heatmaps.float(), inputs
