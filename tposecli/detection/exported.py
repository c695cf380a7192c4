"""A detector's dense net through OpenVINO on a CPU, for images of any size.

It is exported once, with height and width left open, and compiled for each size that it meets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from tposecli.hub.checkpoints.resolve import verify_file
from tposecli.inference.backends.examples import Examples
from tposecli.inference.backends.export import write_checked
from tposecli.inference.backends.export_cache import QUANTISING, CachedExport
from tposecli.inference.backends.int8 import require_nncf, write_int8
from tposecli.inference.backends.openvino import OpenVinoModel, Outputs, save_openvino
from tposecli.types import Image
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
        return self._entry().get(self.write)

    def cached_int8(self, examples: Examples, scaled: Callable[[Image], Image], kept: Sequence[str]) -> Path:
        """Return the int8 file, quantised now if it is missing or damaged.

        Args:
            examples: What the ranges of values are measured on.
            scaled: Scales an image as the detector does; the results must all be of one size.
            kept: Names of modules that are not quantised.

        Raises:
            UsageError: NNCF is not installed.
            OutputError: It differs from torch, or cannot be written anywhere.
        """
        notes = {"examples": examples.name, "examples_sha256": examples.sha256, "nncf": require_nncf()}
        entry = self._entry()
        entry = replace(entry, key=[*entry.key, *notes.values(), *kept], task=QUANTISING)

        def write(path: Path) -> float:
            images = np.stack([scaled(image) for image, _ in examples.pictures()])
            module = self.load().eval()
            return write_int8(module, path, images, kept, notes, partial(self._write_plain, module))

        return entry.get(write)

    def _entry(self) -> CachedExport:
        """Return the file's place in the cache."""
        versions = [__version__, torch.__version__, *map(metadata.version, ("openvino", *self.packages))]
        key = [*self.outputs, versions]
        return CachedExport(self.weights.stem, verify_file(self.weights), key, ".xml")

    def _write_plain(self, module: nn.Module, path: Path) -> None:
        """Write the file, without a check."""
        smaller = torch.zeros(2, 2 * self.divisor, 3 * self.divisor, 3, dtype=torch.uint8)
        save_openvino(module, smaller, path, (-1, -1, -1, 3), ("images", self.outputs))

    def write(self, path: Path) -> float:
        """Export the net, and return the mean difference of its outputs from torch's, relative to their scales.

        Raises:
            OutputError: The file cannot be written, or the difference is too large.
        """
        module = self.load().eval()
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (2, *CHECK_HW, 3), dtype=torch.uint8, generator=generator)

        def write(file: Path) -> float:
            self._write_plain(module, file)
            expected, found = module(images), OpenVinoModel(file, input_hw=CHECK_HW)(images)
            # The mean: single boxes of a noisy net may jump from one side to another by rounding.
            parts = zip(expected, found, self.scales, strict=True)
            return max(float((a - b).abs().mean()) / scale for a, b, scale in parts)

        return write_checked(path, "openvino", write)


class OpenVinoNet:
    """An exported net, compiled for the image sizes used last."""

    def __init__(self, file: Path, precision: str = "fp32") -> None:
        """Name the exported file, and the precision: ``fp32``, ``bf16``, or ``int8`` if it is quantised."""
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
