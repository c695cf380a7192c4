"""DeepLabCut's CSV and HDF5: a row per frame, and columns by scorer, individual, body part and coordinate.

The CSV is read, too. The HDF5 is not: its header is pickled, and reading it runs whatever code a file contains.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

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
from tposecli.formats.exchange.recording import Recording, given_names, track_ids
from tposecli.formats.frame_numbers import MAX_FRAMES
from tposecli.types import UNTRACKED
from tposecli.utils.errors import InputError, UsageError

log = logging.getLogger("tposecli")

KEY: Final = "df_with_missing"
"""Where DeepLabCut itself keeps the table in an HDF5 file."""

LEVELS: Final = ("scorer", "individuals", "bodyparts", "coords")
COORDS: Final = ("x", "y", "likelihood")


def export_dlc_csv(recording: Recording, path: Path) -> None:
    """Write the CSV that DeepLabCut's ``analyze_videos(save_as_csv=True)`` writes."""
    levels, columns, values = _table(recording)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerows([level, *names] for level, names in zip(levels, zip(*columns, strict=True), strict=True))
        for index, row in enumerate(values.round(4).tolist()):
            # pandas would take a first line without any value for names.
            missing = "NaN" if index == 0 else ""
            table.writerow([index, *(missing if value != value else value for value in row)])


def export_dlc_h5(recording: Recording, path: Path) -> None:
    """Write the HDF5 file that DeepLabCut's ``analyze_videos`` writes."""
    import pandas

    levels, columns, values = _table(recording)
    header = pandas.MultiIndex.from_tuples(columns, names=levels)
    pandas.DataFrame(values, columns=header).to_hdf(path, key=KEY, format="table", mode="w")


def _table(recording: Recording) -> tuple[list[str], list[tuple[str, ...]], NDArray[np.float64]]:
    """Return the names of the header's levels, the C columns, and the (frames, C) cells.

    One person without a name has the layout of a project with one animal, which has no level of individuals.
    """
    if not recording.has_constant_rate:
        log.warning(
            "%s: its frame rate varies, and DeepLabCut's files have frame numbers without times; take the times from "
            "--csv",
            recording.source,
        )
    rows = int(recording.index.max(initial=-1)) + 1
    if rows > MAX_FRAMES:
        raise UsageError(f"{recording.source}: frame {rows - 1} is too many for a DeepLabCut file; use --to wide-csv")
    people, joints = recording.people, recording.layout.names
    single = len(people) < 2 and not any(person.named for person in people)
    who = people or (recording.sole_person(),)
    columns = [(recording.scorer, person.name, joint, coord) for person in who for joint in joints for coord in COORDS]
    # Frames are numbered by their row, so that rows of frames that were left out stay empty.
    values = np.full((rows, len(columns)), np.nan)
    found = [recording.grid(person).reshape(len(recording.index), -1) for person in who]
    values[recording.index] = np.concatenate(found, axis=1)
    if single:
        return [LEVELS[0], *LEVELS[2:]], [(column[0], *column[2:]) for column in columns], values
    return list(LEVELS), [tuple(column) for column in columns], values


@dataclass(frozen=True, slots=True)
class _Column:
    """The names of a column."""

    individual: str
    joint: str
    coord: str


def is_dlc_csv(head: bytes) -> bool:
    """Check whether a file that begins with these bytes is DeepLabCut's CSV."""
    return head.startswith(b"scorer,")


def read_dlc_csv(source: PoseSource) -> PoseFile:
    """Read DeepLabCut's CSV, also one of labelled images.

    Raises:
        InputError: It is damaged.
    """
    path = source.path
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); check that it is a CSV file") from error
    header = {row[0]: row for row in rows[:4] if row and row[0] in LEVELS}
    first = next((place for place, cell in enumerate(rows[0]) if place and cell), 1)
    if not {"bodyparts", "coords"} <= header.keys():
        raise InputError(f"{path}: no lines bodyparts and coords at its beginning; write it again with DeepLabCut")
    names = [header.get(level, [""] * len(rows[0]))[first:] for level in LEVELS[1:]]
    if len({len(level) for level in names}) > 1:
        raise InputError(f"{path}: the lines of its header differ in length; write it again with DeepLabCut")
    columns = [_Column(*column) for column in zip(*names, strict=True)]
    return _pose_file(path, columns, ((row[:first], row[first:]) for row in rows[len(header) :]))


def _pose_file(path: Path, columns: Sequence[_Column], rows: Iterable[tuple[Sequence[str], Sequence[Any]]]) -> PoseFile:
    """Return the content of a table.

    Args:
        path: The file.
        columns: The columns.
        rows: For each row the number of the frame, or the parts of the image's path; and its cells.
    """
    joints = list(dict.fromkeys(column.joint for column in columns))
    places = {(column.individual, column.joint, column.coord): place for place, column in enumerate(columns)}
    ids = track_ids(list(dict.fromkeys(column.individual for column in columns)))
    people, frames = PoseCollector(path, len(joints)), []
    scored = any(column.coord == "likelihood" for column in columns)
    numbered = True
    for number, (label, cells) in enumerate(rows):
        entry = f"row {label[-1]}"
        if len(cells) != len(columns):
            raise bad_entry(path, entry, f"expected {len(columns)} cells, got {len(cells)}")
        numbered = numbered and len(label) == 1 and label[0].isdecimal()
        frames.append(FrameRef(int(label[0]), int(label[0])) if numbered else FrameRef(number, number, label[-1]))
        for name, track in ids.items():
            try:
                found = [_joint(places, name, joint, cells, scored) for joint in joints]
            except ValueError as error:
                raise bad_entry(path, entry, str(error)) from error
            if any(joint[0] == joint[0] for joint in found):
                person = PersonAttributes(track_id=track if numbered else UNTRACKED)
                people.add(entry, frames[-1].id, list(chain.from_iterable(found)), person)
    if len({frame.id for frame in frames}) < len(frames):
        raise InputError(f"{path}: two rows have the same frame number; keep one of them")
    poses, _ = people.poses(keypoint_order(path, joints, len(joints)))
    return PoseFile(
        path,
        "dlc-csv",
        by_frame_index(frames),
        poses,
        stills=not numbered,
        tracked=numbered and people.tracked,
        ordered=not numbered,
        people=given_names(ids),
    )


def _joint(
    places: dict[tuple[str, str, str], int], name: str, joint: str, cells: Sequence[Any], scored: bool
) -> tuple[float, float, float]:
    """Return x, y and likelihood of a joint, which is 1 where labels have none."""
    found = [places.get((name, joint, coord)) for coord in COORDS]
    x, y, likelihood = (np.nan if place is None or cells[place] == "" else float(cells[place]) for place in found)
    return x, y, likelihood if scored else 1.0
