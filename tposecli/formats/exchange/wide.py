"""Poses as wide tables, one row per person and frame: CSV and Excel; the CSV is read, too."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tposecli.formats.base import (
    FrameRef,
    PersonAttributes,
    PoseCollector,
    PoseFile,
    PoseSource,
    bad_entry,
    by_frame_index,
    keypoint_order,
)
from tposecli.formats.exchange.recording import Recording
from tposecli.types import UNTRACKED
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.strict_json import pixels, scores

COLUMNS: Final = ("frame", "time_s", "track", "name", "person")
"""What stands before ``JOINT_x``, ``JOINT_y`` and ``JOINT_score`` of each keypoint; ``name`` was given by hand, or is
that of the image; ``person`` numbers the people of a frame from 0."""

NAME: Final = COLUMNS.index("name")

HEAD: Final = ",".join(COLUMNS).encode() + b","

MAX_ROWS: Final = 1 << 20
"""Rows of an Excel sheet."""


def wide_header(recording: Recording) -> list[str]:
    """Return the names of the columns."""
    joints = [f"{joint}_{what}" for joint in recording.layout.names for what in ("x", "y", "score")]
    return [*COLUMNS, *joints]


def wide_rows(recording: Recording) -> Iterator[list[Any]]:
    """Yield the rows; a frame without people is one row with its index and time only."""
    names = {person.track: person.name for person in recording.people if person.named}
    xy, score = pixels(recording.xy), scores(recording.score)
    row, width = 0, 3 * len(recording.layout)
    for place, (index, time_s) in enumerate(zip(recording.index.tolist(), recording.time_s.tolist(), strict=True)):
        still = recording.names[place] if recording.stills else None
        first = row
        while row < len(recording.frame) and recording.frame[row] == place:
            track = int(recording.track[row])
            joints = zip(xy[row], score[row], strict=True)
            cells = [cell for (x, y), s in joints for cell in ((x, y, s) if s > 0 else (None, None, s))]
            yield [index, time_s, None if track == UNTRACKED else track, still or names.get(track), row - first, *cells]
            row += 1
        if row == first:
            yield [index, time_s, None, still, None, *[None] * width]


def export_wide_csv(recording: Recording, path: Path) -> None:
    """Write a CSV file (RFC 4180, UTF-8); cells of unknown values are empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(wide_header(recording))
        table.writerows(wide_rows(recording))


def export_xlsx(recording: Recording, path: Path) -> None:
    """Write an Excel workbook: the sheet ``poses``, and what made them in the sheet ``about``.

    Raises:
        UsageError: There are more rows than a sheet can hold.
    """
    from openpyxl import Workbook
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet = book.create_sheet("poses")
    sheet.freeze_panes = f"{get_column_letter(len(COLUMNS) + 1)}2"
    header = wide_header(recording)
    sheet.append(header)
    for number, row in enumerate(wide_rows(recording), start=2):
        if number > MAX_ROWS:
            raise UsageError(f"--to xlsx: a sheet holds {MAX_ROWS:,} rows, and these are more; use --to wide-csv")
        row[NAME] = None if row[NAME] is None else _text(sheet, row[NAME])
        sheet.append(row)
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(header))}1"
    about = book.create_sheet("about")
    for key, value in recording.info.items():
        if key not in ("keypoint_names", "skeleton", "mirror", "sigmas"):
            about.append([key, value if isinstance(value, int | float) else _text(about, str(value))])
    book.save(path)


def _text(sheet: Any, text: str) -> Any:
    """Return a cell with text that is no formula, whatever it begins with, and has no control characters."""
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, "".join(letter if letter.isprintable() else "?" for letter in text))
    cell.data_type = "s"
    return cell


def is_wide_csv(head: bytes) -> bool:
    """Check whether a file that begins with these bytes is a wide table."""
    return head.startswith(HEAD)


def read_wide_csv(source: PoseSource) -> PoseFile:
    """Read a wide table as it is written here.

    Raises:
        InputError: A cell is missing or is not a number.
    """
    path = source.path
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); check that it is a CSV file") from error
    header, *rows = rows
    joints = [name.removesuffix("_x") for name in header[len(COLUMNS) :: 3]]
    if header != [*COLUMNS, *(f"{joint}_{what}" for joint in joints for what in ("x", "y", "score"))]:
        raise InputError(f"{path}: expected the columns {', '.join(COLUMNS)}, then x, y and score of each joint")
    people = PoseCollector(path, len(joints))
    frames: dict[int, FrameRef] = {}
    names: dict[int, str] = {}
    for number, row in enumerate(rows, start=2):
        try:
            index, track = _row(row, header, people, number)
            frames.setdefault(index, FrameRef(index, index, time_s=float(row[1])))
            if track != UNTRACKED and row[3]:
                names[track] = row[3]
        except ValueError as error:
            raise bad_entry(path, f"line {number}", str(error)) from error
    poses, _ = people.poses(keypoint_order(path, joints, len(joints)))
    # People whom the tracker did not confirm have no id.
    tracked = any((each.track_id != UNTRACKED).any() for each in poses.values())
    return PoseFile(path, "wide-csv", by_frame_index(frames.values()), poses, tracked=tracked, people=names)


def _row(row: Sequence[str], header: Sequence[str], people: PoseCollector, number: int) -> tuple[int, int]:
    """Add the person of a row, if there is one; return the frame and the track."""
    if len(row) != len(header):
        raise ValueError(f"expected {len(header)} cells, got {len(row)}")
    index, track = int(row[0]), int(row[2]) if row[2] else UNTRACKED
    cells = [float(cell or "nan") for cell in row[len(COLUMNS) :]]
    if row[4]:
        people.add(f"line {number}", index, cells, PersonAttributes(track_id=track))
    return index, track
