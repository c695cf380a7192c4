"""What is there of a data set, and what is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tposecli.hub.datasets.coco import (
    DETECTION_PAGES,
    PUBLISHED,
    SETS,
    Piece,
    annotation_file,
    detections_file,
    images_folder,
    pieces_of,
)

PACKED: Final = "there, as a zip file, which tpose eval reads and tpose train does not"
MAX_NAMED: Final = 3
"""Missing pictures that a line names."""


@dataclass(frozen=True, slots=True)
class DatasetProblem:
    """One file or folder of the layout.

    Attributes:
        path: Which.
        state: For people.
        remedy: How to get what is missing; empty if nothing is.
    """

    path: Path
    state: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.path}: {self.state}" + (f"; {self.remedy}" if self.remedy else "")


def check_set(folder: Path, name: str) -> list[DatasetProblem]:
    """Look at everything that a set consists of: annotations, pictures, published detections.

    Raises:
        UsageError: There is no such set.
    """
    pieces = pieces_of(name)
    remedy = f"`tpose data coco {name}` gets it"
    files = [folder / piece.folder / file for piece in pieces for file in piece.names]
    found = [_json_file(path, remedy) for path in files]
    found += [_pictures(folder, name, piece, remedy) for piece in pieces if not piece.names]
    detections = detections_file(folder, name)
    if detections is not None:
        found.append(_json_file(detections, f"{DETECTION_PAGES}; boxes of AP {PUBLISHED[name][1]}"))
    return found


def present_sets(folder: Path) -> tuple[str, ...]:
    """Sets of which something is there."""
    return tuple(
        name for name in SETS if annotation_file(folder, name).exists() or images_folder(folder, name).exists()
    )


def lacks(piece: Piece, folder: Path) -> int:
    """How many files of a piece are missing; none where the pictures lie there as a zip file."""
    if piece.names:
        return sum(not is_whole_json(folder / piece.folder / name) for name in piece.names)
    path = folder / piece.folder
    if not path.is_dir() and path.with_name(path.name + ".zip").is_file():
        return 0
    return max(0, piece.count - len(_names_in(path)))


def is_whole_json(path: Path) -> bool:
    """Whether a file is there and ends as JSON does; one that was cut short does not."""
    try:
        with path.open("rb") as file:
            head = file.read(64).lstrip()[:1]
            file.seek(max(0, path.stat().st_size - 64))
            return (head, file.read().rstrip()[-1:]) in ((b"{", b"}"), (b"[", b"]"))
    except OSError:
        return False


def _json_file(path: Path, remedy: str) -> DatasetProblem:
    if is_whole_json(path):
        return DatasetProblem(path, f"there, {path.stat().st_size / 1e6:.1f} MB")
    return DatasetProblem(path, "cut short, or no JSON" if path.exists() else "missing", remedy)


def _pictures(folder: Path, name: str, piece: Piece, remedy: str) -> DatasetProblem:
    path = folder / piece.folder
    missing = lacks(piece, folder)
    if not missing:
        return DatasetProblem(path, f"there, {piece.count} pictures" if path.is_dir() else PACKED)
    if missing == piece.count:
        return DatasetProblem(path, f"all {piece.count} pictures are missing", remedy)
    lost = _lost(annotation_file(folder, name), _names_in(path))
    example = f", for example {', '.join(lost[:MAX_NAMED])}" if lost else ""
    return DatasetProblem(path, f"{missing} of {piece.count} pictures are missing{example}", remedy)


def _names_in(folder: Path) -> set[str]:
    """Pictures in a folder that are not empty."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.name.endswith(".jpg") and entry.stat().st_size}
    except OSError:
        return set()


def _lost(annotations: Path, there: set[str]) -> Sequence[str]:
    """Pictures that the annotations name and that are not there; none if the annotations are not there either."""
    try:
        images = json.loads(annotations.read_bytes())["images"]
        return sorted({str(image["file_name"]) for image in images} - there)
    except (OSError, ValueError, LookupError, TypeError):
        return []
