"""Annotated people for the pose nets: read, checked, and whatever is wrong with them named before training begins."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.evaluation.coco.keypoint_set import numbers, read_json
from tposecli.evaluation.coco.problems import Problems
from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.training.keypoint_layout import layout_of
from tposecli.types import Float32, Image
from tposecli.utils.errors import InputError
from tposecli.utils.files import safe_relative_name, write_text

Json = dict[str, Any]

MISSING = "pictures missing: their people are left out"
UNREADABLE = "pictures empty or not decodable: their people are left out"
BROKEN = "annotations broken: left out"
JOINTS = "annotations with a wrong number of joints: left out"
BOX = "annotations whose box is empty or outside the picture: left out"
NOSE_HEIGHT = 0.55
"""Where the nose is, from neck to head top."""
CHECKED = "pictures.json"


@dataclass(frozen=True, eq=False, slots=True)
class AnnotatedPerson:
    """One annotated person.

    Attributes:
        path: The picture.
        box: (4,) left, top, right, bottom, frame pixels, inside the picture.
        joints: (K, 3) x, y in frame pixels, and weight: 0 teaches nothing, 1 is an annotated joint.
    """

    path: Path
    box: NDArray[np.float64]
    joints: Float32


@dataclass(frozen=True)
class Photos:
    """What is to be read: an annotation file and its pictures.

    Attributes:
        half: ``even`` or ``odd``: only images at those positions among the sorted image ids; else empty.
        weak_nose: Weight of a nose guessed from the extra fields ``neck`` and ``head_top``; 0 guesses none.
    """

    annotations: Path
    images: Path
    half: str = ""
    weak_nose: float = 0.0


def read_people(photos: Photos, problems: Problems) -> tuple[KeypointLayout, tuple[AnnotatedPerson, ...]]:
    """The keypoints of a COCO keypoint file, and the people with at least one annotated joint.

    Crowds, and people without area or joints, are passed over as in the authors' training; what is broken is noted.

    Raises:
        UsageError: There is no such file.
        InputError: It is no COCO keypoint file; with strict problems, also whatever else is wrong.
    """
    data = read_json(photos.annotations)
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("images", "annotations")):
        raise InputError(
            f"{photos.annotations}: expected a COCO keypoint file with the lists 'images' and 'annotations'"
        )
    layout = layout_of(data.get("categories"), photos.annotations.name)
    images = _images(photos, data["images"], problems)
    people: list[AnnotatedPerson] = []
    for number, annotation in enumerate(data["annotations"], start=1):
        try:
            image = images.get(annotation["image_id"])
            if image is None or annotation.get("iscrowd") or float(annotation.get("area", 1)) <= 0:
                continue
            people += _person(annotation, image, (layout, photos.weak_nose), problems)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(BROKEN, f"{photos.annotations.name}: annotation {number}")
    return layout, tuple(people)


_Image = tuple[Path, float, float]
"""Path, width and height; infinite where the file does not say."""


def _images(photos: Photos, entries: Sequence[Any], problems: Problems) -> dict[int, _Image]:
    """Those of the wanted half, by id; of missing ones there is nothing."""
    images: dict[int, _Image] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            size = float(entry.get("width", math.inf)), float(entry.get("height", math.inf))
            images[int(entry["id"])] = (photos.images / safe_relative_name(str(entry["file_name"])), *size)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(BROKEN, f"{photos.annotations.name}: image {number}")
    part = {"": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[photos.half]
    return {key: images[key] for key in sorted(images)[part]}


def _person(
    entry: Json, image: _Image, taught: tuple[KeypointLayout, float], problems: Problems
) -> list[AnnotatedPerson]:
    """The person as a list of one; empty if there is nothing to learn.

    Raises:
        ValueError: Something that should be a number is none.
    """
    path, width, height = image
    layout, weak_nose = taught
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
    # As the authors clip boxes before they cut crops.
    right, bottom = min(width - 1, left + max(0.0, wide - 1)), min(height - 1, top + max(0.0, high - 1))
    if right < left or bottom < top or min(wide, high) <= 0:
        problems.add(BOX, where)
        return []
    return [AnnotatedPerson(path, np.array([left, top, right + 1, bottom + 1]), joints)]


def _guess_nose(joints: Float32, entry: Json, weight: float) -> None:
    """Put an unannotated nose between neck and head top."""
    neck, top = entry.get("neck"), entry.get("head_top")
    if neck and top and joints[0, 2] == 0:
        start, end = np.array(numbers(neck, 2)), np.array(numbers(top, 2))
        joints[0] = (*(start + NOSE_HEIGHT * (end - start)), weight)


def read_picture(path: Path) -> Image:
    """(H, W, 3) uint8 RGB; EXIF orientation is ignored, as COCO's annotations do.

    Raises:
        InputError: The file cannot be read.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        raise InputError(f"{path}: no longer a readable picture; it was when training began")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def with_pictures(
    people: Iterable[AnnotatedPerson], problems: Problems, record: Path, say: Callable[[str], None]
) -> tuple[AnnotatedPerson, ...]:
    """Those whose pictures can be decoded; each picture is tried once, and remembered in ``record``.

    Args:
        people: From :func:`read_people`.
        problems: Told of the pictures that cannot.
        record: JSON file of those known to be good: size in bytes and time of change, by path.
        say: Told how it goes where it takes long.
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
            say(f"{number} of {len(paths)} pictures checked")
    if len(known) > before:
        write_text(record, json.dumps(known))
    return tuple(person for person in people if person.path in good)


def _fault(path: Path, known: dict[str, list[int]]) -> str | None:
    """What is wrong with a picture; None if nothing is."""
    try:
        state = path.stat()
    except OSError:
        return MISSING
    fingerprint = [state.st_size, state.st_mtime_ns]
    if known.get(str(path)) == fingerprint:
        return None
    # A reduced picture is enough to see that a JPEG decodes, and eight times as fast.
    if state.st_size == 0 or cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_8) is None:
        return UNREADABLE
    known[str(path)] = fingerprint
    return None
