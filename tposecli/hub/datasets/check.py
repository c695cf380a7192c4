"""Check which files of a data set are present and which are missing."""

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
    DatasetPart,
    annotation_file,
    detections_file,
    images_folder,
    parts_of,
)

PACKED: Final = "present as a zip file, which tpose eval can read and tpose train cannot"
MAX_NAMED: Final = 3
"""How many missing images a line names."""


@dataclass(frozen=True, slots=True)
class DatasetProblem:
    """State of one file or folder of a data set.

    Attributes:
        path: The file or folder.
        state: Its state, in words.
        remedy: How to get what is missing; empty if nothing is.
    """

    path: Path
    state: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """Path, state and remedy in one line."""
        return f"{self.path}: {self.state}" + (f"; {self.remedy}" if self.remedy else "")


def check_set(folder: Path, name: str) -> list[DatasetProblem]:
    """Check everything that a set consists of: annotations, images, published detections.

    Raises:
        UsageError: The set is unknown.
    """
    parts = parts_of(name)
    remedy = f"download it with: tpose data coco {name}"
    files = [folder / part.folder / file for part in parts for file in part.names]
    found = [_json_file(path, remedy) for path in files]
    found += [_image_folder(folder, name, part, remedy) for part in parts if not part.names]
    detections = detections_file(folder, name)
    if detections is not None:
        found.append(_json_file(detections, f"{DETECTION_PAGES}; boxes of AP {PUBLISHED[name][1]}"))
    return found


def present_sets(folder: Path) -> tuple[str, ...]:
    """Return the names of the sets that are at least partly present."""
    return tuple(
        name for name in SETS if annotation_file(folder, name).exists() or images_folder(folder, name).exists()
    )


def count_missing(part: DatasetPart, folder: Path) -> int:
    """Return how many files of a part are missing; none if its images are there as a zip file."""
    if part.names:
        return sum(not is_whole_json(folder / part.folder / name) for name in part.names)
    path = folder / part.folder
    if not path.is_dir() and path.with_name(path.name + ".zip").is_file():
        return 0
    return max(0, part.count - len(_names_in(path)))


def is_whole_json(path: Path) -> bool:
    """Return whether a file exists and starts and ends like JSON, which a truncated file does not."""
    try:
        with path.open("rb") as file:
            head = file.read(64).lstrip()[:1]
            file.seek(max(0, path.stat().st_size - 64))
            return (head, file.read().rstrip()[-1:]) in ((b"{", b"}"), (b"[", b"]"))
    except OSError:
        return False


def _json_file(path: Path, remedy: str) -> DatasetProblem:
    if is_whole_json(path):
        return DatasetProblem(path, f"present, {path.stat().st_size / 1e6:.1f} MB")
    return DatasetProblem(path, "truncated, or not JSON" if path.exists() else "missing", remedy)


def _image_folder(folder: Path, name: str, part: DatasetPart, remedy: str) -> DatasetProblem:
    path = folder / part.folder
    missing = count_missing(part, folder)
    if not missing:
        return DatasetProblem(path, f"present, {part.count} images" if path.is_dir() else PACKED)
    if missing == part.count:
        return DatasetProblem(path, f"all {part.count} images are missing", remedy)
    lost = _missing_names(annotation_file(folder, name), _names_in(path))
    example = f", for example {', '.join(lost[:MAX_NAMED])}" if lost else ""
    return DatasetProblem(path, f"{missing} of {part.count} images are missing{example}", remedy)


def _names_in(folder: Path) -> set[str]:
    """Return the names of the non-empty images in a folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.name.endswith(".jpg") and entry.stat().st_size}
    except OSError:
        return set()


def _missing_names(annotations: Path, present: set[str]) -> Sequence[str]:
    """Return the images that the annotations name and that are missing; empty if the annotations are unreadable."""
    try:
        images = json.loads(annotations.read_bytes())["images"]
        return sorted({str(image["file_name"]) for image in images} - present)
    except (OSError, ValueError, LookupError, TypeError):
        return []
