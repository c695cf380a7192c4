"""Array types and small helpers that the whole renderer shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
"""float32 or float64; shapes are documented where it is used."""
Ints = NDArray[Any]
Mask = NDArray[np.bool_]


def unit(vectors: Floats) -> Floats:
    """Return (P, 3) vectors scaled to unit length."""
    size = np.sqrt(np.einsum("pc,pc->p", vectors, vectors))
    return np.asarray(vectors / np.maximum(size, 1e-6)[:, None])


def smoothstep(value: Floats) -> Floats:
    """Return 0 below 0, 1 above 1, and a smooth transition between."""
    t = np.clip(value, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))
