"""How float32 matrices are multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tposecli.inference.backends.autotune import tuning


@contextmanager
def float32_products(device: torch.device) -> Iterator[None]:
    """On a CPU with oneDNN instead of MKL where that pays; on CUDA in float32 indeed.

    Torch lets CUDA's convolutions round their factors to ten bits (TF32) unless it is told not to. Who asks for fp32
    wants its digits; half precisions are as exact as TF32, and faster.
    """
    if device.type == "cuda":
        cudnn = torch.backends.cudnn
        with cudnn.flags(enabled=True, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False):
            yield
    elif device.type == "cpu" and tuning().onednn:
        with _precision("medium"):
            yield
    else:
        yield


@contextmanager
def _precision(name: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
