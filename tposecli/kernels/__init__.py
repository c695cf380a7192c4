"""Kernels of our own, for CUDA: steps that torch takes in several passes over the device's memory, in one.

They are written in Triton, which comes with torch on Linux; its modules are imported where a device has been found to
run them. Each function has its plain counterpart where it is called; tests compare the two, in Triton's interpreter
where there is no device.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Final

import torch

LEAST_CAPABILITY: Final = (7, 0)
"""Of CUDA devices, from which on Triton writes kernels."""


def has_kernels(device: torch.device) -> bool:
    """Whether the device runs them."""
    return device.type == "cuda" and _has_triton(device)


@cache
def _has_triton(device: torch.device) -> bool:
    found = find_spec("triton") is not None and torch.version.cuda is not None
    return found and torch.cuda.get_device_capability(device) >= LEAST_CAPABILITY
