"""COCO keypoint files: the images of a set and their annotated people."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.problems import (
    AREA_OF_BOXES,
    INVALID,
    NO_AREA,
    NO_BOX,
    NO_KEYPOINTS,
    OTHER_CATEGORY,
    SAME_ID,
    UNLISTED,
    Problems,
)
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.hub.datasets.coco import annotation_file, download_hint, images_folder
from tposecli.utils.coco_records import Id, PersonCategory, find_person_category, record_id, used_categories
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import read_whole, safe_relative_name
from tposecli.utils.strict_json import json_numbers

Float64 = NDArray[np.float64]
Record = dict[str, Any]

COCO_SIGMAS: Final = (
    np.array((0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89))
    / 10
)
"""(17,) in double precision, equal to those of the COCO API to the last bit."""

MAX_NUMBER: Final = 1e15
"""Larger numbers are treated as damage."""

AREA_OF_BOX: Final = 0.53
"""Area of a person as a fraction of the box, for files without areas (the COCO API's own substitute)."""


@dataclass(frozen=True, slots=True)
class SetImage:
    """One image of a set.

    Attributes:
        id: Image id, or a number that stands for it if it is text.
        name: File name.
        size_wh: Width and height in pixels; infinite if the file does not say.
    """

    id: int
    name: str
    size_wh: tuple[float, float]
    file_id: Any = None
    """Image id as the file has it; None if it is ``id``."""


@dataclass(frozen=True, slots=True)
class KeypointSet:
    """The images of a set and the people annotated in them.

    Attributes:
        title: Name of the set.
        images: Images in the order of the file.
        people: Annotations by image id, in the order of the file: ``id`` (from 1), ``bbox``, ``area``, ``iscrowd``,
            ``keypoints``, ``num_keypoints``, as the COCO API needs them.
        category: Id of the person category.
        names: Names of the K keypoints.
        sigmas: (K,) constants of object keypoint similarity.
        sha256: Digest of the image ids and names and of the annotations.
        has_truth: Whether people are annotated at all; false for test server sets.
        known: Ids of all images in the file, including those excluded by ``--limit``.
        numbers: Image id by the id in the file, in the form of :func:`tposecli.utils.coco_records.record_id`.
        person: The category of people.
    """

    title: str
    images: tuple[SetImage, ...]
    people: Mapping[int, list[Record]]
    category: int
    names: tuple[str, ...]
    sigmas: Float64
    sha256: str
    has_truth: bool
    known: frozenset[int]
    numbers: Mapping[Id, int] = field(default_factory=dict)
    person: PersonCategory = field(default_factory=PersonCategory)

    def number_of(self, image_id: Any) -> int | None:
        """Return the id of an image by the id that another file has for it, of any type; None if it is unknown.

        Raises:
            ValueError: It is no id.
        """
        return self.numbers.get(record_id(image_id, "image_id"))

    def in_file_ids(self, rows: Sequence[Record]) -> list[Record]:
        """Return results with the image ids of the file."""
        own = {image.id: image.file_id for image in self.images if image.file_id is not None}
        return [{**row, "image_id": own.get(row["image_id"], row["image_id"])} for row in rows] if own else list(rows)

    @property
    def keypoints(self) -> int:
        """Number of keypoints, K."""
        return len(self.sigmas)

    @property
    def ids(self) -> frozenset[int]:
        """Ids of the images."""
        return frozenset(image.id for image in self.images)

    @property
    def whole(self) -> bool:
        """Whether the set contains all images of the file."""
        return len(self.images) == len(self.known)

    def as_coco(self) -> Record:
        """Return a dataset for the COCO API, which modifies it."""
        return {
            "images": [{"id": image.id} for image in self.images],
            "annotations": [dict(person) for image in self.images for person in self.people.get(image.id, ())],
            "categories": [{"id": self.category, "name": "person"}],
        }

    def limited(self, limit: int | None, seed: int | None) -> KeypointSet:
        """Return at most ``limit`` images: the first ones or, with a seed, a random sample in the original order."""
        if limit is None or limit >= len(self.images):
            return self
        chosen = np.arange(limit)
        if seed is not None:
            chosen = np.sort(np.random.default_rng(seed).choice(len(self.images), limit, replace=False))
        images = tuple(self.images[index] for index in chosen)
        return replace(self, images=images, sha256=_digest([image.id for image in images], self.sha256))


def load_set(data: DataChoice, problems: Problems) -> KeypointSet:
    """Read the annotations of a set.

    Raises:
        UsageError: The file does not exist, or the number of sigmas differs from that of the keypoints.
        InputError: The file is not a COCO keypoint file.
    """
    path = annotation_path(data)
    content = read_json(path)
    annotations = content.get("annotations", []) if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not isinstance(content.get("images"), list):
        raise InputError(f"{path}: expected a COCO keypoint file with the lists 'images' and 'annotations'")
    images, numbers = _images(path, content["images"], problems)
    try:
        person = find_person_category(content.get("categories"), used_categories(annotations), keypoints=True)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    category = dict(person.record)
    people = _people(annotations, person, numbers, problems)
    flat = [person for group in people.values() for person in group]
    sigmas = _sigmas(path, data.sigmas, category, {len(person["keypoints"]) // 3 for person in flat})
    identity = [[image.id, image.name] for image in images], flat, sigmas.tolist()
    found = KeypointSet(
        data.coco or path.stem,
        images,
        people,
        person.id,
        _names(category, len(sigmas)),
        sigmas,
        _digest(identity),
        has_truth="annotations" in content,
        known=frozenset(image.id for image in images),
        numbers=numbers,
        person=person,
    )
    if annotations and not any(_counts(person) for person in flat):
        reasons = "; ".join(problems.lines()) or "none has a labelled keypoint"
        raise InputError(
            f"{path}: none of its {len(annotations)} annotations can be scored ({reasons}); name another file"
        )
    return found.limited(data.limit, data.seed)


def annotation_path(data: DataChoice) -> Path:
    """Return the annotation file of a set: the given one, or its place in the authors' layout."""
    if data.annotations is not None:
        return data.annotations
    return annotation_file(data.folder, str(data.coco))


def images_path(data: DataChoice) -> Path:
    """Return the image folder of a set: the given one, or its place in the authors' layout.

    Raises:
        UsageError: It is not known.
    """
    if data.images is not None:
        return data.images
    if data.annotations is not None:
        raise UsageError(f"--annotations {data.annotations}: no image folder; add --images")
    return images_folder(data.folder, str(data.coco))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UsageError: The file does not exist.
        InputError: It cannot be read, or is not JSON.
    """
    try:
        return json.loads(read_whole(path))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; {download_hint(path) or 'check its name'}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error}); download it again") from error


def numbers(value: Any, count: int | None = None) -> list[float]:
    """Validate a list of finite numbers, and its length if one is given.

    Raises:
        ValueError: It is something else.
    """
    return json_numbers(value, "numbers", count, MAX_NUMBER)


def _images(path: Path, entries: Sequence[Any], problems: Problems) -> tuple[tuple[SetImage, ...], dict[Id, int]]:
    """Return the images, and their ids by the ids in the file; ids that are text are numbered in sorted order."""
    found: dict[Id, tuple[str, tuple[float, float], Any]] = {}
    for number, entry in enumerate(entries):
        try:
            size = float(entry.get("width", math.inf)), float(entry.get("height", math.inf))
            key, name = record_id(entry["id"]), safe_relative_name(str(entry["file_name"]))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(INVALID, f"image {number} of {path.name}")
            continue
        if key in found:
            problems.add(SAME_ID, f"{found[key][0]} and {name}, {entry['id']}")
        found[key] = name, size, entry["id"]
    if not found:
        raise InputError(f"{path}: lists no images; expected a COCO keypoint file")
    first = max((key for key in found if isinstance(key, int)), default=0) + 1
    numbers: dict[Id, int] = {key: key for key in found if isinstance(key, int)}
    numbers |= {key: first + place for place, key in enumerate(sorted(key for key in found if isinstance(key, str)))}
    images = tuple(
        SetImage(numbers[key], name, size, given if isinstance(given, str) else None)
        for key, (name, size, given) in found.items()
    )
    return images, numbers


def _names(category: Record, count: int) -> tuple[str, ...]:
    """Return the keypoint names: those in the file, COCO's, or numbers from 1."""
    names = category.get("keypoints")
    if isinstance(names, list) and len(names) == count:
        return tuple(str(name) for name in names)
    return KEYPOINTS if count == len(KEYPOINTS) else tuple(f"keypoint {number}" for number in range(1, count + 1))


def _people(
    entries: Sequence[Any], category: PersonCategory, numbers: Mapping[Id, int], problems: Problems
) -> dict[int, list[Record]]:
    """Return the people of each image; what is left out is recorded."""
    people: dict[int, list[Record]] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            key = record_id(entry["category_id"], "category_id")
            image = numbers.get(record_id(entry["image_id"], "image_id"))
            if key not in category.ids:
                problems.note(OTHER_CATEGORY, f"annotation {number}, {category.describe(key)}")
            elif image is None:
                problems.note(UNLISTED, f"annotation {number}, image {entry['image_id']}")
            elif "bbox" not in entry or "keypoints" not in entry:
                problems.add(NO_KEYPOINTS if "bbox" in entry else NO_BOX, f"annotation {number}")
            else:
                ids = {"image_id": image, "category_id": category.id}
                people.setdefault(image, []).append(_person({**entry, **ids}, number))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(INVALID, f"annotation {number}")
    _mend_areas([person for group in people.values() for person in group], problems)
    return people


def _mend_areas(people: Sequence[Record], problems: Problems) -> None:
    """Take areas from boxes, in place, if a file has only areas of 0; else record those."""
    counted = [person for person in people if person["num_keypoints"] and not person["iscrowd"]]
    empty = [person for person in counted if not person["area"] > 0]
    unknown = len(empty) == len(counted)
    for person in empty:
        if unknown:
            person["area"] = AREA_OF_BOX * person["bbox"][2] * person["bbox"][3]
        problems.note(AREA_OF_BOXES if unknown else NO_AREA, f"annotation {person['id']}")


def _counts(person: Record) -> bool:
    """Return whether a person can be matched: not a crowd, with labelled keypoints and an area."""
    return bool(person["num_keypoints"]) and not person["iscrowd"] and person["area"] > 0


def _person(entry: Record, number: int) -> Record:
    """Return an annotation as the COCO API needs it, renumbered because ids in files may repeat or be 0."""
    box = numbers(entry["bbox"], 4)
    keypoints = numbers(entry["keypoints"])
    labelled = sum(visibility > 0 for visibility in keypoints[2::3])
    return {
        "id": number,
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "bbox": box,
        "area": float(entry["area"]) if entry.get("area") is not None else AREA_OF_BOX * box[2] * box[3],
        "iscrowd": int(entry.get("iscrowd", 0)),
        "keypoints": keypoints,
        "num_keypoints": int(entry.get("num_keypoints", labelled)),
    }


def _sigmas(path: Path, requested: Sequence[float] | None, category: Record, lengths: set[int]) -> Float64:
    """Return the (K,) constants: the given ones, those in the file, or COCO's, in this order."""
    names = category.get("keypoints")
    wanted = len(names) if isinstance(names, list) else lengths.pop() if len(lengths) == 1 else len(COCO_SIGMAS)
    given = requested if requested is not None else category.get("sigmas")
    sigmas = COCO_SIGMAS if given is None else _as_numbers(path, given)
    if sigmas.shape != (wanted,) or not (np.isfinite(sigmas) & (sigmas > 0)).all():
        raise UsageError(
            f"{path}: expected {wanted} sigmas above 0, one per keypoint, got {sigmas.size}; give them with --sigmas"
        )
    if lengths - {wanted}:
        raise InputError(f"{path}: expected people with {wanted} keypoints, got {sorted(lengths - {wanted})[0]}")
    return sigmas


def _as_numbers(path: Path, given: Any) -> Float64:
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: its sigmas are not numbers; give them with --sigmas") from error


def _digest(*content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
