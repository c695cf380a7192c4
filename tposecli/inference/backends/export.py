"""Nets as files for other runtimes: ONNX, OpenVINO, torch.export.

A file takes crops as bytes, (B, H, W, 3) uint8 RGB, and gives ``heatmaps`` (B, K, h, w) float32; one made with
attention also gives what each encoder layer was given, ``layer0`` and so on, (B, S, d). Normalisation is inside.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec as find_module
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.hub.download.download import Downloads
from tposecli.inference.backends.cpu_rewrites import for_prediction
from tposecli.inference.backends.onnx import OnnxSession
from tposecli.inference.backends.openvino import OpenVinoModel
from tposecli.models.pose_net import PoseNet
from tposecli.utils.errors import OutputError, UsageError
from tposecli.utils.files import check_output

Format = Literal["onnx", "openvino", "torch-export"]

SUFFIXES: Final[dict[Format, str]] = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}
NEEDED: Final[dict[Format, tuple[str, ...]]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "torch-export": (),
}
"""Modules that making and checking a file of the format takes."""
TOLERANCE: Final = 1e-4
"""Largest difference of a file's outputs from torch's, as part of their largest value."""
CHECKED: Final = 2
"""Crops that a file is checked with."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What a file is to be like.

    Attributes:
        attention: Also give the layers' inputs.
        batch: Crops in one forward; None for any number.
    """

    attention: bool = False
    batch: int | None = None

    def names(self, layers: int) -> list[str]:
        """Names of the outputs."""
        return ["heatmaps", *(f"layer{layer}" for layer in range(layers if self.attention else 0))]


class Exportable(nn.Module):
    """A net from bytes to heatmaps, and to the layers' inputs if these are wanted."""

    def __init__(self, net: PoseNet, attention: bool) -> None:
        super().__init__()
        self.net, self.attention = net, attention

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 to float32 tensors."""
        heatmaps, inputs = self.net.encode(self.net.normalize(crops))
        return (heatmaps, *inputs) if self.attention else (heatmaps,)


def require(form: Format) -> None:
    """Check that the format's packages are here.

    Raises:
        UsageError: One is not; the message says how to install it.
    """
    missing = [name for name in NEEDED[form] if find_module(name) is None]
    if missing:
        raise UsageError(f"{form} needs {', '.join(missing)}: pip install 'tposecli[{form}]'")


def export(net: PoseNet, form: Format, path: Path, options: ExportOptions) -> float:
    """Write a net to a file and check it against torch; nothing is left under the path if either fails.

    Args:
        net: For prediction, in float32 on the CPU.
        form: Of the file.
        path: Of the file; OpenVINO writes a second one, ``.bin``, beside it.
        options: What it is to be like.

    Returns:
        The largest difference from torch's outputs, as part of their largest value.

    Raises:
        UsageError: A package is missing.
        OutputError: The file cannot be written, or does not give what torch gives.
    """
    require(form)
    module = Exportable(net, options.attention).eval()
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        with _quiet(), torch.no_grad():
            _WRITERS[form](module, part / path.name, options)
            error = difference(module, part / path.name, form, options)
        if error > TOLERANCE:
            raise OutputError(
                f"{path}: the {form} file is off by {error:.1e} of torch's largest value and was not kept; "
                "choose another format or --backend torch"
            )
        for file in sorted(part.iterdir(), key=lambda file: file.name == path.name):
            file.replace(path.parent / file.name)
    except OSError as failure:
        raise OutputError(f"{path}: cannot be written ({failure.strerror or failure})") from failure
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return error


def difference(module: Exportable, path: Path, form: Format, options: ExportOptions) -> float:
    """How far a file's outputs are from the module's, as part of the largest value of each."""
    generator = torch.Generator().manual_seed(0)
    size = (options.batch or CHECKED, *module.net.input_hw, 3)
    crops = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    expected, found = module(crops), _READERS[form](path)(crops)
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(expected, found, strict=True))


def _program(module: Exportable, options: ExportOptions) -> torch.export.ExportedProgram:
    crops = torch.zeros(options.batch or 2, *module.net.input_hw, 3, dtype=torch.uint8)
    batch = None if options.batch else ({0: torch.export.Dim("batch", min=1, max=4096)},)
    return torch.export.export(module, (crops,), dynamic_shapes=batch)


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
    from openvino import save_model
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    # The packaged converter does the same, and reports its use over the network besides.
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchFXPythonDecoder.from_exported_program(_program(module, options))
    model = frontend.convert(frontend.load(decoder))
    for output, name in zip(model.outputs, options.names(len(module.net.global_encoder.layers)), strict=True):
        output.get_tensor().set_names({name})
    model.inputs[0].get_tensor().set_names({"crops"})
    save_model(model, path, compress_to_fp16=False)


def _read_torch(path: Path) -> Callable[[Tensor], Any]:
    return torch.export.load(path).module()


_WRITERS: Final[dict[Format, Callable[[Exportable, Path, ExportOptions], None]]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "torch-export": _write_torch,
}
_READERS: Final[dict[Format, Callable[[Path], Callable[[Tensor], Any]]]] = {
    "onnx": OnnxSession,
    "openvino": lambda path: OpenVinoModel(path, batch=None),
    "torch-export": _read_torch,
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters log what they could not take apart, which is of no interest once the result is checked."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@dataclass(frozen=True, slots=True)
class ExportJob:
    """Which net, and which file to make of it.

    Attributes:
        form: Of the file.
        output: Where; None: named after the model, in the current folder.
        model: A name of the catalogue, or ``auto``.
        weights: A checkpoint to use instead of the catalogue's own.
        options: What the file is to be like.
    """

    form: Format
    output: Path | None
    model: str = "auto"
    weights: Path | None = None
    options: ExportOptions = field(default_factory=ExportOptions)
    overwrite: bool = False


def run_export(job: ExportJob, downloads: Downloads) -> tuple[Path, float]:
    """Write the file; return where it is, and how far it is from torch, as part of the largest value.

    Raises:
        UsageError: A package is missing, the file has the wrong suffix, or is in the way.
        WeightsError: The net cannot be loaded.
        OutputError: The file cannot be written, or does not give what torch gives.
    """
    require(job.form)
    suffix = SUFFIXES[job.form]
    if job.output is not None and job.output.suffix != suffix:
        raise UsageError(f"{job.output}: a file of the format {job.form} is called {suffix}; choose such a name")
    if job.output is not None:
        check_output(job.output, job.overwrite)
    checkpoint = resolve(job.model, job.weights, downloads)
    path = job.output or Path(checkpoint.spec.name + suffix)
    check_output(path, job.overwrite)
    checkpoint.verify()
    return path, export(for_prediction(load(checkpoint)), job.form, path, job.options)
