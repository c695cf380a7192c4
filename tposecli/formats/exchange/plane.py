"""The picture plane of motion capture: x to the right, y up, z towards the camera and 0, in metres or pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tposecli.formats.exchange.recording import Recording


@dataclass(frozen=True, eq=False, slots=True)
class Markers:
    """The trajectories of one person's joints.

    Attributes:
        xyz: (F, K, 3) positions; NaN where a joint is unreliable or was not found.
        unit: ``m`` or ``px``.
    """

    xyz: NDArray[np.float64]
    unit: str


def markers(recording: Recording) -> Markers:
    """Return the trajectories of the only person; the origin is the centre of the frame's lower left pixel.

    Raises:
        UsageError: There are several people.
    """
    grid = recording.grid(recording.sole_person(), reliable_only=True)
    height = recording.size_wh[:, 1].astype(np.float64)
    x, y = grid[:, :, 0], height[:, None] - 1 - grid[:, :, 1]
    xyz = np.stack([x, y, np.where(np.isnan(x), np.nan, 0.0)], axis=2)
    if recording.px_per_m is None:
        return Markers(xyz, "px")
    return Markers(xyz / recording.px_per_m, "m")
