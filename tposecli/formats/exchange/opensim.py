"""OpenSim's TRC (trajectories of joints) and MOT (joint angles), of one person in the picture plane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from tposecli.formats.exchange.plane import markers
from tposecli.formats.exchange.recording import Recording
from tposecli.geometry.angles import angles_of, joint_angles

MOT_HEAD: Final = """Coordinates
version=1
nRows={rows}
nColumns={columns}
inDegrees=yes

Angles in the image plane by the conventions of Sports2D, flexion 0 for a straight limb.
Times in seconds, angles in degrees; nan where a joint is not seen.

endheader
"""


def export_trc(recording: Recording, path: Path) -> None:
    """Write trajectories in metres, or in pixels where no scale is known, with the time of each frame.

    Frames are numbered from 1, as in OpenSim; cells of joints that are not seen are empty.
    """
    found, names, count = markers(recording), recording.layout.names, len(recording.index)
    rate = f"{recording.mean_rate:.6g}"
    first = int(recording.index[0]) + 1 if count else 1
    head = [
        ["PathFileType", "4", "(X/Y/Z)", f"{recording.stem}.trc"],
        *[["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate"]],
        [rate, rate, str(count), str(len(names)), found.unit, rate, str(first), str(count)],
        ["Frame#", "Time", *(cell for name in names for cell in (name, "", ""))],
        ["", "", *(f"{axis}{number}" for number in range(1, len(names) + 1) for axis in "XYZ")],
    ]
    head[1] += ["OrigDataStartFrame", "OrigNumFrames"]
    rows = zip(recording.index.tolist(), recording.time_s.tolist(), found.xyz.reshape(count, -1).tolist(), strict=True)
    body = ([str(index + 1), f"{time_s:.6f}", *_cells(row, 5, "")] for index, time_s, row in rows)
    _write(path, "", [*head, *body])


def export_mot(recording: Recording, path: Path) -> None:
    """Write joint angles in degrees, with the time of each frame."""
    grid = recording.grid(recording.sole_person(), reliable_only=True)
    angles = angles_of(recording.layout)
    values = joint_angles(grid[:, :, :2], angles)
    head = MOT_HEAD.format(rows=len(values), columns=1 + len(angles))
    rows = zip(recording.time_s.tolist(), values.tolist(), strict=True)
    body = ([f"{time_s:.6f}", *_cells(row, 4, "nan")] for time_s, row in rows)
    _write(path, head, [["time", *(angle.name for angle in angles)], *body])


def _cells(values: Sequence[float], decimals: int, missing: str) -> list[str]:
    return [missing if np.isnan(value) else f"{value:.{decimals}f}" for value in values]


def _write(path: Path, head: str, rows: Iterable[Sequence[str]]) -> None:
    path.write_text(head + "".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
