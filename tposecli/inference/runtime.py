"""Device, precision, backend and batch size of inference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec as find_module
from pathlib import Path
from typing import Any, Final

import torch

from tposecli.inference.backends.cpu import tune
from tposecli.inference.backends.kernels import has_tensor_cores
from tposecli.inference.options import BACKENDS, PRECISIONS, ModelChoice
from tposecli.utils.errors import UsageError

DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BATCH: Final = {"cpu": 8, "mps": 16, "cuda": 64}
BATCHES: Final = {"openvino": 32}
"""Batch size by backend: OpenVINO distributes crops over threads, some of which idle at the end of a small batch."""
PACKAGES: Final = {"onnx": "onnxruntime", "openvino": "openvino"}
"""Packages that backends need besides torch."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """How to run a net; ``resolve`` makes one from command-line values.

    Attributes:
        device: The (first) device.
        precision: Of weights and activations: ``fp32``, ``bf16``, ``fp16``, or ``int8`` for most of them.
        batch_size: Crops per forward pass; 0 until the backend is known, which determines it.
        backend: ``torch``, ``compile``, ``onnx`` or ``openvino``; ``auto`` until the net is known.
        threads: Number of CPU threads of torch, which affects rounding; None on other devices.
        others: Further devices of the same type, which share the work with the first.
        int8_model: An int8 net to use; None for one that is quantised on rendered people.
    """

    device: torch.device
    precision: str = "fp32"
    batch_size: int = 0
    backend: str = "torch"
    others: tuple[torch.device, ...] = ()
    threads: int | None = None
    int8_model: Path | None = None

    def settled(self, backend: str) -> Runtime:
        """Return a copy with the backend that ``auto`` stands for, and a batch size for it."""
        batch_size = self.batch_size or BATCHES.get(backend, BATCH[self.device.type])
        return replace(self, backend=backend, batch_size=batch_size)

    @property
    def dtype(self) -> torch.dtype:
        """Torch's data type of the precision."""
        return DTYPES[self.precision]

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """All devices, the first one first."""
        return (self.device, *self.others)

    @property
    def device_names(self) -> str:
        """The devices as ``--device`` takes them."""
        return ",".join(map(str, self.devices))

    @classmethod
    def resolve(
        cls,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        backend: str = "auto",
    ) -> Runtime:
        """Choose what was left open: the best available device, and its fastest precision.

        Args:
            device: Device, or several separated by commas.
            precision: ``auto`` is bf16 on hardware that supports it, fp16 on other tensor cores, else fp32; ``int8`` is
                OpenVINO's.
            batch_size: Crops per forward pass; None for the default of the backend.
            backend: One of ``BACKENDS``.

        Raises:
            UsageError: A device or backend is unavailable, the precision is unknown, or the batch size is below 1.
        """
        first, *others = (resolve_device(name.strip()) for name in device.split(","))
        if any(other.type != first.type for other in others):
            raise UsageError(f"device {device!r}: several devices must be of one type; name CUDA devices only")
        if precision not in PRECISIONS:
            raise UsageError(f"precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
        if precision == "fp16" and first.type == "cpu":
            raise UsageError("fp16 is slow and inaccurate on a CPU; choose --precision bf16 or fp32")
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch size {batch_size}: expected 1 or more")
        if precision == "auto":
            precision = _fastest_precision(first, backend)
        if precision == "int8":
            _check_int8(backend, first)
            backend = "openvino"
        _check_backend(backend, first, precision)
        return cls(first, precision, batch_size or 0, backend, tuple(others))


def _fastest_precision(device: torch.device, backend: str) -> str:
    """Return the fastest precision of the device that hardly moves keypoints."""
    if device.type == "cpu":
        return "bf16" if has_bf16(device) and backend in ("auto", "torch", "openvino") else "fp32"
    if not has_tensor_cores(device):
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def has_bf16(device: torch.device) -> bool:
    """Return whether the device is a CPU that multiplies bfloat16 faster than float32."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def is_installed(backend: str) -> bool:
    """Return whether the package that the backend needs besides torch is installed."""
    return backend not in PACKAGES or find_module(PACKAGES[backend]) is not None


def _check_backend(backend: str, device: torch.device, precision: str) -> None:
    """Raise UsageError if the backend cannot run on the device, in the precision, or is not installed."""
    if backend not in BACKENDS:
        raise UsageError(f"backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    if backend not in PACKAGES:
        return
    if device.type != "cpu":
        raise UsageError(f"--backend {backend} runs on the CPU only; choose --backend torch or compile on {device}")
    if backend == "onnx" and precision != "fp32":
        raise UsageError(f"--backend onnx computes in fp32 only; choose --precision fp32, or openvino for {precision}")
    if not is_installed(backend):
        raise UsageError(f"--backend {backend} needs {PACKAGES[backend]}: pip install 'tposecli[{backend}]'")


def _check_int8(backend: str, device: torch.device) -> None:
    """Raise UsageError if the backend, or the device, has no int8."""
    if device.type != "cpu":
        raise UsageError(f"--precision int8 is for CPUs; choose --precision auto on {device}, or --device cpu")
    if backend not in ("auto", "openvino"):
        raise UsageError(f"--backend {backend} does not compute in int8; choose --backend openvino, or bf16 or fp32")


def resolve_device(name: str) -> torch.device:
    """Return the device named ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; raise UsageError if unavailable."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device is called {name!r}; choose auto, cpu, cuda, cuda:1 or mps") from error
    if device.type not in BATCH:
        raise UsageError(f"device {name!r} is not supported; choose auto, cpu, cuda, cuda:1 or mps")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            known = f"choose cuda:0 to cuda:{count - 1}" if count else "use --device cpu; tpose doctor says more"
            raise UsageError(f"device {name!r}: not found among {count} CUDA devices; {known}")
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps': this machine has no Metal device; choose --device cpu")
    return device


def out_of_memory(error: BaseException) -> bool:
    """Return whether the error means that torch ran out of memory, on any device."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "not enough memory" in text)


def runtime_for(choice: ModelChoice, exact: bool) -> Runtime:
    """Resolve device, precision and backend, and set the process's threads and memory up for them.

    Args:
        choice: What was asked for.
        exact: Choose, where the choice is left open, what gives the authors' numbers rather than what is fastest.

    Raises:
        UsageError: This machine cannot run it so.
    """
    precision: str = choice.precision
    if choice.int8_model is not None and precision not in ("auto", "int8"):
        raise UsageError(f"--int8-model is an int8 net; choose --precision int8 instead of {precision}")
    if choice.int8_model is not None:
        precision = "int8"
    if exact and precision == "auto":
        precision = "fp32"
    backend = "torch" if exact and choice.backend == "auto" and precision != "int8" else choice.backend
    runtime = Runtime.resolve(choice.device, precision, choice.batch_size, backend)
    runtime = replace(runtime, int8_model=choice.int8_model)
    if runtime.device.type == "cpu":
        return replace(runtime, threads=tune(choice.threads))
    return runtime
