"""Poses as long tables, one row per keypoint, person and frame: CSV and Parquet."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tposecli.formats.base import WriteOptions
from tposecli.geometry.keypoints import KEYPOINTS, KeypointLayout
from tposecli.sinks.destination import STDOUT
from tposecli.types import UNTRACKED, Result
from tposecli.utils.errors import OutputError
from tposecli.utils.files import PartFile, unwritable
from tposecli.utils.strict_json import as_json, pixels, scores

COLUMNS: Final = ("frame", "time_s", "track", "joint", "x", "y", "score", "raw_x", "raw_y", "flag", "person")
"""``x, y`` are smoothed if smoothing ran; ``raw_x, raw_y`` are unsmoothed, empty for people whom gap filling added;
``flag`` are bits of ``types.Flag``; ``person`` numbers the people of a frame from 0, for those without a track."""

FILE_COLUMN: Final = "file"
"""An additional first column of tables that several videos share."""

NAME_COLUMN: Final = "name"
"""An additional column of stills."""

ROWS_PER_WRITE: Final = 1 << 16
"""Rows of a Parquet row group, which are kept in memory until it is written."""


def table_rows(result: Result, names: Sequence[str] = KEYPOINTS) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one frame as ``COLUMNS``; a frame without people has one row with its index and time only.

    Raises:
        ValueError: A number is not finite.
    """
    frame, poses, raw = result.frame, result.final, result.poses
    _check_finite(result)
    if not len(poses):
        yield (frame.index, frame.time_s, *[None] * (len(COLUMNS) - 2))
    no_raw = [[(None, None)] * poses.xy.shape[1]] * (len(poses) - len(raw))
    columns = pixels(poses.xy), scores(poses.score), pixels(raw.xy) + no_raw, poses.flags.tolist()
    for person, track in enumerate(poses.track_id.tolist()):
        track_id = None if track == UNTRACKED else track
        joints = zip(names, *(column[person] for column in columns), strict=True)
        for joint, (x, y), score, (raw_x, raw_y), flag in joints:
            yield frame.index, frame.time_s, track_id, joint, x, y, score, raw_x, raw_y, flag, person


def _check_finite(result: Result) -> None:
    """Raise ValueError if a number is not finite."""
    for column in (result.final.xy, result.final.score, result.poses.xy):
        if not np.isfinite(column).all():
            raise ValueError(
                f"frame {result.frame.index}: a coordinate or score is not finite; tables hold finite numbers only"
            )


def _csv_rows(result: Result, joints: Sequence[str], name: str, first: str = "") -> str:
    """Return the rows of :func:`table_rows` as text, built column by column, which takes about half the time.

    Args:
        result: The result of one frame.
        joints: Names of the K keypoints as cells.
        name: The end of each row.
        first: The beginning of each row.

    Raises:
        ValueError: A number is not finite.
    """
    frame, poses, raw = result.frame, result.final, result.poses
    _check_finite(result)
    start = f"{first}{frame.index},{frame.time_s},"
    if not len(poses):
        return start + "," * (len(COLUMNS) - 3) + name + "\r\n"
    tracks = ["" if track == UNTRACKED else track for track in poses.track_id.tolist()]
    no_raw = [""] * (poses.score.size - raw.score.size)
    x, y, raw_x, raw_y = (
        map(repr, numbers) for column in (poses.xy, raw.xy) for numbers in pixels(column.reshape(-1, 2).T)
    )
    rows = zip(
        [f"{start}{track},{joint}" for track in tracks for joint in joints],
        *(x, y, map(repr, scores(poses.score.ravel())), [*raw_x, *no_raw], [*raw_y, *no_raw]),
        map(str, poses.flags.ravel().tolist()),
        [f"{person}{name}" for person in range(len(poses)) for _ in joints],
        strict=True,
    )
    return "\r\n".join(map(",".join, rows)) + "\r\n"


