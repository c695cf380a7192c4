"""Engines by backend, and the cache of exported files that some of them need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor

from tposecli.inference.backends.base import Engine, NetOutput
from tposecli.inference.backends.cpu_rewrites import pad_kernels, precompute_positions
from tposecli.inference.backends.eager import COMPILED_BATCH, Compiled, Eager
from tposecli.inference.backends.examples import rendered_examples
from tposecli.inference.backends.export import SUFFIXES, ExportOptions, export
from tposecli.inference.backends.export_cache import QUANTISING, CachedExport
from tposecli.inference.backends.int8 import Notes, check_given, export_int8, notes_for
from tposecli.inference.backends.kernels import has_kernels
from tposecli.inference.backends.onnx import OnnxSession
from tposecli.inference.backends.openvino import OpenVinoModel
from tposecli.inference.runtime import PACKAGES, Runtime, is_installed
from tposecli.models.pose_net import PoseNet
from tposecli.utils.version import __version__

AT_ONCE: Final = 8
"""Maximum number of concurrent forward passes: each takes some hundred megabytes with the largest nets."""
FileFormat = Literal["onnx", "openvino"]


@dataclass(frozen=True, slots=True)
class ExportCache:
    """Exported files of one checkpoint in the cache, written when first needed.

    Attributes:
        name: Name of the model.
        sha256: Digest of the weights: other weights of the same model have exports of their own.
        input_hw: Height and width of a crop.
        attention: Whether the inputs of the encoder layers are needed.
    """

    name: str
    sha256: str
    input_hw: tuple[int, int]
    attention: bool

    def cached(self, form: FileFormat) -> CachedExport:
        """Return the cache's entry for a format; it depends on the weights and the versions of packages."""
        versions = [__version__, torch.__version__, metadata.version(PACKAGES[form])]
        return CachedExport(self.name, self.sha256, [self.input_hw, self.attention, versions], SUFFIXES[form])

    def cached_int8(self) -> CachedExport:
        """Return the cache's entry for the int8 net; it also depends on the examples and on NNCF.

        Raises:
            UsageError: NNCF is not installed.
        """
        plain, notes = self.cached("openvino"), self.int8_notes()
        return replace(plain, key=[*plain.key, *notes.values()], task=QUANTISING)

    def int8_notes(self, given: Path | None = None) -> Notes:
        """Return what the int8 net is made from.

        Args:
            given: Its file; None for the cache's.

        Raises:
            UsageError: The file is of other weights, or, without one, NNCF is not installed.
            WeightsError: The file cannot be read.
        """
        if given is not None:
            return check_given(given, self.sha256, self.attention)
        return notes_for(self.name, self.sha256, self.attention, rendered_examples())

    def path(self, form: FileFormat) -> Path:
        """Return the path of the file, whether it exists or not."""
        return self.cached(form).path

    def get(self, form: FileFormat, net: PoseNet) -> Path:
        """Return the file, written now if it does not exist or is damaged, see :meth:`CachedExport.get`.

        Raises:
            OutputError: The file cannot be written anywhere, or its outputs differ from torch's.
        """
        return self.cached(form).get(lambda path: export(net, form, path, ExportOptions(self.attention)))

    def int8(self, net: PoseNet, given: Path | None = None) -> Path:
        """Return the file of the int8 net, quantised now on rendered people if it is not given, nor in the cache.

        Raises:
            UsageError: The given file is of other weights, or, without one, NNCF is not installed.
            OutputError: The file cannot be written anywhere, or its outputs differ from torch's.
        """
        notes = self.int8_notes(given)
        if given is not None:
            return given
        options, examples = ExportOptions(self.attention), rendered_examples()
        return self.cached_int8().get(lambda path: export_int8(net, path, options, examples, notes))


def choose(runtime: Runtime) -> str:
    """Return the backend that ``auto`` stands for: OpenVINO on a CPU where it is installed, else torch."""
    if runtime.backend != "auto":
        return runtime.backend
    return "openvino" if runtime.device.type == "cpu" and is_installed("openvino") else "torch"


def build_engine(net: PoseNet, runtime: Runtime, exports: ExportCache, device: torch.device) -> Engine:
    """Build the engine that runs the net on one of the runtime's devices.

    Args:
        net: With its batch normalisations folded, in float32 on the CPU; it is rewritten and moved in place.
        runtime: The runtime, with a backend other than ``auto``.
        exports: Cache of exported files.
        device: One of the runtime's.

    Raises:
        UsageError: A package or a compiler is not installed.
        OutputError: A file cannot be exported.
    """
    if runtime.backend == "torch" and has_kernels(device):
        # Triton is imported with these, which not every machine has.
        from tposecli.inference.backends.cuda_rewrites import rewrite_for_cuda

        return Eager(rewrite_for_cuda(_placed(net, device, runtime.dtype)))
    precompute_positions(net)
    if device.type != "cuda":
        pad_kernels(net)
    if runtime.backend == "onnx":
        return _FileEngine(OnnxSession(exports.get("onnx", net)))
    if runtime.backend == "openvino":
        int8 = runtime.precision == "int8"
        file = exports.int8(net, runtime.int8_model) if int8 else exports.get("openvino", net)
        return _FileEngine(OpenVinoModel(file, runtime.precision, at_once=min(runtime.batch_size, AT_ONCE)))
    placed = _placed(net, device, runtime.dtype)
    if runtime.backend == "compile":
        return Compiled(placed, COMPILED_BATCH.get(device.type, runtime.batch_size))
    return Eager(placed)


def _placed(net: PoseNet, device: torch.device, dtype: torch.dtype) -> PoseNet:
    """Move the net to the device and the precision, channels last."""
    return net.to(device, dtype).to(memory_format=torch.channels_last)


class _FileEngine:
    """Runs an exported file; implements :class:`~tposecli.inference.backends.base.Engine`."""

    def __init__(self, run: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        self._run = run

    def __call__(self, crops: Tensor) -> NetOutput:
        """See :class:`~tposecli.inference.backends.base.Engine`."""
        heatmaps, *inputs = self._run(crops)
        return NetOutput(heatmaps, inputs)
