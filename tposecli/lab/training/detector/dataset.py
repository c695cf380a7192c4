"""Read annotated photos for training the person detector, with every person outlined by polygons.

Outlines serve three purposes: people can be cut out and pasted elsewhere; the visible box of a person who is cut by an
edge or hidden by another is exact; and sets whose boxes enclose only the joints get boxes of the whole body, as in
COCO.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tposecli.evaluation.coco.keypoint_set import numbers
from tposecli.lab.training.shared import half_slice
from tposecli.sources.images import read_image
from tposecli.types import Float32, Image
from tposecli.utils.coco_records import Id, find_person_category, record_id, used_categories
from tposecli.utils.errors import InputError
from tposecli.utils.files import read_whole, safe_relative_name

Polygon = Float32
"""(P, 2) corners, pixels."""
Json = dict[str, Any]

INVALID_ENTRY = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)
"""Exceptions that a malformed entry may raise."""

LIMBS = ((5, 7, 0.15), (6, 8, 0.15), (11, 13, 0.22), (12, 14, 0.22), (13, 15, 0.16), (14, 16, 0.16))
"""Keypoint, keypoint, and half the limb's width relative to the torso's length."""
ENDS = ((7, 9, 0.12, 0.35), (8, 10, 0.12, 0.35), (13, 15, 0.15, 0.22), (14, 16, 0.15, 0.22))
"""Lower limbs likewise, and the share of their length by which they extend beyond wrist or ankle for hand or foot."""
TORSO = (5, 6, 12, 11)
MIN_JOINTS = 8
"""Number of annotated joints from which a body is outlined; otherwise its box is used."""
MIN_CUT = 60
"""Minimum size of people that are cut out, pixels: enlarged, smaller ones would be a blur."""


@dataclass(frozen=True)
class BoxedPerson:
    """One annotated person.

    Attributes:
        box: (4,) left, top, right, bottom of the whole visible body, pixels.
        outline: Polygons that together cover the visible body.
        cuttable: Whether the outline is good enough to cut the person out.
        given: (4,) the box given in the annotation.
        area: The area given in the annotation, square pixels.
    """

    box: Float32
    outline: tuple[Polygon, ...]
    cuttable: bool
    given: Float32
    area: float


@dataclass(frozen=True)
class Photo:
    """One annotated photo, decoded on first access.

    Attributes:
        path: The image file.
        people: The annotated people.
        crowds: (C, 4) regions annotated as crowds, pixels.
        complete: Whether every person in the photo is annotated.
    """

    path: Path
    people: tuple[BoxedPerson, ...]
    crowds: Float32
    complete: bool

    @cached_property
    def image(self) -> Image:
        """The pixels, (H, W, 3) uint8 RGB.

        Raises:
            InputError: The file cannot be read.
        """
        return read_image(self.path, honour_exif=False)


@dataclass(frozen=True)
class PhotoSource:
    """The data of one ``--data`` option.

    Attributes:
        name: Name in logs.
        photos: The photos.
        weight: How often photos are drawn from it, relative to the other sources.
    """

    name: str
    photos: tuple[Photo, ...]
    weight: float = 1.0


def read_photos(
    annotations: Path, images: Path, half: str = "", partial: bool = False
) -> tuple[tuple[Photo, ...], Counter[str]]:
    """Read a COCO person file, and count its bad annotations, which are left out, by what is wrong with them.

    Args:
        annotations: COCO ``instances`` or ``person_keypoints`` file. If annotations have a ``head_top``, their boxes
            are assumed to enclose only the joints, and other people to be unannotated (Leeds Sports Poses).
        images: Folder of the images.
        half: ``even`` or ``odd``: read only images at those positions among the sorted image ids.
        partial: In every photo, people may be unannotated.

    Raises:
        InputError: The file is missing or not such a file.
    """
    try:
        data: Json = json.loads(read_whole(annotations))
        rows = sorted(data["images"], key=lambda row: _order(record_id(row["id"])))
        by_image: dict[Id, list[Json]] = {
            record_id(row["id"]): [] for row in rows if safe_relative_name(row["file_name"])
        }
        person = find_person_category(data.get("categories"), used_categories(data["annotations"]))
        bad: Counter[str] = Counter()
        for annotation in data["annotations"]:
            category = record_id(annotation.get("category_id", person.id), "category_id")
            if category in person.ids:
                by_image.setdefault(record_id(annotation["image_id"]), []).append(annotation)
            else:
                bad[f"of another category, {person.describe(category)}: left out"] += 1
    except (OSError, *INVALID_ENTRY, RecursionError) as error:
        raise InputError(
            f"{annotations}: not a readable COCO annotation file ({error!r}); write or download it again"
        ) from error
    photos = []
    for row in rows[half_slice(half)]:
        path = images / row["file_name"]
        if _is_file(path):
            photo = _photo(path, _size_wh(row), by_image[record_id(row["id"])], bad)
            photos.append(replace(photo, complete=photo.complete and not partial))
        else:
            bad["image missing"] += 1
    return tuple(photos), bad


def _order(key: Id) -> tuple[bool, Id]:
    """Return the sort key of an id: numbers before text."""
    return isinstance(key, str), key


def _is_file(path: Path) -> bool:
    """Return whether there is such a file; names that no file system allows are of none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _photo(path: Path, size_wh: tuple[float, float], annotations: Iterable[Json], bad: Counter[str]) -> Photo:
    people, crowds, complete = [], [], True
    for annotation in annotations:
        try:
            box = _box(annotation["bbox"], size_wh)
            if (box[2:] - box[:2]).min() < 1:
                bad["box empty or outside the image"] += 1
            elif annotation.get("iscrowd"):
                crowds.append(box)
            elif "head_top" in annotation:
                complete = False
                people.append(_person_of_joints(annotation, box, bad))
            else:
                people.append(_person_of_segments(annotation, box, bad))
        except INVALID_ENTRY:
            bad["annotation malformed"] += 1
    return Photo(path, tuple(people), np.array(crowds, np.float32).reshape(-1, 4), complete)