def _cell(text: str) -> str:
    """Return a text as a CSV cell, quoted if necessary."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow([text, ""])
    return line.getvalue().removesuffix(",\r\n")


def csv_header(stills: bool = False, label: bool = False) -> str:
    """Return the line with the names of the columns."""
    columns = *((FILE_COLUMN,) if label else ()), *COLUMNS, *((NAME_COLUMN,) if stills else ())
    return ",".join(columns) + "\r\n"


def open_csv(path: Path, options: WriteOptions) -> CsvSink:
    """Open a sink for CSV."""
    return CsvSink(path, options.stills, options.layout.names, options.label, options.header)


def open_parquet(path: Path, options: WriteOptions) -> ParquetSink:
    """Open a sink for Parquet."""
    return ParquetSink(path, options.info, options.stills)


class CsvSink:
    """A CSV file (RFC 4180, UTF-8, with a header), written during the run; cells of unknown values are empty.

    Args:
        path: The file to write; it appears once ``close`` marks the run as complete. ``-`` is standard output, which is
            flushed after each frame.
        stills: Whether the frames are images with names of their own, which become the last column.
        names: Names of the K keypoints.
        label: Content of the first column, ``file``; empty for no such column.
        header: Whether to begin with the names of the columns.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        stills: bool = False,
        names: Sequence[str] = KEYPOINTS,
        label: str = "",
        header: bool = True,
    ) -> None:
        self._stills, self._joints = stills, [_cell(name) for name in names]
        self._first = f"{_cell(label)}," if label else ""
        self._part = None if path == STDOUT else PartFile(path)
        self._file = sys.stdout.buffer if self._part is None else self._part.file
        if header:
            self._put(csv_header(stills, bool(label)))

    def write(self, result: Result) -> None:
        """Add the rows of a frame."""
        name = f",{_cell(result.frame.name)}" if self._stills else ""
        self._put(_csv_rows(result, self._joints, name, self._first))

    def close(self, complete: bool) -> None:
        """Publish the file, or remove it; closing twice is harmless."""
        if self._part is not None:
            self._part.close(complete)

    def _put(self, rows: str) -> None:
        self._file.write(rows.encode())
        if self._part is None:
            self._file.flush()


class ParquetSink:
    """A Parquet file with the same columns, written in row groups; nulls where CSV has empty cells.

    Args:
        path: The file to write; it appears once ``close`` marks the run as complete.
        info: Provenance and keypoint layout, JSON under the key ``tposecli`` of the file's metadata.
        stills: Whether the frames are images with names of their own, which become the last column.

    Raises:
        ImportError: ``pyarrow`` is not installed.
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, info: Mapping[str, Any], stills: bool = False) -> None:
        import pyarrow
        from pyarrow import parquet

        self._stills, self._names = stills, KeypointLayout.from_dict(info).names
        self._arrow = pyarrow
        types = (
            *[
                pyarrow.int64(),
                pyarrow.float64(),
                pyarrow.int64(),
                pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
            ],
            *[pyarrow.float32()] * 5,
            *[pyarrow.uint8(), pyarrow.int32(), *[pyarrow.string()] * stills],
        )
        names = (*COLUMNS, NAME_COLUMN) if stills else COLUMNS
        self._schema = pyarrow.schema(list(zip(names, types, strict=True)), {"tposecli": as_json(info)})
        self._rows: list[tuple[Any, ...]] = []
        self._part = PartFile(path)
        self._writer = parquet.ParquetWriter(self._part.file, self._schema, compression="zstd")

    def write(self, result: Result) -> None:
        """Add the rows of a frame."""
        name = (result.frame.name,) if self._stills else ()
        self._rows += [(*row, *name) for row in table_rows(result, self._names)]
        if len(self._rows) >= ROWS_PER_WRITE:
            self._flush()

    def close(self, complete: bool) -> None:
        """Finish and publish the file, or remove it; closing twice is harmless."""
        if self._part.file.closed:
            return
        succeeded = False
        try:
            if complete:
                self._flush()
            self._writer.close()
            succeeded = complete
        except (OSError, OutputError) as error:
            if complete:
                raise unwritable(self._part.path, error) from error
        finally:
            self._part.close(succeeded)

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [self._arrow.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()
