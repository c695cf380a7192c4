"""COCO keypoint files: the images of a set, and the truth about the people in them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.problems import SENSELESS, Problems
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.hub.datasets.coco import annotation_file, download_hint, images_folder
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import safe_relative_name

Float64 = NDArray[np.float64]
Record = dict[str, Any]

COCO_SIGMAS: Final = (
    np.array((0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89))
    / 10
)
"""(17,) in double precision, to the last bit those of the COCO API."""

MAX_NUMBER: Final = 1e15
"""Numbers beyond this are taken for damage."""

AREA_OF_BOX: Final = 0.53
"""Area of a person as a share of the box's, where a file gives no areas (the COCO API's own stand-in)."""


@dataclass(frozen=True, slots=True)
class SetImage:
    """One image: its id, its file's name, width and height in pixels (infinite where the file does not say)."""

    id: int
    name: str
    size_wh: tuple[float, float]


@dataclass(frozen=True, slots=True)
class KeypointSet:
    """The images of a set and the people annotated in them.

    Attributes:
        title: What the set is called.
        images: In the file's order.
        people: Annotations of the people, by image id, in the file's order: ``id`` (from 1), ``bbox``, ``area``,
            ``iscrowd``, ``keypoints``, ``num_keypoints``, as the COCO API wants them.
        category: Id of the category of people.
        names: Of the K keypoints.
        sigmas: (K,) constants of object keypoint similarity.
        sha256: Digest of the images' ids and names and of the truth.
        has_truth: Whether people are annotated at all; not so in sets for test servers.
        known: Ids of all images of the file, those that ``--limit`` left out included.
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

    @property
    def keypoints(self) -> int:
        """K."""
        return len(self.sigmas)

    @property
    def ids(self) -> frozenset[int]:
        """Of the images."""
        return frozenset(image.id for image in self.images)

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return len(self.images) == len(self.known)

    def as_coco(self) -> Record:
        """A dataset for the COCO API, which may scribble on it."""
        return {
            "images": [{"id": image.id} for image in self.images],
            "annotations": [dict(person) for image in self.images for person in self.people.get(image.id, ())],
            "categories": [{"id": self.category, "name": "person"}],
        }

    def limited(self, limit: int | None, seed: int | None) -> KeypointSet:
        """The set with at most ``limit`` images: the first ones, or, with a seed, drawn at random and kept in order."""
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
        UsageError: There is no such file, or the sigmas are not one for each keypoint.
        InputError: The file is no COCO keypoint file.
    """
    path = annotation_path(data)
    content = read_json(path)
    annotations = content.get("annotations", []) if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not isinstance(content.get("images"), list):
        raise InputError(f"{path}: expected a COCO keypoint file with the lists 'images' and 'annotations'")
    images = _images(path, content["images"], problems)
    category = _category(content.get("categories"))
    people = _people(annotations, category.get("id", 1), {image.id for image in images}, problems)
    flat = [person for some in people.values() for person in some]
    sigmas = _sigmas(path, data.sigmas, category, {len(person["keypoints"]) // 3 for person in flat})
    facts = [[image.id, image.name] for image in images], flat, sigmas.tolist()
    found = KeypointSet(
        data.coco or path.stem,
        images,
        people,
        category.get("id", 1),
        _names(category, len(sigmas)),
        sigmas,
        _digest(facts),
        has_truth="annotations" in content,
        known=frozenset(image.id for image in images),
    )
    return found.limited(data.limit, data.seed)


def annotation_path(data: DataChoice) -> Path:
    """The annotation file of a set: named, or where the authors' layout has it."""
    if data.annotations is not None:
        return data.annotations
    return annotation_file(data.folder, str(data.coco))


def images_path(data: DataChoice) -> Path:
    """The folder of a set's pictures: named, or where the authors' layout has it.

    Raises:
        UsageError: It is not known.
    """
    if data.images is not None:
        return data.images
    if data.annotations is not None:
        raise UsageError(f"--annotations {data.annotations}: name the folder of its pictures with --images")
    return images_folder(data.folder, str(data.coco))


def read_json(path: Path) -> Any:
    """The JSON value in a file.

    Raises:
        UsageError: There is no such file.
        InputError: It cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; {download_hint(path) or 'check its name'}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error}); get it again") from error


def numbers(value: Any, count: int | None = None) -> list[float]:
    """A list of finite numbers, of that length if one is given.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise ValueError("not a list of the right length")
    if not all(isinstance(item, int | float) and abs(item) <= MAX_NUMBER for item in value):
        raise ValueError("not a list of numbers")
    return value


def _images(path: Path, entries: Sequence[Any], problems: Problems) -> tuple[SetImage, ...]:
    images: dict[int, SetImage] = {}
    for number, entry in enumerate(entries):
        try:
            size = float(entry.get("width", math.inf)), float(entry.get("height", math.inf))
            image = SetImage(int(entry["id"]), safe_relative_name(str(entry["file_name"])), size)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(SENSELESS, f"image {number} of {path.name}")
            continue
        images[image.id] = image
    if not images:
        raise InputError(f"{path}: names no images")
    return tuple(images.values())


def _category(entries: Any) -> Record:
    """The category whose instances have keypoints; COCO's category of people where the file does not say."""
    listed = entries if isinstance(entries, list) else []
    found = (entry for entry in listed if isinstance(entry, dict) and isinstance(entry.get("keypoints"), list))
    return next((entry for entry in found if isinstance(entry.get("id", 1), int)), {"id": 1})


def _names(category: Record, count: int) -> tuple[str, ...]:
    """Of the keypoints: the file's own, else COCO's, else numbers from 1."""
    names = category.get("keypoints")
    if isinstance(names, list) and len(names) == count:
        return tuple(str(name) for name in names)
    return KEYPOINTS if count == len(KEYPOINTS) else tuple(f"keypoint {number}" for number in range(1, count + 1))


def _people(entries: Sequence[Any], category: int, known: set[int], problems: Problems) -> dict[int, list[Record]]:
    """The people of each image; those of other categories and of images not listed are left out."""
    people: dict[int, list[Record]] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            if entry["category_id"] != category or entry["image_id"] not in known:
                continue
            people.setdefault(entry["image_id"], []).append(_person(entry, number))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(SENSELESS, f"annotation {number}")
    return people


def _person(entry: Record, number: int) -> Record:
    """What the COCO API needs to know of an annotation; numbered anew, because its own numbers may repeat or be 0."""
    box = numbers(entry["bbox"], 4)
    keypoints = numbers(entry["keypoints"])
    labelled = sum(visibility > 0 for visibility in keypoints[2::3])
    return {
        "id": number,
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "bbox": box,
        "area": float(entry["area"]) if "area" in entry else AREA_OF_BOX * box[2] * box[3],
        "iscrowd": int(entry.get("iscrowd", 0)),
        "keypoints": keypoints,
        "num_keypoints": int(entry.get("num_keypoints", labelled)),
    }


def _sigmas(path: Path, asked: Sequence[float] | None, category: Record, lengths: set[int]) -> Float64:
    """(K,) constants: those asked for, the file's own, or COCO's, in this order."""
    names = category.get("keypoints")
    wanted = len(names) if isinstance(names, list) else lengths.pop() if len(lengths) == 1 else len(COCO_SIGMAS)
    given = asked if asked is not None else category.get("sigmas")
    sigmas = COCO_SIGMAS if given is None else _as_numbers(path, given)
    if sigmas.shape != (wanted,) or not (np.isfinite(sigmas) & (sigmas > 0)).all():
        raise UsageError(
            f"{path}: {wanted} keypoints need {wanted} sigmas above 0, got {sigmas.size}; give them with --sigmas"
        )
    if lengths - {wanted}:
        raise InputError(f"{path}: people with {sorted(lengths - {wanted})[0]} keypoints, expected {wanted}")
    return sigmas


def _as_numbers(path: Path, given: Any) -> Float64:
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: its sigmas are no numbers; give them with --sigmas") from error


def _digest(*facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
