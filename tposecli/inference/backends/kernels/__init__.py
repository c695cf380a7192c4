"""Our own CUDA kernels: one pass over the device's memory for steps that take torch several.

They are written in Triton, which comes with torch on Linux; the modules are imported only where a device can run them.
Tests compare each kernel with plain torch, in Triton's interpreter on machines without a device.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from typing import Final

import torch

log = logging.getLogger("tposecli")

MIN_CAPABILITY: Final = (7, 0)
"""Minimum CUDA capability for tensor cores and Triton."""
FUSING_CAPABILITY: Final = (8, 0)
"""Minimum CUDA capability for cuDNN's convolutions with fused addition and ReLU."""


def has_kernels(device: torch.device) -> bool:
    """Return whether the device runs the kernels."""
    return has_tensor_cores(device) and _works(device)


def has_tensor_cores(device: torch.device) -> bool:
    """Return whether the device has tensor cores, which make half precision many times faster than float32."""
    return device.type == "cuda" and _capability(device) >= MIN_CAPABILITY


def fuses_convolutions(device: torch.device) -> bool:
    """Return whether cuDNN fuses addition and ReLU into convolutions on the device."""
    return device.type == "cuda" and _capability(device) >= FUSING_CAPABILITY


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    """Return the CUDA capability; (0, 0) for devices not by NVIDIA."""
    return (0, 0) if torch.version.cuda is None else torch.cuda.get_device_capability(device)


@cache
def _works(device: torch.device) -> bool:
    """Return whether kernels can be compiled: unlike torch, Triton needs a C compiler and Python's headers."""
    if find_spec("triton") is None:
        return False
    try:
        from tposecli.inference.backends.kernels import nets

        x = torch.zeros((1, 64), device=device)
        nets.add_norm(x, x, torch.nn.LayerNorm(64, device=device))
    except Exception as error:  # noqa: BLE001 - whatever fails, torch works without
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        log.warning(
            "%s: Triton cannot compile kernels (%s); continuing without them, at half the speed", device, reason
        )
        return False
    return True
