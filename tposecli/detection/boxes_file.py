"""Boxes from another program or from annotators, read from a COCO file."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

import numpy as np

from tposecli.detection.base import BoxFilter
from tposecli.sources import IMAGE_SUFFIXES
from tposecli.types import Boxes, Frame
from tposecli.utils.coco_records import (
    Id,
    PersonCategory,
    find_person_category,
    record_id,
    used_categories,
)
from tposecli.utils.errors import InputError
from tposecli.utils.files import read_whole
from tposecli.utils.strict_json import json_integer, json_number

log = logging.getLogger("tposecli")

MAX_COORDINATE: Final = 1e9
"""Larger coordinates, in pixels, are invalid."""
MAX_DIGITS: Final = 18
GROUND_TRUTH: Final = 1.0
"""Score of annotations, which have none of their own."""


class BoxesFile:
    """Looks up each frame's boxes in a file; implements :class:`tposecli.detection.base.Detector`.

    Two kinds of files are supported:

    - A **dataset**, ``{"images": [...], "annotations": [...]}``. An image is found by ``file_name``: the whole relative
      name, else its last part if that is unique. A frame of a video is found by ``frame_index`` (which our own datasets
      of videos have) and the video's name, ``video`` or ``file_name``; if the file contains one video only, its boxes
      are also used for a video of another name, with a warning. Annotations are ground truth: their score is 1, crowds
      are ignored, and overlapping ones are kept unless requested otherwise.
    - A list of **detections**, ``[{"image_id", "category_id", "bbox": [x, y, w, h], "score"}]``. The id of an image is
      the number in its file name, as in COCO (``000000000139.jpg`` is 139); an image with another name, or the frame of
      a video, has its index in the source plus 1, so the first is 1.

    Invalid entries (wrong types, NaN, negative sizes, scores outside 0..1) are skipped, counted and reported in one
    warning. A frame that is not in the file has no boxes; if that holds for all frames of the first call, a warning is
    logged.
    """

    def __init__(self, path: Path, box_filter: BoxFilter | None = None, truth_nms: float | None = None) -> None:
        """Read the whole file.

        Args:
            path: The file.
            box_filter: Which boxes are kept.
            truth_nms: Replaces the filter's ``nms`` for annotations; None to keep them all.

        Raises:
            InputError: The file is missing, is neither of the two kinds, or has no valid entries.
        """
        content = _read(path)
        box_filter = box_filter or BoxFilter()
        self._ids: _Ids
        if isinstance(content, list):
            # A list of detections has no names of categories; its ids are COCO's.
            self._boxes, self._filter = _boxes_by_image(path, content, PersonCategory(), _detection), box_filter
            self._ids = _Numbered(path, set(self._boxes))
        elif isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations")):
            person = _person_category(path, content)
            self._boxes = _boxes_by_image(path, content["annotations"], person, _annotation)
            self._filter = replace(box_filter, nms=1.0 if truth_nms is None else truth_nms)
            self._ids = _Named(path, content["images"])
        else:
            raise InputError(
                f"{path}: expected a list of detections, or a dataset with the lists 'images' and 'annotations'"
            )
        self._path = path
        self._warned = False

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the boxes of every frame, best first.

        Raises:
            InputError: The image ids in the file cannot be matched to the frames.
        """
        ids = [self._ids.find(frame) for frame in frames]
        if frames and not self._warned and all(image_id is None for image_id in ids):
            log.warning(
                "%s: contains neither %s nor any other of the first %d frames; check that it belongs to this input",
                self._path,
                _title(frames[0]),
                len(frames),
            )
        self._warned = self._warned or bool(frames)
        return [self._of(image_id, frame.size_wh) for image_id, frame in zip(ids, frames, strict=True)]

    def _of(self, image_id: Id | None, size_wh: tuple[int, int]) -> Boxes:
        boxes = None if image_id is None else self._boxes.get(image_id)
        return Boxes.empty() if boxes is None else self._filter(boxes, size_wh)


