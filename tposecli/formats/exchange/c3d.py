"""C3D of motion capture, through ezc3d."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from tposecli.formats.exchange.plane import markers
from tposecli.formats.exchange.recording import Recording
from tposecli.utils.errors import UsageError

MAX_FRAMES: Final = 65535
"""Frames that the header of a C3D file can count."""


def export_c3d(recording: Recording, path: Path) -> None:
    """Write trajectories in metres, or in pixels where no scale is known; z is 0, since one camera sees no depth.

    Raises:
        UsageError: The frame rate varies, which C3D cannot hold, or there are too many frames or people.
    """
    import ezc3d

    if not recording.has_constant_rate:
        raise UsageError(f"--to c3d: {recording.source}: its frame rate varies, and C3D has no times; use --to trc")
    if len(recording.index) > MAX_FRAMES:
        raise UsageError(f"--to c3d: a file holds {MAX_FRAMES} frames, and these are more; use --to trc")
    found = markers(recording)
    points = np.ones((4, len(recording.layout), len(recording.index)))
    points[:3] = found.xyz.transpose(2, 1, 0)
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [recording.mean_rate or 1.0]
    file["parameters"]["POINT"]["UNITS"]["value"] = [found.unit]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(recording.layout.names)
    for parameter, axis in (("X_SCREEN", "+X"), ("Y_SCREEN", "+Y")):
        file.add_parameter("POINT", parameter, axis)
    file.add_parameter("SUBJECTS", "NAMES", [recording.sole_person().name])
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(np.isnan(points[:1]), -1.0, 0.0)
    file.write(str(path))