def _size_wh(row: Json) -> tuple[float, float]:
    """Return width and height of an image according to the file, infinite if they are malformed."""
    try:
        width, height = numbers([row["width"], row["height"]])
    except INVALID_ENTRY:
        return math.inf, math.inf
    return width, height


def _box(given: Any, size_wh: tuple[float, float]) -> Float32:
    """Return the (4,) corners of a box clipped to the image; raise one of ``INVALID_ENTRY`` if it is malformed."""
    x, y, width, height = numbers(given, 4)
    return np.array([x, y, x + width, y + height]).clip(0, [*size_wh, *size_wh]).astype(np.float32)


def _person_of_segments(annotation: Json, box: Float32, bad: Counter[str]) -> BoxedPerson:
    area, longest = float(annotation["area"]), float((box[2:] - box[:2]).max())
    segments = annotation.get("segmentation")
    if not isinstance(segments, list) or not segments:
        bad["no outline: box used"] += 1
        return BoxedPerson(box, (_corners(box),), False, box, area)
    return BoxedPerson(
        box, tuple(np.array(s, np.float32).reshape(-1, 2) for s in segments), longest >= MIN_CUT, box, area
    )


def _person_of_joints(annotation: Json, box: Float32, bad: Counter[str]) -> BoxedPerson:
    joints = np.array(annotation["keypoints"], np.float32).reshape(-1, 3)
    known = joints[:, 2] > 0
    head, area = _head(annotation), float(annotation["area"])
    if known.sum() < MIN_JOINTS or head is None or not known[list(TORSO)].all():
        bad["joints missing: box used"] += 1
        return BoxedPerson(_grown(box), (_corners(_grown(box)),), False, box, area)
    outline = body_outline(joints[:, :2], known, head, float((box[2:] - box[:2]).max()))
    corners = np.concatenate(outline)
    whole = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    if np.abs(whole - box).max() > 0.5 * (box[2:] - box[:2]).max():
        bad["joints far from the box: box used"] += 1
        return BoxedPerson(_grown(box), (_corners(_grown(box)),), False, box, area)
    return BoxedPerson(whole, tuple(outline), bool(known[5:].all()), box, area)


