"""Nets that cost nothing, to measure everything around them: crops, decoding of heatmaps and all the rest are real."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from tposecli.inference.backends.base import NetOutput
from tposecli.lab.training.targets import gaussians
from tposecli.models.catalog import heatmap_size
from tposecli.pipeline.run import Nets

STANDING: Final = (
    *((0.50, 0.12), (0.52, 0.10), (0.48, 0.10), (0.55, 0.11), (0.45, 0.11)),
    *((0.62, 0.25), (0.38, 0.25), (0.66, 0.40), (0.34, 0.40), (0.67, 0.53), (0.33, 0.53)),
    *((0.58, 0.53), (0.42, 0.53), (0.58, 0.71), (0.42, 0.71), (0.58, 0.88), (0.42, 0.88)),
)
"""The 17 COCO keypoints of somebody who stands upright, in widths and heights of the crop."""
SIGMA: Final = 2.0


class FreeEngine:
    """Returns the same heatmaps for every crop; implements :class:`tposecli.inference.backends.base.Engine`.

    Args:
        size_hw: Height and width of a heatmap.
        device: Where they are.
    """

    def __init__(self, size_hw: tuple[int, int], device: torch.device) -> None:
        xy = torch.tensor(STANDING, device=device) * torch.tensor(size_hw[::-1], device=device)
        self._maps = gaussians(xy[None], size_hw, SIGMA)

    def __call__(self, crops: Tensor) -> NetOutput:
        """Return (B, 17, h, w) heatmaps for B crops, without looking at them."""
        return NetOutput(self._maps.expand(len(crops), -1, -1, -1).contiguous(), [])


def make_free(nets: Nets) -> None:
    """Replace the pose net; whoever takes the boxes from a file has no other net."""
    estimator = nets.estimator
    size_hw = heatmap_size(estimator.net.input_hw)
    estimator.workers = [
        replace(worker, engine=FreeEngine(size_hw, worker.device), graphs=None) for worker in estimator.workers
    ]
