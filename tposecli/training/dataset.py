"""Read annotated people for training the pose nets, and report every problem before training begins."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.evaluation.coco.keypoint_set import numbers, read_json
from tposecli.evaluation.coco.problems import Problems
from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.sources.images import read_image
from tposecli.training.keypoint_layout import layout_of
from tposecli.training.shared import LogCallback, half_slice
from tposecli.types import Float32, Image
from tposecli.utils.errors import InputError
from tposecli.utils.files import safe_relative_name, write_text

Json = dict[str, Any]

MISSING = "images missing: their people are left out"
UNREADABLE = "images empty or not decodable: their people are left out"
BROKEN = "annotations malformed: left out"
JOINTS = "annotations with a wrong number of joints: left out"
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
    """

    path: Path
    box: NDArray[np.float64]
    joints: Float32


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
    layout = layout_of(data.get("categories"), source.annotations.name)
    images = _images(source, data["images"], problems)
    people: list[AnnotatedPerson] = []
    for number, annotation in enumerate(data["annotations"], start=1):
        try:
            image = images.get(annotation["image_id"])
            if image is None or annotation.get("iscrowd") or float(annotation.get("area", 1)) <= 0:
                continue
            people += _person(annotation, image, (layout, source.weak_nose), problems)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(BROKEN, f"{source.annotations.name}: annotation {number}")
    return layout, tuple(people)


_Image = tuple[Path, float, float]
"""Path, width and height; infinite where the file does not say."""


def _images(source: AnnotationFile, entries: Sequence[Any], problems: Problems) -> dict[int, _Image]:
    """Return the images of the requested half, by id."""
    images: dict[int, _Image] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            size = float(entry.get("width", math.inf)), float(entry.get("height", math.inf))
            images[int(entry["id"])] = (source.images / safe_relative_name(str(entry["file_name"])), *size)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(BROKEN, f"{source.annotations.name}: image {number}")
    return {key: images[key] for key in sorted(images)[half_slice(source.half)]}


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
    flat = numbers(entry["keypoints"])
    if len(flat) != 3 * len(layout.names):
        problems.add(JOINTS, where)
        return []
    joints = np.array(flat, np.float32).reshape(-1, 3)
    joints[:, 2] = joints[:, 2] > 0
    if layout is COCO and weak_nose > 0:
        _guess_nose(joints, entry, weak_nose)
    if not joints[:, 2].any():
        return []
    x, y, wide, high = numbers(entry["bbox"], 4)
    left, top = max(0.0, x), max(0.0, y)
    # The authors clip boxes in this way before they cut crops.
    right, bottom = min(width - 1, left + max(0.0, wide - 1)), min(height - 1, top + max(0.0, high - 1))
    if right < left or bottom < top or min(wide, high) <= 0:
        problems.add(BOX, where)
        return []
    return [AnnotatedPerson(path, np.array([left, top, right + 1, bottom + 1]), joints)]


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
        record: JSON file of the images known to be readable: size in bytes and modification time, by path.
        log: Receives progress lines.
    """
    people = tuple(people)
    known: dict[str, list[int]] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    before, good = len(known), set()
    paths = dict.fromkeys(person.path for person in people)
    for number, path in enumerate(paths, start=1):
        fault = _fault(path, known)
        if fault is None:
            good.add(path)
        else:
            problems.add(fault, path)
        if number % 10000 == 0:
            log(f"{number} of {len(paths)} images checked")
    if len(known) > before:
        write_text(record, json.dumps(known))
    return tuple(person for person in people if person.path in good)


def _fault(path: Path, known: dict[str, list[int]]) -> str | None:
    """Return what is wrong with an image; None if it is readable."""
    try:
        state = path.stat()
    except OSError:
        return MISSING
    fingerprint = [state.st_size, state.st_mtime_ns]
    if known.get(str(path)) == fingerprint:
        return None
    # Decoding at a reduced size finds broken JPEGs just as well, eight times as fast.
    if state.st_size == 0 or cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_8) is None:
        return UNREADABLE
    known[str(path)] = fingerprint
    return None
