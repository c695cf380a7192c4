"""The sound of walking: footsteps in time with the gait, over soft wind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from tposecli.lab.synth.arrays import Floats
from tposecli.lab.synth.motion import Gait

RATE: Final = 44100
"""Samples per second."""


def strikes(gait: Gait, seconds: float) -> list[float]:
    """Return the times, seconds, at which a heel strikes the floor: twice per cycle."""
    first = int(np.ceil(gait.phase * 2))
    count = int(np.floor((gait.phase + gait.cadence * seconds) * 2))
    return [(half / 2 - gait.phase) / gait.cadence for half in range(first, count + 1)]


def footsteps(times: Sequence[float], seconds: float, seed: int = 7) -> Floats:
    """Return (2, S) stereo sound in -1..1: a thud and a scuff at each time, and wind."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    sound = _wind(rng, count)
    clock = np.arange(int(0.22 * RATE)) / RATE
    for number, time_s in enumerate(times):
        pitch = 82 + 10 * rng.random()
        thud = np.sin(2 * np.pi * pitch * clock * np.exp(-clock * 4)) * np.exp(-clock * 38)
        scuff = np.convolve(rng.standard_normal(len(clock)), np.ones(6) / 6, "same") * np.exp(-clock * 30)
        late = np.convolve(rng.standard_normal(len(clock)), np.ones(3) / 3, "same")
        late *= np.exp(-(((clock - 0.09) / 0.025) ** 2))
        step = 0.55 * thud + 0.18 * scuff + 0.05 * late
        start = round(time_s * RATE)
        part = step[: max(0, count - start)]
        left = 0.9 if number % 2 else 0.7
        sound[:, start : start + len(part)] += np.array([[left], [1.6 - left]]) * part
    return np.asarray(np.clip(sound * 0.8, -1, 1), np.float32)


def _wind(rng: np.random.Generator, count: int) -> Floats:
    """Return (2, S) soft noise of slowly varying loudness."""
    spectrum = np.fft.rfft(rng.standard_normal((2, count)), axis=1)
    pitch = np.fft.rfftfreq(count, 1 / RATE)
    spectrum *= 1 / (1 + (pitch / 220) ** 2) * (pitch > 30)
    wind = np.fft.irfft(spectrum, count, axis=1)
    swell = 0.7 + 0.3 * np.sin(2 * np.pi * 0.31 * np.arange(count) / RATE)
    return np.asarray(0.03 * swell * wind / wind.std(), np.float32)
