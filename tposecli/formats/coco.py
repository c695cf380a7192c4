"""Poses in COCO's files: results, of any tool or of AlphaPose, and datasets, ours or of annotation tools."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np

from tposecli.formats.base import (
    Facts,
    FrameRef,
    PoseCollector,
    PoseFile,
    bad_entry,
    flat,
    in_order,
    number,
    order_of,
    whole,
)
from tposecli.formats.coco_writer import PERSON
from tposecli.formats.json_stream import Member
from tposecli.types import UNTRACKED
from tposecli.utils.errors import InputError

Entry = Mapping[str, Any]

_NUMBER: Final = re.compile(r"\d+")


def read_results(path: Path, members: Iterable[Member]) -> PoseFile:
    """A list of ``{"image_id", "category_id", "keypoints", "score"}``, with ``bbox`` and ``track_id`` if there are any.

    An image's id is the number of the frame from 1, or from 0 where there is an image 0; AlphaPose's ``"12.jpg"`` is 12
    and counts from 0. Frames that nobody is in are not in such a list: those between others are taken for empty.

    Raises:
        InputError: An entry makes no sense.
    """
    people: PoseCollector | None = None
    ids: set[int] = set()
    named = False
    for member in members:
        if not member.number:
            continue
        where = f"result {member.number}"
        try:
            entry = _object(member.value)
            named = named or isinstance(entry.get("image_id"), str)
            frame = _image_id(entry)
            numbers = flat(entry.get("keypoints"), entry.get("keypoint_scores"))
            facts = _facts(entry, "box" if "box" in entry and "bbox" not in entry else "bbox")
        except ValueError as error:
            raise bad_entry(path, where, str(error)) from error
        if entry.get("category_id", PERSON) != PERSON:
            continue
        people = people or PoseCollector(path, len(numbers) // 3)
        people.add(where, frame, numbers, facts)
        ids.add(frame)
    poses, _ = ({}, {}) if people is None else people.poses(order_of(path, None, people.count))
    first = 0 if named or 0 in ids else 1
    stamps = tuple(FrameRef(index + first, index) for index in _run(path, ids, first))
    return PoseFile(path, "COCO results", stamps, poses, tracked=people is not None and people.tracked)


MAX_FRAMES: Final = 10_000_000
"""Frames of a video that a list of results can be about; 46 hours at 60 frames a second."""


def _run(path: Path, ids: set[int], first: int) -> Iterable[int]:
    """Indices of the frames from the first to the last that somebody is in; of numbered pictures only those."""
    if ids and min(ids) < 0:
        raise InputError(f"{path}: has an image {min(ids)}; frames are numbered from 0 or 1")
    last = max(ids, default=first - 1)
    return range(last - first + 1) if last < MAX_FRAMES else sorted(key - first for key in ids)


@dataclass(slots=True)
class _Dataset:
    """What was come across so far: annotations may stand before or behind images and categories.

    Attributes:
        shown: People by category, in the coordinates that a dataset shows.
        raw: The same as measured, where the dataset says both.
    """

    path: Path
    images: list[Entry] = field(default_factory=list)
    categories: list[Entry] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    shown: dict[int, PoseCollector] = field(default_factory=dict)
    raw: dict[int, PoseCollector] = field(default_factory=dict)


def read_dataset(path: Path, members: Iterable[Member]) -> PoseFile:
    """``{"images", "annotations", "categories"}``, ours or anybody's.

    An image is the frame ``frame_index`` (or ``frame_id``, from 0); where none says so, they are frames in the order of
    the list, or pictures. ``keypoint_scores`` are ours; elsewhere labelled joints (v = 1 or 2) score 1. Of ours,
    ``raw_keypoints`` are what was measured. Crowds are left out.

    Raises:
        InputError: An entry makes no sense.
    """
    found = _Dataset(path)
    for member in members:
        where = f"{member.key} {member.number}"
        try:
            if member.key == "info" and isinstance(member.value, dict):
                found.info = {key: value for key, value in member.value.items() if key != "description"}
            elif member.number and member.key in ("images", "categories"):
                getattr(found, member.key).append(_object(member.value))
            elif member.number and member.key == "annotations":
                _annotation(found, f"annotation {member.number}", _object(member.value))
        except ValueError as error:
            raise bad_entry(path, where, str(error)) from error
    stamps, stills = _stamps(found)
    return _finished(found, stamps, stills)


def _finished(found: _Dataset, stamps: tuple[FrameRef, ...], stills: bool) -> PoseFile:
    """The whole file, once all of it was seen."""
    category = _person_category(found)
    people = found.shown.get(category)
    if people is None:
        return PoseFile(found.path, "COCO dataset", stamps, {}, info=found.info, stills=stills)
    order = order_of(found.path, _names(found, category), people.count)
    shown, area = people.poses(order)
    measured = found.raw[category].poses(order)[0] if category in found.raw else {}
    unknown = shown.keys() - {stamp.id for stamp in stamps}
    if unknown:
        raise InputError(f"{found.path}: people are in image {min(unknown)}, which is not among its images")
    both = [(key, len(poses)) for key, poses in shown.items()] == [(key, len(poses)) for key, poses in measured.items()]
    return PoseFile(
        found.path,
        "COCO dataset",
        stamps,
        measured if both else shown,
        shown if both else None,
        area,
        found.info,
        stills,
        people.tracked and not stills,
    )


def _annotation(found: _Dataset, where: str, entry: Entry) -> None:
    """Take one annotation; those without keypoints, crowds, and people whom smoothing put in are passed over."""
    if entry.get("iscrowd") or not entry.get("keypoints") or entry.get("raw_keypoints", ()) is None:
        return
    frame, scores = whole(entry.get("image_id"), "image_id"), entry.get("keypoint_scores")
    category = whole(entry.get("category_id", PERSON), "category_id")
    facts = _facts(entry, "bbox")
    for kind, key in ((found.shown, "keypoints"), (found.raw, "raw_keypoints")):
        if key in entry:
            numbers = _scored(flat(entry[key]), scores)
            kind.setdefault(category, PoseCollector(found.path, len(numbers) // 3)).add(where, frame, numbers, facts)


def _person_category(found: _Dataset) -> int:
    """The category of people: the one called so, else the first that has keypoints, else COCO's."""
    named = [category.get("id") for category in found.categories if category.get("name") == "person"]
    others = [category.get("id") for category in found.categories if category.get("keypoints")]
    return next((key for key in (*named, *others, *found.shown) if isinstance(key, int) and key in found.shown), PERSON)


