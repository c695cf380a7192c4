"""Which net to run, and how. No torch here: the command line takes its defaults and choices from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from tposecli.hub.download.options import Downloads
from tposecli.utils.option_fields import NumberRange, check_ranges, choice, number

FloatPrecision = Literal["auto", "fp32", "bf16", "fp16"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
Backend = Literal["auto", "torch", "compile", "onnx", "openvino"]
ExportFormat = Literal["onnx", "openvino", "torch-export"]

PRECISIONS: Final = get_args(Precision)
BACKENDS: Final = get_args(Backend)
EXPORT_FORMATS: Final = get_args(ExportFormat)

COUNT: Final = NumberRange(1, whole=True)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which net, and how to run it, as the command line puts it.

    Attributes:
        model: Name in the catalogue, or ``auto``.
        weights: Checkpoint to use instead of the catalogue's.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or several CUDA devices with commas.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        batch_size: Crops in one forward; None for what suits the device.
        flip_test: Whether to average with the mirrored crop.
        downloads: How the files of the net and of the detector may be fetched.
        backend: ``auto``, ``torch``, ``compile``, ``onnx`` or ``openvino``.
        threads: CPU threads of the net; None for as many as make it faster.
        int8_model: An int8 net that ``tpose export`` wrote; None for one that is quantised on rendered people.
    """

    model: str = "auto"
    weights: Path | None = None
    device: str = "auto"
    precision: Precision = choice("auto", Precision)
    batch_size: int | None = number(None, COUNT)
    flip_test: bool = False
    downloads: Downloads = field(default_factory=Downloads)
    backend: Backend = choice("auto", Backend)
    threads: int | None = number(None, COUNT)
    int8_model: Path | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