class _Ids(Protocol):
    def find(self, frame: Frame) -> Id | None:
        """Return the id of the image that is this frame; None if the file has none."""
        ...


class _Numbered:
    """Ids from frame numbers: for lists of detections, which have no names."""

    def __init__(self, path: Path, known: set[Id]) -> None:
        self._path = path
        self._known = known
        self._stills: dict[int, str] = {}

    def find(self, frame: Frame) -> Id | None:
        stem = PurePosixPath(_slashed(frame.name)).stem
        if frame.pts is None:
            for text in (_slashed(frame.name), _last_part(frame.name), stem):
                if text in self._known:
                    return text
        named = frame.pts is None and stem.isascii() and stem.isdecimal() and len(stem) <= MAX_DIGITS
        image_id = int(stem) if named else frame.index + 1
        if frame.pts is None and self._stills.setdefault(image_id, frame.name) != frame.name:
            raise InputError(
                f"{self._path}: {self._stills[image_id]} and {frame.name} would both be image {image_id}; "
                "use a dataset with file names instead of a list of detections"
            )
        if not named and 0 in self._known:
            raise InputError(
                f"{self._path}: has an image 0, but frames are numbered from 1; add 1 to every image_id, "
                "or use a dataset with a frame_index for each image"
            )
        return image_id if image_id in self._known else None


class _Named:
    """Ids from file names and frame indices: for datasets."""

    def __init__(self, path: Path, images: Iterable[Any]) -> None:
        self._path = path
        self._full: dict[tuple[str, int | None], Id | None] = {}
        self._last: dict[tuple[str, int | None], Id | None] = {}
        self._mentioned: set[str] = set()
        self._videos: set[str] = set()
        self._stills = False
        invalid = _InvalidEntries(path, "images")
        for number, image in enumerate(images):
            try:
                self._add(image)
            except ValueError as error:
                invalid.add(number, error)
        invalid.report(len(self._full))
        self._only_video = next(iter(self._videos)) if len(self._videos) == 1 and not self._stills else None

    def _add(self, image: Any) -> None:
        image_id = _id(image, "id")
        name = image.get("file_name")
        if not isinstance(name, str):
            raise ValueError("file_name is not a string")
        index = None if image.get("frame_index") is None else _integer(image, "frame_index")
        self._put(name, index, image_id)
        if index is not None:
            self._put(name, None, image_id)
            video = _video_of(image, name)
            self._videos.add(video)
            self._put(video, index, image_id)
        else:
            self._stills = True

    def _put(self, name: str, index: int | None, image_id: Id) -> None:
        """Add an image under a name; names of several images find none of them."""
        for table, key in ((self._full, _slashed(name)), (self._last, _last_part(name))):
            if table.setdefault((key, index), image_id) != image_id:
                table[key, index] = None

    def find(self, frame: Frame) -> Id | None:
        name, last = _slashed(frame.name), _last_part(frame.name)
        for index in (None, frame.index):
            image_id = self._full.get((name, index), self._last.get((last, index)))
            if image_id is not None:
                return image_id
        if self._only_video is None:
            return None
        image_id = self._full.get((self._only_video, frame.index))
        if image_id is not None and frame.name not in self._mentioned:
            self._mentioned.add(frame.name)
            log.warning("%s: the boxes of %s are used for %s", self._path, self._only_video or "its frames", frame.name)
        return image_id


class _InvalidEntries:
    """Invalid entries: counted, and reported once."""

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._count = 0
        self._first = ""

    def add(self, number: int, error: ValueError) -> None:
        self._first = self._first or f"number {number}: {error}"
        self._count += 1

    def report(self, good: int) -> None:
        """Log a warning about skipped entries; raise InputError if none was valid."""
        if self._count and not good:
            raise InputError(
                f"{self._path}: none of its {self._count} {self._what} is valid ({self._first}); correct the file"
            )
        if self._count:
            log.warning("%s: %d %s skipped (%s)", self._path, self._count, self._what, self._first)


