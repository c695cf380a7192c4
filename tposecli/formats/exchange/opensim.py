"""OpenSim's TRC (trajectories of joints) and MOT (joint angles), of one person in the picture plane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from tposecli.formats.exchange.plane import markers
from tposecli.formats.exchange.recording import Recording
from tposecli.geometry.facing import AngleReader

MOT_HEAD: Final = """Coordinates
version=1
nRows={rows}
nColumns={columns}
inDegrees=yes

Angles in the image plane: flexion is 0 for a straight limb; segments are counted from the horizontal, anticlockwise.
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
    """Write joint and segment angles in degrees, with the time of each frame; see ``geometry/angles.py``."""
    recording.sole_person()
    reader = AngleReader(recording.angles)
    head = MOT_HEAD.format(rows=len(recording.index), columns=1 + len(reader.angles))
    rows = [["time", *(angle.name for angle in reader.angles)]]
    for place, time_s in enumerate(recording.time_s.tolist()):
        poses = recording.poses_at(place)
        values = reader.read(poses, time_s)[0][0] if len(poses) else [np.nan] * len(reader.angles)
        rows.append([f"{time_s:.6f}", *_cells(values, 4, "nan")])
    _write(path, head, rows)


def _cells(values: Sequence[float], decimals: int, missing: str) -> list[str]:
    return [missing if np.isnan(value) else f"{value:.{decimals}f}" for value in values]


def _write(path: Path, head: str, rows: Iterable[Sequence[str]]) -> None:
    path.write_text(head + "".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
