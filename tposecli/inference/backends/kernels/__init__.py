"""Kernels of our own, for CUDA: steps that torch takes in several passes over the device's memory, in one.

They are written in Triton, which comes with torch on Linux; its modules are imported where a device has been found to
run them. Each function has its plain counterpart where it is called; tests compare the two, in Triton's interpreter
where there is no device.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from typing import Final

import torch

log = logging.getLogger("tposecli")

MIN_CAPABILITY: Final = (7, 0)
"""Of CUDA devices, from which on they have tensor cores and Triton writes kernels for them."""


FUSING_CAPABILITY: Final = (8, 0)
"""From which on cuDNN is sure to add and clip within its convolutions."""


def has_kernels(device: torch.device) -> bool:
    """Whether the device runs them."""
    return has_tensor_cores(device) and _works(device)


def has_tensor_cores(device: torch.device) -> bool:
    """Whether it is a CUDA device that multiplies half precisions many times as fast as float32."""
    return device.type == "cuda" and _capability(device) >= MIN_CAPABILITY


def fuses_convolutions(device: torch.device) -> bool:
    """Whether it is a CUDA device whose convolutions take in the steps that follow them."""
    return device.type == "cuda" and _capability(device) >= FUSING_CAPABILITY


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    """Of the device; (0, 0) of one that is not NVIDIA's."""
    return (0, 0) if torch.version.cuda is None else torch.cuda.get_device_capability(device)


@cache
def _works(device: torch.device) -> bool:
    """Whether a kernel can be made here: Triton needs a C compiler and Python's headers, which torch does not."""
    if find_spec("triton") is None:
        return False
    try:
        from tposecli.inference.backends.kernels import nets

        x = torch.zeros((1, 64), device=device)
        nets.add_norm(x, x, torch.nn.LayerNorm(64, device=device))
    except Exception as error:  # noqa: BLE001 - whatever it is, there is a way without
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        log.warning("%s: Triton makes no kernels here (%s); going on without, at half the speed", device, reason)
        return False
    return True