def _read(path: Path) -> Any:
    """Read the JSON value in a file."""
    try:
        return json.loads(read_whole(path).decode("utf-8-sig"))
    except OSError as error:
        raise InputError(
            f"{path}: the boxes cannot be read ({error.strerror}); check the file and its permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error}); write or download it again") from error


Row = tuple[float, float, float, float, float]
"""Left, top, right and bottom in pixels, and score."""


def _person_category(path: Path, content: Any) -> PersonCategory:
    """Return the category of people in a dataset."""
    try:
        return find_person_category(content.get("categories"), used_categories(content["annotations"]))
    except ValueError as error:
        raise InputError(f"{path}: {error}; name the category of people person") from error


def _boxes_by_image(
    path: Path, entries: Sequence[Any], person: PersonCategory, parse: Callable[[Any], Row | None]
) -> dict[Id, Boxes]:
    """Return the boxes of people by image id; ``parse`` returns None for entries to ignore."""
    rows: dict[Id, list[Row]] = defaultdict(list)
    invalid = _InvalidEntries(path, "boxes")
    good, others = 0, []
    for number, entry in enumerate(entries):
        try:
            image_id, category = _id(entry, "image_id"), _id(entry, "category_id")
            row = parse(entry) if category in person.ids else None
        except ValueError as error:
            invalid.add(number, error)
            continue
        good += 1
        if category not in person.ids:
            others.append(category)
        elif row is not None:
            rows[image_id].append(row)
    invalid.report(good)
    if good and not rows:
        found = f"; its {good} boxes are {person.describe_all(others)}" if others else ""
        log.warning("%s: contains no boxes of people (category %s)%s", path, person.title, found)
    elif others:
        log.info("%s: left out boxes of other categories: %s", path, person.describe_all(others))
    tables = {image_id: np.array(own, np.float32) for image_id, own in rows.items()}
    return {image_id: Boxes(table[:, :4], table[:, 4]) for image_id, table in tables.items()}


def _detection(entry: Any) -> Row:
    """Return box and score of a detection."""
    score = json_number(entry.get("score"), "score", MAX_COORDINATE)
    if not 0 <= score <= 1:
        raise ValueError(f"score {score:g} is not in 0..1")
    return (*_corners(entry), score)


def _annotation(entry: Any) -> Row | None:
    """Return the box of an annotation, None if it is a crowd."""
    return None if entry.get("iscrowd") else (*_corners(entry), GROUND_TRUTH)


def _corners(entry: Any) -> tuple[float, float, float, float]:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError("expected bbox as [x, y, width, height]")
    x, y, width, height = (json_number(value, "bbox", MAX_COORDINATE) for value in box)
    if width < 0 or height < 0:
        raise ValueError(f"bbox has a negative size, {width:g} x {height:g}")
    return x, y, x + width, y + height


def _integer(entry: Any, key: str) -> int:
    """Return an integer of a JSON object; some tools write it as 139.0.

    Raises:
        ValueError: There is none, or ``entry`` is not an object.
    """
    if not isinstance(entry, dict):
        raise ValueError("expected an object")
    return json_integer(entry.get(key), key, integral_floats=True)


def _id(entry: Any, key: str) -> Id:
    """Return an id of a JSON object.

    Raises:
        ValueError: There is none, or ``entry`` is not an object.
    """
    if not isinstance(entry, dict):
        raise ValueError("expected an object")
    return record_id(entry.get(key), key)


def _video_of(image: Any, name: str) -> str:
    """Return the name of the video that a frame belongs to; empty if the frame has an image of its own."""
    video = image.get("video")
    if isinstance(video, str):
        return _slashed(video)
    return "" if PurePosixPath(_slashed(name)).suffix.lower() in IMAGE_SUFFIXES else _slashed(name)


def _slashed(name: str) -> str:
    """Return the name with POSIX separators and without a leading ``./``."""
    return name.replace("\\", "/").removeprefix("./")


def _last_part(name: str) -> str:
    return PurePosixPath(_slashed(name)).name


def _title(frame: Frame) -> str:
    return frame.name if frame.pts is None and frame.name else f"frame {frame.index} of {frame.name or 'the source'}"
