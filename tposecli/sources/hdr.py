"""Tone mapping from HDR light to a standard dynamic range signal."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.types import Float32

PQ: Final = 16
HLG: Final = 18
"""Transfer characteristics, numbered as in ISO/IEC 23091-2."""

PEAK_NITS: Final = 1000.0
"""Luminance, in cd/m², above which everything becomes white."""
WHITE_NITS: Final = 203.0
"""Diffuse white in cd/m² (ITU-R BT.2408), mapped to about nine tenths of an SDR signal."""

_BT2020_TO_BT709: Final = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
_BT2020_LUMA: Final = np.array([0.2627, 0.6780, 0.0593])
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def pq_to_nits(signal: Float32) -> Float32:
    """Return the light, in cd/m², of a PQ signal in 0..1 (SMPTE ST 2084)."""
    power = np.maximum(signal, 0) ** (1 / _M2)
    light = (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return np.asarray(light * 10_000, np.float32)


def nits_to_pq(nits: Float32) -> Float32:
    """Return the PQ signal in 0..1 of light in cd/m²; the inverse of :func:`pq_to_nits`."""
    power = (np.maximum(nits, 0) / 10_000) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2, np.float32)


def hlg_to_nits(signal: Float32) -> Float32:
    """Return the (N, 3) light, in cd/m², of an HLG signal on a display of ``PEAK_NITS`` (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luma = scene @ _BT2020_LUMA
    return np.asarray(PEAK_NITS * scene * np.maximum(luma, 1e-9)[:, None] ** 0.2, np.float32)


def compress_highlights(nits: Float32) -> Float32:
    """Compress light below ``WHITE_NITS``: shadows unchanged, highlights rolled off (ITU-R BT.2390, 5.4.1)."""
    top = nits_to_pq(np.asarray(PEAK_NITS, np.float32))
    signal = np.minimum(nits_to_pq(nits) / top, 1)
    white = nits_to_pq(np.asarray(WHITE_NITS, np.float32)) / top
    knee = 1.5 * white - 0.5
    t = np.maximum(signal - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * white
    return pq_to_nits(np.asarray(np.where(signal < knee, signal, spline) * top, np.float32))


def to_sdr(signal: Float32, transfer: int) -> Float32:
    """Convert an (N, 3) BT.2020 signal in 0..1, PQ or HLG, to a BT.709 signal in 0..1.

    The brightest of the three primaries is compressed and the others follow in proportion, which preserves the hue.
    """
    light = pq_to_nits(signal) if transfer == PQ else hlg_to_nits(signal)
    light = np.asarray(np.maximum(light @ _BT2020_TO_BT709.T, 0), np.float32)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), np.float32(1e-6))
    mapped = light * (compress_highlights(brightest) / brightest) / WHITE_NITS
    return np.asarray(np.clip(mapped, 0, 1) ** (1 / 2.4), np.float32)
