"""Numbers of each person that change slowly over time, so that nothing drawn from them flickers."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.types import UNTRACKED, Float32

FORGET_S: Final = 1.0
"""A person unseen for longer begins anew."""


class Steady:
    """An exponential moving average of each person's numbers, by track id; people without one are left as they are.

    Args:
        seconds: Its time constant: after a jump, the average is 63 % of the way after so long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: dict[int, tuple[float, Float32]] = {}

    def __call__(self, values: Float32, track_id: NDArray[np.int64], time_s: float) -> Float32:
        """Return the (N, ...) averages of the numbers of N people at a time; times of one person must not fall."""
        steady = values.copy()
        self._known = {key: item for key, item in self._known.items() if time_s - item[0] <= FORGET_S}
        for person, track in enumerate(track_id.tolist()):
            if track == UNTRACKED:
                continue
            if track in self._known:
                then, before = self._known[track]
                steady[person] += (before - steady[person]) * math.exp(-max(time_s - then, 0.0) / self._seconds)
            self._known[track] = time_s, steady[person].copy()
        return steady
