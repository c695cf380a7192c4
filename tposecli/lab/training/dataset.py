"""Read annotated people for training the pose nets, and report every problem before training begins."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from tposecli.evaluation.coco.keypoint_set import numbers, read_json
from tposecli.evaluation.coco.problems import Problems
from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.lab.training.keypoint_layout import layout_of
from tposecli.lab.training.shared import LogCallback, half_slice
from tposecli.sources.images import read_image
from tposecli.types import Float32, Image
from tposecli.utils.coco_records import Id, PersonCategory, find_person_category, record_id, used_categories
from tposecli.utils.errors import InputError
from tposecli.utils.files import safe_relative_name, write_text

Json = dict[str, Any]

MISSING = "images missing: their people are left out"
UNREADABLE = "images empty or not decodable: their people are left out"
BROKEN = "annotations malformed: left out"
JOINTS = "annotations with a wrong number of joints: left out"
NO_BOX = "annotations without a bbox: left out"
NO_AREA = "annotations with area 0: left out"
AREA_UNKNOWN = "annotations with area 0, as all of this file: used anyway"
NO_JOINTS = "annotations without a labelled joint: left out"
CROWD = "annotations of crowds: left out"
OTHER_CATEGORY = "annotations of other categories: left out"
UNLISTED = "annotations of images that the file does not list: left out"
WRONG_SIZE = "images of another size than the annotations say: their coordinates may not fit"
BOX = "annotations whose box is empty or outside the image: left out"
NOSE_HEIGHT = 0.55
"""Position of the nose between neck (0) and head top (1)."""


@dataclass(frozen=True, eq=False, slots=True)
class AnnotatedPerson:
    """One annotated person.

    Attributes:
        path: The image.
        box: (4,) left, top, right, bottom, pixels, inside the image.
        joints: (K, 3) x, y in pixels, and weight: 1 for annotated joints, 0 for those that are ignored.
        size_wh: Width and height of the image according to the annotations; infinite if they do not say.
    """

    path: Path
    box: NDArray[np.float64]
    joints: Float32
    size_wh: tuple[float, float] = (math.inf, math.inf)


@dataclass(frozen=True)
class AnnotationFile:
    """An annotation file, and what to read of it.

    Attributes:
        annotations: The COCO keypoint file.
        images: Folder of its images.
        half: ``even`` or ``odd``: read only images at those positions among the sorted image ids; empty: read all.
        weak_nose: Weight of a nose guessed from the extra fields ``neck`` and ``head_top``; 0 guesses none.
    """

    annotations: Path
    images: Path
    half: str = ""
    weak_nose: float = 0.0


def read_people(source: AnnotationFile, problems: Problems) -> tuple[KeypointLayout, tuple[AnnotatedPerson, ...]]:
    """Return the keypoint layout of a COCO keypoint file, and its people with at least one annotated joint.

    Crowds, and people without area or joints, are skipped, as in the authors' training; malformed entries are added to
    ``problems``.

    Raises:
        UsageError: The file does not exist.
        InputError: It is not a COCO keypoint file; if ``problems`` is strict, for any other problem, too.
    """
    data = read_json(source.annotations)
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("images", "annotations")):
        raise InputError(
            f"{source.annotations}: expected a COCO keypoint file with the lists 'images' and 'annotations'"
        )
    name = source.annotations.name
    try:
        category = find_person_category(data.get("categories"), used_categories(data["annotations"]), keypoints=True)
    except ValueError as error:
        raise InputError(f"{source.annotations}: {error}") from error
    layout = layout_of(category.record, name)
    images, listed = _images(source, data["images"], problems)
    people: list[AnnotatedPerson] = []
    areas_known = any(map(_has_area, data["annotations"]))
    for number, annotation in enumerate(data["annotations"], start=1):
        where = f"{name}: annotation {number}"
        try:
            key = record_id(annotation["image_id"], "image_id")
            reason, detail = _reason_to_skip(annotation, category, listed, areas_known)
            if reason:
                problems.note(reason, where + detail)
            elif key in images:
                people += _person(annotation, images[key], (layout, source.weak_nose), problems)
                if not areas_known and annotation.get("area") is not None:
                    problems.note(AREA_UNKNOWN, where)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(BROKEN, where)
    return layout, tuple(people)


def _reason_to_skip(
    annotation: Json, category: PersonCategory, listed: Container[Id], areas_known: bool
) -> tuple[str, str]:
    """Return why an annotation is left out on purpose, and a detail for its name; empty if it is not.

    Raises:
        ValueError: A value is malformed.
    """
    kind = record_id(annotation.get("category_id", category.id), "category_id")
    if kind not in category.ids:
        return OTHER_CATEGORY, f", {category.describe(kind)}"
    if record_id(annotation["image_id"], "image_id") not in listed:
        return UNLISTED, f", image {annotation['image_id']}"
    if annotation.get("iscrowd"):
        return CROWD, ""
    area = annotation.get("area")
    return (NO_AREA, "") if areas_known and area is not None and float(area) <= 0 else ("", "")


def _has_area(annotation: Any) -> bool:
    """Return whether an annotation has an area above 0."""
    area = annotation.get("area") if isinstance(annotation, dict) else None
    return isinstance(area, int | float) and area > 0


_Image = tuple[Path, float, float]
"""Path, width and height; infinite where the file does not say."""


def _images(source: AnnotationFile, entries: Sequence[Any], problems: Problems) -> tuple[dict[Id, _Image], set[Id]]:
    """Return the images of the requested half by id, and the ids of all images."""
    images: dict[Id, _Image] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            size = float(entry.get("width", math.inf)), float(entry.get("height", math.inf))
            images[record_id(entry["id"])] = (source.images / safe_relative_name(str(entry["file_name"])), *size)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(BROKEN, f"{source.annotations.name}: image {number}")
    # Numbers before text, so that halves of usual files are what they were.
    ordered = sorted(images, key=lambda key: (isinstance(key, str), key))
    return {key: images[key] for key in ordered[half_slice(source.half)]}, set(images)


def _person(
    entry: Json, image: _Image, options: tuple[KeypointLayout, float], problems: Problems
) -> list[AnnotatedPerson]:
    """Return the person of an annotation as a list of one, or an empty list if the annotation is unusable.

    Args:
        entry: The annotation.
        image: Its image.
        options: The keypoint layout, and the weight of guessed noses.
        problems: Collects what is wrong.

    Raises:
        ValueError: A value is not a number.
    """
    path, width, height = image
    layout, weak_nose = options
    where = f"{path.name}: annotation {entry.get('id', '?')}"
    if entry.get("bbox") is None and entry.get("keypoints"):
        problems.add(NO_BOX, where)
        return []
    flat = numbers(entry["keypoints"])
    if len(flat) != 3 * len(layout.names):
        problems.add(JOINTS, where)
        return []
    joints = np.array(flat, np.float32).reshape(-1, 3)
    joints[:, 2] = joints[:, 2] > 0
    if layout is COCO and weak_nose > 0:
        _guess_nose(joints, entry, weak_nose)
    if not joints[:, 2].any():
        problems.note(NO_JOINTS, where)
        return []
    x, y, wide, high = numbers(entry["bbox"], 4)
    left, top = max(0.0, x), max(0.0, y)
    # The authors clip boxes in this way before they cut crops.
    right, bottom = min(width - 1, left + max(0.0, wide - 1)), min(height - 1, top + max(0.0, high - 1))
    if right < left or bottom < top or min(wide, high) <= 0:
        problems.add(BOX, where)
        return []
    return [AnnotatedPerson(path, np.array([left, top, right + 1, bottom + 1]), joints, (width, height))]


def _guess_nose(joints: Float32, entry: Json, weight: float) -> None:
    """Place an unannotated nose between neck and head top, in place."""
    neck, top = entry.get("neck"), entry.get("head_top")
    if neck and top and joints[0, 2] == 0:
        start, end = np.array(numbers(neck, 2)), np.array(numbers(top, 2))
        joints[0] = (*(start + NOSE_HEIGHT * (end - start)), weight)


def read_training_image(path: Path) -> Image:
    """Read an image as (H, W, 3) uint8 RGB, ignoring EXIF orientation as COCO's annotations do.

    Raises:
        InputError: The file cannot be read.
    """
    return read_image(path, honour_exif=False)


def with_readable_images(
    people: Iterable[AnnotatedPerson], problems: Problems, record: Path, log: LogCallback
) -> tuple[AnnotatedPerson, ...]:
    """Return the people whose images can be decoded; each image is tried once and remembered in ``record``.

    Args:
        people: From :func:`read_people`.
        problems: Collects the images that cannot be decoded.
        record: JSON file of the images known to be readable, by path: size in bytes, modification time, width, height.
        log: Receives progress lines.
    """
    people = tuple(people)
    known = _read_record(record)
    before, good = dict(known), set()
    paths = {person.path: person.size_wh for person in people}
    for number, (path, listed) in enumerate(paths.items(), start=1):
        fault = _fault(path, known)
        if fault is None:
            good.add(path)
            size = known[str(path)][2:]
            if math.isfinite(max(listed)) and tuple(size) != listed:
                sizes = [f"{width:g}x{height:g}" for width, height in (size, listed)]
                problems.add(WRONG_SIZE, f"{path.name}: {sizes[0]}, annotated as {sizes[1]}")
        else:
            problems.add(fault, path)
        if number % 10000 == 0:
            log(f"{number} of {len(paths)} images checked")
    if known != before:
        write_text(record, json.dumps(known))
    return tuple(person for person in people if person.path in good)


def _read_record(record: Path) -> dict[str, list[int]]:
    """Return the images known to be readable; none, and a warning, if the file is damaged: all are tried again."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        known = None
    if isinstance(known, dict):
        return known
    logging.getLogger("tposecli").warning("%s: damaged; all images are checked again", record)
    return {}


def _fault(path: Path, known: dict[str, list[int]]) -> str | None:
    """Return what is wrong with an image; None if it is readable."""
    try:
        state = path.stat()
    except OSError:
        return MISSING
    fingerprint = [state.st_size, state.st_mtime_ns]
    if known.get(str(path), [])[:2] == fingerprint and len(known[str(path)]) == 4:
        return None
    # Decoding at a reduced size finds broken JPEGs just as well, eight times as fast.
    if state.st_size == 0 or cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_8) is None:
        return UNREADABLE
    known[str(path)] = [*fingerprint, *_size_wh(path)]
    return None


def _size_wh(path: Path) -> tuple[int, int]:
    """Return width and height of a readable image as stored, without decoding it if possible."""
    try:
        with PIL.Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError):
        height, width = read_training_image(path).shape[:2]
        return width, height
