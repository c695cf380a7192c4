"""Joint and segment angles as CSV, a row for each person and frame, written during the run."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.formats.base import WriteOptions
from tposecli.geometry.angles import ALL_ANGLES, PELVIS, angular_rates, rates
from tposecli.geometry.facing import NAMES, AngleReader
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import UNTRACKED, Flag, Float32, Result
from tposecli.utils.files import PartFile

Float64 = NDArray[np.float64]

ANGLE_COLUMNS: Final = tuple(angle.name for angle in ALL_ANGLES)
"""Degrees; empty where a keypoint was not seen."""
RATE_COLUMNS: Final = tuple(f"{name}_speed" for name in ANGLE_COLUMNS)
"""Degrees a second."""


@dataclass(frozen=True, eq=False, slots=True)
class _Row:
    """A person of a frame: id, side, angles, the middle of the hips in pixels, and the keypoints that were filled."""

    person: int
    side: int
    angles: Float64
    pelvis: Float64
    filled: str


class _Moment:
    """A frame, and its people by row and by id."""

    def __init__(self, result: Result, rows: list[_Row]) -> None:
        self.frame, self.rows = result.frame, rows
        self.by_id = {row.person: row for row in rows if row.person != UNTRACKED}


def open_angles(path: Path, options: WriteOptions) -> AnglesSink:
    """Open a sink for angles."""
    return AnglesSink(path, options)


class AnglesSink:
    """A CSV file of angles, angular speeds, and position and speed of the pelvis.

    Speeds are differences between the frame before and the one after, so a frame is written when the next one comes.

    Args:
        path: The file to write; it appears once ``close`` marks the run as complete.
        options: How angles are told, names of people, and pixels of a metre.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, options: WriteOptions) -> None:
        self._stills, self._px_per_m = options.stills, options.px_per_m
        self._names: dict[str, str] = dict(options.info.get("track_names") or {})
        self._reader = AngleReader(options.angles)
        self._min_score = options.angles.min_score
        self._moments: list[_Moment | None] = [None]
        self._part = PartFile(path)
        self._put([self._header()])

    def _header(self) -> list[str]:
        unit = "px" if self._px_per_m is None else "m"
        where = [f"pelvis_x_{unit}", f"pelvis_y_{unit}"]
        head = ["frame", "time_s", "track", *(["name"] if self._names or self._stills else []), "facing"]
        if self._stills:
            return [*head, *ANGLE_COLUMNS, *where]
        scale = [] if self._px_per_m is None else ["px_per_m"]
        return [*head, *ANGLE_COLUMNS, *RATE_COLUMNS, *where, f"pelvis_speed_{unit}_s", *scale, "filled"]

    def write(self, result: Result) -> None:
        """Take a frame; the one before is written."""
        poses = result.final
        angles, facing = self._reader.read(poses, result.frame.time_s)
        pelvis = _pelvis(poses.xy, poses.score, self._min_score)
        filled = [" ".join(compress(KEYPOINTS, row)) for row in poses.flags & Flag.FILLED != 0]
        rows = zip(poses.track_id.tolist(), facing.tolist(), angles, pelvis, filled, strict=True)
        self._moments.append(_Moment(result, [_Row(*row) for row in rows]))
        if len(self._moments) == 3:
            self._write_middle()

    def close(self, complete: bool) -> None:
        """Publish the file, or remove it; closing twice is harmless."""
        if complete and len(self._moments) == 2:
            self._moments.append(None)
            self._write_middle()
        self._part.close(complete)

    def _write_middle(self) -> None:
        """Write the second of three frames, and forget the first."""
        before, now, after = self._moments
        del self._moments[0]
        assert now is not None
        self._put([self._cells(before, now, after, row) for row in now.rows])

    def _cells(self, before: _Moment | None, now: _Moment, after: _Moment | None, row: _Row) -> list[str]:
        """Return the cells of a person."""
        person = "" if row.person == UNTRACKED else str(row.person)
        cells = [str(now.frame.index), repr(now.frame.time_s), person]
        if self._stills:
            cells.append(now.frame.name)
        elif self._names:
            cells.append(self._names.get(person, ""))
        scale = self._px_per_m or 1.0
        cells += [NAMES[row.side], *map(_cell, row.angles)]
        where = [_cell(value / scale, 4 if self._px_per_m else 2) for value in row.pelvis]
        if self._stills:
            return [*cells, *where]
        near = [moment for moment in (before, now, after) if moment is now or _has(moment, row.person)]
        times = np.array([moment.frame.time_s for moment in near if moment is not None])
        series = [row if moment is now else moment.by_id[row.person] for moment in near if moment is not None]
        at = near.index(now)
        turning = angular_rates(np.stack([one.angles for one in series]), times)[at]
        moving = rates(np.stack([one.pelvis for one in series]), times)[at]
        cells += [*map(_cell, turning), *where, _cell(float(np.hypot(*moving)) / scale, 4 if self._px_per_m else 2)]
        return [*cells, *([] if self._px_per_m is None else [f"{self._px_per_m:.3f}"]), row.filled]

    def _put(self, rows: list[list[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._part.file.write(text.getvalue().encode())


def _has(moment: _Moment | None, person: int) -> bool:
    return moment is not None and person in moment.by_id


def _cell(value: float, digits: int = 2) -> str:
    """Return a number, or nothing for NaN."""
    return "" if np.isnan(value) else f"{value:.{digits}f}"


def _pelvis(xy: Float32, score: Float32, min_score: float) -> Float64:
    """Return the (N, 2) middle of the hips; NaN where one was not seen."""
    hips = list(PELVIS)
    seen = score[:, hips].min(axis=1, keepdims=True) >= min_score
    return np.where(seen, xy[:, hips].mean(axis=1, dtype=np.float64), np.nan)
