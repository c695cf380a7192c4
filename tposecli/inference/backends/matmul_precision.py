"""Precision of float32 matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tposecli.inference.backends.autotune import tuning


@contextmanager
def exact_float32_matmul(device: torch.device) -> Iterator[None]:
    """Use true float32 on CUDA, and oneDNN instead of MKL on CPUs where it is faster.

    By default torch lets CUDA's convolutions round their inputs to ten bits (TF32). Users who choose fp32 want its
    precision; the half precisions are as accurate as TF32, and faster.
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