def _head(annotation: Json) -> Float32 | None:
    """Return (2, 2) neck and head top; None if either is unknown."""
    head = np.array([annotation.get("neck") or (0, 0), annotation.get("head_top") or (0, 0)], np.float32)
    return head if (np.abs(head).sum(axis=1) > 0).all() else None


def _grown(box: Float32, part: float = 0.06) -> Float32:
    margin = (box[2:] - box[:2]).max() * part
    return np.concatenate([box[:2] - margin, box[2:] + margin]).astype(np.float32)


def _corners(box: Float32) -> Polygon:
    return np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]], np.float32)


def body_outline(xy: Float32, known: NDArray[np.bool_], head: Float32, extent: float) -> list[Polygon]:
    """Return polygons that cover a body with these joints: capsules for the limbs, and the torso.

    Args:
        xy: (17, 2) keypoints; the five of the face are not used.
        known: (17,) which of them are annotated; shoulders and hips must be.
        head: (2, 2) neck and top of the head.
        extent: Longer side of the person's box, pixels: a lower bound for the torso when it is foreshortened.
    """
    torso = float(np.linalg.norm(xy[[5, 6]].mean(axis=0) - xy[[11, 12]].mean(axis=0)))
    unit = max(torso, 0.22 * extent)
    outline = [capsule(xy[a], xy[b], width * unit) for a, b, width in LIMBS if known[a] and known[b]]
    for a, b, width, beyond in ENDS:
        if known[a] and known[b]:
            outline.append(capsule(xy[a], xy[b] + (xy[b] - xy[a]) * beyond, width * unit))
    outline += [capsule(xy[a], xy[b], 0.2 * unit) for a, b in ((5, 6), (6, 12), (12, 11), (11, 5), (5, 12))]
    neck, top = head
    size = max(float(np.linalg.norm(top - neck)), 0.3 * unit)
    outline.append(capsule(neck * 0.4 + top * 0.6, neck * 0.25 + top * 0.75, 0.38 * size))
    outline.append(xy[list(TORSO)].astype(np.float32))
    return outline


def capsule(start: Float32, end: Float32, radius: float, corners: int = 8) -> Polygon:
    """Return a polygon of ``2 * corners`` corners at distance ``radius`` around the segment ``start``-``end``."""
    along = np.arctan2(end[1] - start[1], end[0] - start[0])
    turn = np.linspace(-np.pi / 2, np.pi / 2, corners) + along
    cap = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius
    return np.concatenate([end + cap, start - cap]).astype(np.float32)


def turned(photo: Photo, quarters: int) -> Photo:
    """Return a photo turned by quarters of a circle against the clock; the pixels are shared with the photo."""
    sides = [photo.image.shape[1], photo.image.shape[0]]
    made = photo
    for _ in range(quarters):
        made = replace(
            made,
            people=tuple(_person_turned(person, sides[0]) for person in made.people),
            crowds=_boxes_turned(made.crowds, sides[0]),
        )
        sides.reverse()
    made.__dict__["image"] = np.rot90(photo.image, quarters)
    return made


def _person_turned(person: BoxedPerson, width: float) -> BoxedPerson:
    outline = tuple(_points_turned(polygon, width) for polygon in person.outline)
    box, given = _boxes_turned(np.stack([person.box, person.given]), width)
    return replace(person, box=box, outline=outline, given=given)


def _points_turned(xy: Float32, width: float) -> Float32:
    """Turn (P, 2) points with a photo of that width by a quarter of a circle against the clock."""
    return np.stack([xy[:, 1], width - xy[:, 0]], axis=1)


def _boxes_turned(xyxy: Float32, width: float) -> Float32:
    x0, y0, x1, y1 = xyxy.T
    return np.stack([y0, width - x1, y1, width - x0], axis=1)


def describe_bad(bad: Counter[str]) -> Sequence[str]:
    """Return a line for each kind of bad annotation, most common first."""
    return [f"{count} annotations: {what}" for what, count in bad.most_common()]
