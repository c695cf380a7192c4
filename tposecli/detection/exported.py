"""A detector's dense net through OpenVINO on a CPU, for images of any size.

It is exported once, with height and width left open, and compiled for each size that it meets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from tposecli.hub.checkpoints.resolve import verify_file
from tposecli.inference.backends.export import write_checked
from tposecli.inference.backends.export_cache import CachedExport
from tposecli.inference.backends.openvino import OpenVinoModel, Outputs, save_openvino
from tposecli.utils.version import __version__

MAX_BATCH: Final = 16
"""Maximum number of images in one call."""
MAX_SHAPES: Final = 8
"""Maximum number of input sizes for which a compiled net is kept."""
CHECK_HW: Final = (192, 320)
"""Size of the images with which an export is checked."""


@dataclass(frozen=True, slots=True)
class DenseExport:
    """What a net's export depends on.

    Attributes:
        weights: File of the weights; the export is called after it.
        load: Loads them as a net from (B, h, w, 3) uint8 images to several float32 outputs, for the export only.
        outputs: Names of the outputs.
        scales: What each output's difference from torch is relative to.
        divisor: Both sides of an image are multiples of this.
        packages: Packages besides torch and OpenVINO whose versions matter.
    """

    weights: Path
    load: Callable[[], nn.Module]
    outputs: Sequence[str]
    scales: Sequence[float]
    divisor: int
    packages: Sequence[str] = ()

    def cached(self) -> Path:
        """Return the exported file, written to the cache now if it is missing or damaged.

        Raises:
            OutputError: It differs from torch, or cannot be written anywhere.
        """
        versions = [__version__, torch.__version__, *map(metadata.version, ("openvino", *self.packages))]
        key = [*self.outputs, versions]
        return CachedExport(self.weights.stem, verify_file(self.weights), key, ".xml").get(self.write)

    def write(self, path: Path) -> float:
        """Export the net, and return the mean difference of its outputs from torch's, relative to their scales.

        Raises:
            OutputError: The file cannot be written, or the difference is too large.
        """
        module = self.load().eval()
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (2, *CHECK_HW, 3), dtype=torch.uint8, generator=generator)

        def write(file: Path) -> float:
            smaller = images[:, : 2 * self.divisor, : 3 * self.divisor]
            save_openvino(module, smaller, file, (-1, -1, -1, 3), ("images", self.outputs))
            expected, found = module(images), OpenVinoModel(file, input_hw=CHECK_HW)(images)
            # The mean: single boxes of a noisy net may jump from one side to another by rounding.
            parts = zip(expected, found, self.scales, strict=True)
            return max(float((a - b).abs().mean()) / scale for a, b, scale in parts)

        return write_checked(path, "openvino", write)


class OpenVinoNet:
    """An exported net, compiled for the image sizes used last."""

    def __init__(self, file: Path, precision: str = "fp32") -> None:
        """Name the exported file, and the precision to compute in: ``fp32`` or ``bf16``."""
        self._file, self._precision = file, precision
        self._models: OrderedDict[tuple[int, int], OpenVinoModel] = OrderedDict()

    def __call__(self, images: Tensor) -> Outputs:
        """Return the net's outputs for (B, h, w, 3) uint8 images."""
        input_hw = int(images.shape[1]), int(images.shape[2])
        model = self._models.pop(input_hw, None)
        if model is None:
            model = OpenVinoModel(self._file, self._precision, at_once=MAX_BATCH, input_hw=input_hw)
        self._models[input_hw] = model
        if len(self._models) > MAX_SHAPES:
            self._models.popitem(last=False)
        return model(images)
