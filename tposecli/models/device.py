"""Where a net runs, in which precision, and how many crops at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch

from tposecli.errors import UsageError

Precision = Literal["auto", "fp32", "bf16", "fp16"]

DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BATCH: Final = {"cpu": 8, "mps": 16, "cuda": 64}


@dataclass(frozen=True, slots=True)
class Runtime:
    """How to run a net; ``resolve`` turns the words of the command line into one.

    Attributes:
        device: Where.
        precision: Of weights and activations: ``fp32``, ``bf16`` or ``fp16``.
        batch_size: Crops in one forward.
    """

    device: torch.device
    precision: str = "fp32"
    batch_size: int = 8

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch names it."""
        return DTYPES[self.precision]

    @classmethod
    def resolve(cls, device: str = "auto", precision: str = "auto", batch_size: int | None = None) -> Runtime:
        """Fill in what was left to the program: the best device there is, full precision, a batch that suits it.

        Raises:
            UsageError: A device that is not there, an unknown precision, or a batch below 1.
        """
        where = resolve_device(device)
        if precision not in get_args(Precision):
            raise UsageError(f"precision {precision!r}: choose one of {', '.join(get_args(Precision))}")
        if precision == "fp16" and where.type == "cpu":
            raise UsageError("fp16 is slow and inexact on a CPU; choose --precision bf16 or fp32")
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch size {batch_size}: it must be at least 1")
        return cls(where, "fp32" if precision == "auto" else precision, batch_size or BATCH[where.type])


def resolve_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` as a device that is really there."""
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
            raise UsageError(f"device {name!r}: this machine has {count} CUDA devices; choose another or --device cpu")
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps': this machine has no Metal device; choose --device cpu")
    return device


def out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory, on whichever device."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "not enough memory" in text)