def _names(found: _Dataset, key: int) -> list[Any] | None:
    """Names of the keypoints, if the category gives them."""
    names = next((category.get("keypoints") for category in found.categories if category.get("id") == key), None)
    return names if isinstance(names, list) else None


def _scored(numbers: list[Any], scores: Any) -> list[Any]:
    """x, y, score in the place of x, y, v where there are scores."""
    if scores is None:
        return numbers
    if not isinstance(scores, list) or 3 * len(scores) != len(numbers):
        raise ValueError("it has not one of keypoint_scores for each keypoint")
    numbers = list(numbers)
    numbers[2::3] = scores
    return numbers


def _facts(entry: Entry, box: str) -> Facts:
    """Everything of a person but the keypoints; ``box`` is the key of [x, y, width, height]."""
    corners: tuple[float, ...] = (np.nan,) * 4
    given = entry.get(box)
    if given is not None:
        if not isinstance(given, list) or len(given) != 4:
            raise ValueError(f"expected {box} as [x, y, width, height]")
        x, y, width, height = (number(value) for value in given)
        corners = x, y, x + width, y + height
    return Facts(corners, number(entry.get("score")), area=number(entry.get("area")), track=_track(entry))


def _track(entry: Entry) -> int:
    """The person's id: ours, CVAT's, or AlphaPose's."""
    attributes = entry.get("attributes")
    inner = attributes.get("track_id") if isinstance(attributes, dict) else None
    given = next((value for value in (entry.get("track_id"), inner, entry.get("idx")) if value is not None), UNTRACKED)
    return whole(given, "track_id")


def _image_id(entry: Entry) -> int:
    """The number of the image: as it is, or the last one in the name of a picture."""
    value = entry.get("image_id")
    if isinstance(value, str):
        digits = _NUMBER.findall(PurePath(value).stem)
        if not digits:
            raise ValueError(f"image_id {value!r} holds no number")
        return int(digits[-1])
    return whole(value, "image_id")


def _object(value: Any) -> Entry:
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


def _stamps(found: _Dataset) -> tuple[tuple[FrameRef, ...], bool]:
    """The images as frames, and whether they are pictures."""
    key = next((key for key in ("frame_index", "frame_id") if all(key in image for image in found.images)), None)
    names = [str(image.get("file_name", "")) for image in found.images]
    stills = key is None and all(names) and len(set(names)) == len(names)
    stamps = []
    for place, (image, name) in enumerate(zip(found.images, names, strict=True)):
        try:
            stamps.append(_stamp(image, place if key is None else whole(image[key], key), name))
        except ValueError as error:
            raise bad_entry(found.path, f"image {place + 1}", str(error)) from error
    for what in ("id", "index"):
        seen = [getattr(stamp, what) for stamp in stamps]
        if len(set(seen)) < len(seen):
            raise InputError(f"{found.path}: two of its images have the same {what}; give each its own")
    return in_order(stamps), stills


def _stamp(image: Entry, index: int, name: str) -> FrameRef:
    size = image.get("width"), image.get("height")
    size_wh = None if None in size else (whole(size[0], "width"), whole(size[1], "height"))
    if size_wh is not None and min(size_wh) < 1:
        size_wh = None
    pts, time_s = image.get("pts"), number(image.get("time_s"))
    return FrameRef(
        whole(image.get("id"), "id"),
        index,
        name,
        None if pts is None else whole(pts, "pts"),
        time_s if np.isfinite(time_s) else None,
        size_wh,
    )
