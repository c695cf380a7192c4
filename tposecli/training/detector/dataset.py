"""Annotated photos for the person detector: read, checked, and every person outlined by polygons.

Outlines serve three ends: people can be cut out and pasted elsewhere, the visible box of a person cut by an edge or
hidden by another is exact, and sets whose boxes were made from joints get boxes round the whole body, as COCO's are.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.evaluation.coco.keypoint_set import numbers
from tposecli.types import Float32, Image
from tposecli.utils.errors import InputError
from tposecli.utils.files import safe_relative_name

Polygon = Float32
"""(P, 2) corners, pixels."""
Json = dict[str, Any]

SENSELESS = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)
"""What an entry raises that is not as it should be."""

LIMBS = ((5, 7, 0.15), (6, 8, 0.15), (11, 13, 0.22), (12, 14, 0.22), (13, 15, 0.16), (14, 16, 0.16))
"""Keypoint to keypoint, and half the limb's width as a part of the torso's length."""
ENDS = ((7, 9, 0.12, 0.35), (8, 10, 0.12, 0.35), (13, 15, 0.15, 0.22), (14, 16, 0.15, 0.22))
"""Lower limbs, lengthened beyond the wrist or ankle by a part of their length for the hand or foot."""
TORSO = (5, 6, 12, 11)
MIN_JOINTS = 8
MIN_CUT = 60
"""People smaller than so many pixels are not cut out: they would be pasted as a blur."""


@dataclass(frozen=True)
class BoxedPerson:
    """One annotated person.

    Attributes:
        box: (4,) left, top, right, bottom of the whole visible body, pixels.
        outline: Polygons that together cover the visible body.
        cuttable: The outline is good enough to cut the person out along it.
        given: (4,) the annotation's own box.
        area: The annotation's own area, square pixels.
    """

    box: Float32
    outline: tuple[Polygon, ...]
    cuttable: bool
    given: Float32
    area: float


@dataclass(frozen=True)
class Photo:
    """One annotated picture, decoded when first looked at.

    Attributes:
        people: Those annotated.
        crowds: (C, 4) regions where nobody was told apart.
        complete: Every person is annotated; where not, others may be in the picture.
    """

    path: Path
    people: tuple[BoxedPerson, ...]
    crowds: Float32
    complete: bool

    @cached_property
    def image(self) -> Image:
        """(H, W, 3) uint8 RGB.

        Raises:
            InputError: The file cannot be read.
        """
        bgr = cv2.imread(str(self.path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if bgr is None:
            raise InputError(f"{self.path}: not a readable picture; check the images folder given with --data")
        return np.ascontiguousarray(bgr[:, :, ::-1])


@dataclass(frozen=True)
class PhotoSource:
    """One ``--data`` of the command.

    Attributes:
        photos: What it holds.
        weight: How often it is drawn from, relative to the others.
    """

    name: str
    photos: tuple[Photo, ...]
    weight: float = 1.0


def read_photos(annotations: Path, images: Path, half: str = "") -> tuple[tuple[Photo, ...], Counter[str]]:
    """Read a COCO person file; bad annotations are left out and counted by what is wrong with them.

    Args:
        annotations: COCO ``instances`` or ``person_keypoints`` file. Where annotations have a ``head_top``, boxes are
            taken to be made from joints and other people to be unannotated (Leeds Sports Poses).
        images: Folder of the pictures.
        half: ``even`` or ``odd``: only images at those positions among the sorted image ids.

    Raises:
        InputError: The file is missing or not such a file.
    """
    try:
        data: Json = json.loads(annotations.read_text(encoding="utf-8"))
        rows = sorted(data["images"], key=lambda row: row["id"])
        by_image: dict[int, list[Json]] = {row["id"]: [] for row in rows if safe_relative_name(row["file_name"])}
        for annotation in data["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
    except (OSError, *SENSELESS, RecursionError) as error:
        raise InputError(f"{annotations}: not a readable COCO annotation file ({error!r})") from error
    bad: Counter[str] = Counter()
    photos = []
    for row in rows[{"": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[half]]:
        path = images / row["file_name"]
        if path.is_file():
            photos.append(_photo(path, _size_wh(row), by_image[row["id"]], bad))
        else:
            bad["picture missing"] += 1
    return tuple(photos), bad


def _photo(path: Path, size_wh: tuple[float, float], annotations: Iterable[Json], bad: Counter[str]) -> Photo:
    people, crowds, complete = [], [], True
    for annotation in annotations:
        try:
            box = _box(annotation["bbox"], size_wh)
            if (box[2:] - box[:2]).min() < 1:
                bad["box empty or outside the picture"] += 1
            elif annotation.get("iscrowd"):
                crowds.append(box)
            elif "head_top" in annotation:
                complete = False
                people.append(_person_of_joints(annotation, box, bad))
            else:
                people.append(_person_of_segments(annotation, box, bad))
        except SENSELESS:
            bad["annotation that makes no sense"] += 1
    return Photo(path, tuple(people), np.array(crowds, np.float32).reshape(-1, 4), complete)


def _size_wh(row: Json) -> tuple[float, float]:
    """Width and height that the file claims of a picture, infinite where it makes no sense."""
    try:
        width, height = numbers([row["width"], row["height"]])
    except SENSELESS:
        return math.inf, math.inf
    return width, height


def _box(given: Any, size_wh: tuple[float, float]) -> Float32:
    """(4,) corners of a box within the picture; raises one of ``SENSELESS``."""
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
    """(2, 2) neck and head top, None where either is unknown."""
    head = np.array([annotation.get("neck") or (0, 0), annotation.get("head_top") or (0, 0)], np.float32)
    return head if (np.abs(head).sum(axis=1) > 0).all() else None


def _grown(box: Float32, part: float = 0.06) -> Float32:
    margin = (box[2:] - box[:2]).max() * part
    return np.concatenate([box[:2] - margin, box[2:] + margin]).astype(np.float32)


def _corners(box: Float32) -> Polygon:
    return np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]], np.float32)


def body_outline(xy: Float32, known: NDArray[np.bool_], head: Float32, extent: float) -> list[Polygon]:
    """Polygons that cover a body with these joints: limbs as capsules, the torso between shoulders and hips.

    Args:
        xy: (17, 2) keypoints; the five of the face are not used.
        known: (17,) which of them are annotated; shoulders and hips must be.
        head: (2, 2) neck and top of the head.
        extent: Longer side of the person's box, pixels: a bound below for the torso when it is foreshortened.
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
    """A polygon with ``2 * corners`` corners round the segment from ``start`` to ``end``, ``radius`` away from it."""
    along = np.arctan2(end[1] - start[1], end[0] - start[0])
    turn = np.linspace(-np.pi / 2, np.pi / 2, corners) + along
    cap = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius
    return np.concatenate([end + cap, start - cap]).astype(np.float32)


def describe_bad(bad: Counter[str]) -> Sequence[str]:
    """One line for each kind of bad annotation, commonest first."""
    return [f"{count} annotations: {what}" for what, count in bad.most_common()]
