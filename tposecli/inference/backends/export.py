"""Export of nets for other runtimes: ONNX, OpenVINO, torch.export.

An exported file takes crops as bytes, (B, H, W, 3) uint8 RGB, and returns ``heatmaps``, (B, K, h, w) float32; with
attention it also returns the input of each encoder layer, ``layer0`` and so on, (B, S, d). Normalisation is included.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec as find_module
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from tposecli.inference.backends.onnx import OnnxSession
from tposecli.inference.backends.openvino import OpenVinoModel, save_openvino
from tposecli.inference.options import ExportFormat
from tposecli.models.pose_net import PoseNet
from tposecli.utils.errors import OutputError, TposeError, UsageError
from tposecli.utils.files import may_replace, move

SUFFIXES: Final[dict[ExportFormat, str]] = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}
NEEDED: Final[dict[ExportFormat, tuple[str, ...]]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "torch-export": (),
}
"""Packages needed to write and check a file of the format."""
TOLERANCE: Final = 1e-4
"""Maximum difference of a file's outputs from torch's, relative to their largest value."""
FAILURES: Final = (TposeError, RuntimeError, ImportError, AttributeError, LookupError, TypeError, ValueError, OSError)
"""What exporting, loading or running a file may raise; none of it need end a run that torch can do."""
CHECK_CROPS: Final = 3
"""Number of crops that a file is checked with, another than it is made with."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        attention: Also return the inputs of the encoder layers.
        batch: Fixed number of crops per forward pass; None for any number.
    """

    attention: bool = False
    batch: int | None = None

    def names(self, layers: int) -> list[str]:
        """Return the names of the outputs."""
        return ["heatmaps", *(f"layer{layer}" for layer in range(layers if self.attention else 0))]


class Exportable(nn.Module):
    """A net from crops to heatmaps, and optionally to the inputs of the encoder layers."""

    def __init__(self, net: PoseNet, attention: bool) -> None:
        super().__init__()
        self.net, self.attention = net, attention

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Return the float32 outputs for (B, H, W, 3) uint8 crops."""
        heatmaps, inputs = self.net.encode(self.net.normalize(crops))
        return (heatmaps, *inputs) if self.attention else (heatmaps,)


def instead(name: str, error: Exception) -> str:
    """Return the line that says that torch runs the net of that name, and why OpenVINO does not."""
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return f"{name}: it runs through torch, because OpenVINO cannot run it: {reason}"


def require(form: ExportFormat) -> None:
    """Check that the packages of the format are installed.

    Raises:
        UsageError: One is missing; the message says how to install it.
    """
    missing = [name for name in NEEDED[form] if find_module(name) is None]
    if missing:
        raise UsageError(f"{form} needs {', '.join(missing)}: pip install 'tposecli[{form}]'")


def export(net: PoseNet, form: ExportFormat, path: Path, options: ExportOptions) -> float:
    """Write a net to a file and check it against torch; no file is left if either fails.

    Args:
        net: For prediction, in float32 on the CPU.
        form: ExportFormat of the file.
        path: Path of the file; OpenVINO writes a second one, ``.bin``, beside it.
        options: Options of the export.

    Returns:
        The largest difference from torch's outputs, relative to their largest value.

    Raises:
        UsageError: A package is missing.
        OutputError: The file cannot be written, or its outputs differ from torch's.
    """
    require(form)
    module = Exportable(net, options.attention).eval()

    def write(file: Path) -> float:
        _WRITERS[form](module, file, options)
        return difference(module, file, form, options)

    return write_checked(path, form, write)


def write_checked(
    path: Path, form: ExportFormat, write: Callable[[Path], float], tolerance: float = TOLERANCE
) -> float:
    """Write an exported net and the files beside it; they get their names once they are checked and on the disk.

    Args:
        path: Path of the file.
        form: Format of the file, for messages.
        write: Writes the file to the path that it is given, and returns the largest difference from torch's outputs,
            relative to their largest value.
        tolerance: Maximum difference.

    Returns:
        The difference.

    Raises:
        OutputError: The file cannot be written, or its outputs differ from torch's.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as folder:
            part = Path(folder) / path.name
            with _quiet(), torch.no_grad():
                error = write(part)
            if not error <= tolerance:
                raise OutputError(
                    f"{path}: the {form} file is off by {error:.1e} of torch's largest value and was discarded; "
                    "choose another format or --backend torch"
                )
            for file in sorted(part.parent.iterdir(), key=lambda file: file.name == path.name):
                move(file, path.parent / file.name, replace=may_replace(path))
    except OSError as failure:
        raise OutputError(
            f"{path}: cannot be written ({failure.strerror or failure}); choose another output"
        ) from failure
    return error


def difference(module: Exportable, path: Path, form: ExportFormat, options: ExportOptions) -> float:
    """Return the largest difference of a file's outputs from the module's, relative to the largest value of each."""
    generator = torch.Generator().manual_seed(0)
    size = (options.batch or CHECK_CROPS, *module.net.input_hw, 3)
    crops = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    expected, found = module(crops), _READERS[form](path)(crops)
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(expected, found, strict=True))


def _example(module: Exportable, options: ExportOptions) -> Tensor:
    return torch.zeros(options.batch or 2, *module.net.input_hw, 3, dtype=torch.uint8)


def _program(module: Exportable, options: ExportOptions) -> torch.export.ExportedProgram:
    batch = None if options.batch else ({0: torch.export.Dim("batch", min=1, max=4096)},)
    return torch.export.export(module, (_example(module, options),), dynamic_shapes=batch)


def _write_torch(module: Exportable, path: Path, options: ExportOptions) -> None:
    torch.export.save(_program(module, options), path)


def _write_onnx(module: Exportable, path: Path, options: ExportOptions) -> None:
    program = torch.onnx.export(
        _program(module, options),
        input_names=["crops"],
        output_names=options.names(len(module.net.global_encoder.layers)),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(path)


def _write_openvino(module: Exportable, path: Path, options: ExportOptions) -> None:
    crops, names = _example(module, options), options.names(len(module.net.global_encoder.layers))
    save_openvino(module, crops, path, (options.batch or -1, *crops.shape[1:]), ("crops", names))


def _read_torch(path: Path) -> Callable[[Tensor], Any]:
    return torch.export.load(path).module()


_WRITERS: Final[dict[ExportFormat, Callable[[Exportable, Path, ExportOptions], None]]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "torch-export": _write_torch,
}
_READERS: Final[dict[ExportFormat, Callable[[Path], Callable[[Tensor], Any]]]] = {
    "onnx": OnnxSession,
    "openvino": lambda path: OpenVinoModel(path, batch=None),
    "torch-export": _read_torch,
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' warnings, which do not matter because the result is checked.

    They go to the root logger, which would get a handler with the first of them, and repeat our own lines from then on.
    """
    before, nothing = logging.root.manager.disable, logging.NullHandler()
    logging.root.addHandler(nothing)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.removeHandler(nothing)
