"""Read COCO JSON, also of other tools: a keypoint dataset, or a list of results."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np

from tposecli.formats.base import (
    FrameRef,
    PersonAttributes,
    PoseCollector,
    PoseFile,
    PoseSource,
    bad_entry,
    by_frame_index,
    flat_keypoints,
    keypoint_order,
    lenient_integer,
    optional_number,
)
from tposecli.formats.frame_names import default_name
from tposecli.formats.frame_numbers import MAX_FRAMES
from tposecli.formats.json_stream import Member
from tposecli.sources import IMAGE_SUFFIXES
from tposecli.types import UNTRACKED
from tposecli.utils.coco_records import COCO_PERSON, MAX_DIGITS, Id, PersonCategory, find_person_category, record_id
from tposecli.utils.errors import InputError

Entry = Mapping[str, Any]

TEXT_IDS: Final = -(1 << 48)
"""Number of the first image whose id is text."""

log = logging.getLogger("tposecli")

_NUMBER: Final = re.compile(r"\d+")


def is_coco(member: Member) -> bool:
    """Check whether a JSON file with this member is a COCO dataset or a list of COCO results."""
    if member.key in ("images", "annotations"):
        return True
    return member.key == "" and member.number == 1 and isinstance(member.value, dict) and "image_id" in member.value


def read_coco(source: PoseSource) -> PoseFile:
    """Read a COCO dataset, or a list of COCO results.

    Raises:
        InputError: An entry is invalid.
    """
    first = next(iter(source.json), None)
    return _read_results(source) if first is not None and first.key == "" else _read_dataset(source)


def _read_results(source: PoseSource) -> PoseFile:
    """Read a list of ``{"image_id", "category_id", "keypoints", "score"}``, with ``bbox`` and ``track_id`` if present.

    An image's id is the number of the frame from 1, or from 0 if there is an image 0; AlphaPose's ``"12.jpg"`` is 12
    and counts from 0. Such a list does not contain empty frames: those between others are assumed to be empty.
    """
    path = source.path
    by_category: dict[Id, PoseCollector] = {}
    keys: dict[int, Id] = {}
    for member in source.json:
        if not member.number:
            continue
        place = f"result {member.number}"
        try:
            entry = _object(member.value)
            key = _key(entry.get("image_id"), "image_id")
            frame_id = _frame_number(key)
            category = _key(entry.get("category_id", COCO_PERSON), "category_id")
            numbers = flat_keypoints(entry.get("keypoints"), entry.get("keypoint_scores"))
            attributes = _attributes(entry, "box" if "box" in entry and "bbox" not in entry else "bbox")
        except ValueError as error:
            raise bad_entry(path, place, str(error)) from error
        if keys.setdefault(frame_id, key) != key:
            raise InputError(
                f"{path}: the images {keys[frame_id]!r} and {key!r} have the same number; "
                "give the frames of each recording a file of their own"
            )
        by_category.setdefault(category, PoseCollector(path, len(numbers) // 3))
        by_category[category].add(place, frame_id, numbers, attributes)
    people = _people_of(path, (), by_category, Counter())[1]
    poses, _ = ({}, {}) if people is None else people.poses(keypoint_order(path, None, people.count))
    names = {frame_id: key for frame_id, key in keys.items() if isinstance(key, str)}
    ids = set() if people is None else people.frame_ids
    first = 0 if names or 0 in ids else 1
    frames = tuple(FrameRef(index + first, index) for index in _frame_indices(path, ids, first))
    tracked = people is not None and people.tracked
    return PoseFile(path, "COCO results", frames, poses, tracked=tracked, image_names=names)


def _people_of(
    path: Path, categories: Sequence[Entry], by_category: Mapping[Id, PoseCollector], bare: Counter[Id]
) -> tuple[PersonCategory, PoseCollector | None]:
    """Return the category of people and all people in it; what is left out is said.

    Args:
        path: The file.
        categories: Its list of categories.
        by_category: Its annotations with keypoints.
        bare: The number of those without keypoints, by category.

    Raises:
        InputError: It is not clear which category is people, or there are annotations and no poses.
    """
    used = [key for key, people in by_category.items() if len(people)]
    try:
        person = find_person_category(categories, used, keypoints=True, sole=True)
    except ValueError as error:
        if used:
            raise InputError(f"{path}: {error}; name one of them person") from error
        person = PersonCategory(frozenset())
    chosen = [by_category[key] for key in used if key in person.ids]
    others = Counter({key: len(by_category[key]) for key in used if key not in person.ids})
    if not chosen and (others or bare):
        found = person.describe_all((others + bare).elements())
        raise InputError(
            f"{path}: no keypoints of people, only annotations of other kinds ({found}); name a keypoint file"
        )
    if not person.is_person:
        log.info("%s: its only poses are of %s", path, person.title)
    others += Counter({key: count for key, count in bare.items() if key not in person.ids})
    if others:
        log.info("%s: left out annotations of other categories: %s", path, person.describe_all(others.elements()))
    without = bare.total() - sum(count for key, count in bare.items() if key not in person.ids)
    if without:
        log.info("%s: left out people without keypoints: %d", path, without)
    for more in chosen[1:]:
        chosen[0].extend(more)
    return person, chosen[0] if chosen else None


def _frame_indices(path: Path, ids: set[int], first: int) -> Iterable[int]:
    """Return all frame indices up to the last one with people; of numbered images only those with people."""
    if ids and min(ids) < 0:
        raise InputError(f"{path}: has an image {min(ids)}; frames are numbered from 0 or 1")
    last = max(ids, default=first - 1)
    return range(last - first + 1) if last < MAX_FRAMES else sorted(key - first for key in ids)


@dataclass(slots=True)
class _Dataset:
    """What was read of a dataset so far: annotations may come before or after images and categories.

    Attributes:
        people: People by category, in the coordinates of ``keypoints``.
        raw: The same people in the coordinates of ``raw_keypoints``, if the dataset has both.
        bare: How many annotations have no keypoints, by category.
        numbers: A number for each image whose id is text; all are below those of files.
    """

    path: Path
    images: list[Entry] = field(default_factory=list)
    categories: list[Entry] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    people: dict[Id, PoseCollector] = field(default_factory=dict)
    raw: dict[Id, PoseCollector] = field(default_factory=dict)
    bare: Counter[Id] = field(default_factory=Counter)
    numbers: dict[str, int] = field(default_factory=dict)

    def image_number(self, value: Any, what: str) -> int:
        """Return the id of an image as a number.

        Raises:
            ValueError: It is neither a number nor text.
        """
        key = _key(value, what)
        return self.numbers.setdefault(key, TEXT_IDS - len(self.numbers)) if isinstance(key, str) else key


def _read_dataset(source: PoseSource) -> PoseFile:
    """Read ``{"images", "annotations", "categories"}``, ours or another tool's.

    An image is the frame ``frame_index`` (or ``frame_id``, from 0); without these, the images are frames in the order
    of the list, or stills. ``keypoint_scores`` is our extension; elsewhere labelled joints (v = 1 or 2) score 1.
    ``raw_keypoints``, also ours, are the unsmoothed coordinates. Crowds are left out.
    """
    dataset = _Dataset(source.path)
    for member in source.json:
        place = f"{member.key} {member.number}"
        try:
            if member.key == "info" and isinstance(member.value, dict):
                dataset.info = {key: value for key, value in member.value.items() if key != "description"}
            elif member.number and member.key in ("images", "categories"):
                getattr(dataset, member.key).append(_object(member.value))
            elif member.number and member.key == "annotations":
                _add_annotation(dataset, f"annotation {member.number}", _object(member.value))
        except ValueError as error:
            raise bad_entry(source.path, place, str(error)) from error
    frames, stills, ordered = _frames(dataset)
    return replace(_pose_file(dataset, frames, stills), ordered=ordered)


def _pose_file(dataset: _Dataset, frames: tuple[FrameRef, ...], stills: bool) -> PoseFile:
    """Return the content of a dataset that was read to its end."""
    person, people = _people_of(dataset.path, dataset.categories, dataset.people, dataset.bare)
    if people is None:
        return PoseFile(dataset.path, "COCO dataset", frames, {}, info=dataset.info, stills=stills)
    names = person.record.get("keypoints")
    order = keypoint_order(dataset.path, names if isinstance(names, list) else None, people.count)
    poses, area = people.poses(order)
    ours = [dataset.raw[key] for key in dataset.raw if key in person.ids]
    raw = ours[0].poses(order)[0] if len(ours) == 1 else {}
    unknown = poses.keys() - {frame.id for frame in frames}
    if unknown:
        texts = {number: text for text, number in dataset.numbers.items()}
        image = next((texts[number] for number in unknown if number in texts), min(unknown))
        raise InputError(
            f"{dataset.path}: people are in image {image!r}, which is not among its images; write the file again"
        )
    # People whom gap filling added have no raw keypoints; then the two cannot be matched person by person.
    both = [(key, len(each)) for key, each in poses.items()] == [(key, len(each)) for key, each in raw.items()]
    return PoseFile(
        dataset.path,
        "COCO dataset",
        frames,
        raw if both else poses,
        poses if both else None,
        area,
        dataset.info,
        stills,
        people.tracked and not stills,
    )


def _add_annotation(dataset: _Dataset, place: str, entry: Entry) -> None:
    """Add one annotation; crowds, people without keypoints, and people whom gap filling added are skipped."""
    if entry.get("iscrowd") or entry.get("raw_keypoints", ()) is None:
        return
    category = _key(entry.get("category_id", COCO_PERSON), "category_id")
    if not entry.get("keypoints"):
        dataset.bare[category] += 1
        return
    frame_id, scores = dataset.image_number(entry.get("image_id"), "image_id"), entry.get("keypoint_scores")
    attributes = _attributes(entry, "bbox")
    for people, key in ((dataset.people, "keypoints"), (dataset.raw, "raw_keypoints")):
        if key in entry:
            numbers = _with_scores(flat_keypoints(entry[key]), scores)
            collector = people.setdefault(category, PoseCollector(dataset.path, len(numbers) // 3))
            collector.add(place, frame_id, numbers, attributes)


def _with_scores(numbers: list[Any], scores: Any) -> list[Any]:
    """Replace the v of each x, y, v by the keypoint's score, if there are scores."""
    if scores is None:
        return numbers
    if not isinstance(scores, list) or 3 * len(scores) != len(numbers):
        raise ValueError("keypoint_scores: expected one score per keypoint")
    numbers = list(numbers)
    numbers[2::3] = scores
    return numbers


def _attributes(entry: Entry, box_key: str) -> PersonAttributes:
    """Return everything but the keypoints; ``box_key`` is the key of [x, y, width, height]."""
    corners: tuple[float, ...] = (np.nan,) * 4
    box = entry.get(box_key)
    if box is not None:
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError(f"expected {box_key} as [x, y, width, height]")
        x, y, width, height = (optional_number(value, box_key) for value in box)
        corners = x, y, x + width, y + height
    return PersonAttributes(
        corners,
        optional_number(entry.get("score"), "score"),
        area=optional_number(entry.get("area"), "area"),
        track_id=_track_id(entry),
    )


def _track_id(entry: Entry) -> int:
    """Return the track id: ours, CVAT's, or AlphaPose's."""
    attributes = entry.get("attributes")
    inner = attributes.get("track_id") if isinstance(attributes, dict) else None
    given = next((value for value in (entry.get("track_id"), inner, entry.get("idx")) if value is not None), UNTRACKED)
    return lenient_integer(given, "track_id")


def _key(value: Any, what: str) -> Id:
    """Return an id, also one that is the only element of a list.

    Raises:
        ValueError: It is neither a whole number nor text.
    """
    return record_id(value[0] if isinstance(value, list) and len(value) == 1 else value, what)


def _frame_number(key: Id) -> int:
    """Return the number of an image: its id or, of a file name, the last number in it.

    Raises:
        ValueError: The name contains none.
    """
    if isinstance(key, int):
        return key
    digits = _NUMBER.findall(PurePath(key).stem)
    if not digits:
        raise ValueError(f"image_id {key!r} contains no number")
    return int(digits[-1][-MAX_DIGITS:])


def _object(value: Any) -> Entry:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def _frames(dataset: _Dataset) -> tuple[tuple[FrameRef, ...], bool, bool]:
    """Return the images as frames, whether they are stills, and whether only their order numbers them."""
    images = dataset.images
    index_key = next((key for key in ("frame_index", "frame_id") if all(key in image for image in images)), None)
    names = [str(image.get("file_name", "")) for image in images]
    distinct = len(set(names)) == len(names)
    stills = index_key is None and all(names) and distinct
    frames = []
    for place, (image, name) in enumerate(zip(images, names, strict=True)):
        try:
            index = place if index_key is None else lenient_integer(image[index_key], index_key)
            number = dataset.image_number(image.get("id"), "id")
            frames.append(_frame(image, number, index, name if stills else _frame_name(image, index, name, distinct)))
        except ValueError as error:
            raise bad_entry(dataset.path, f"image {place + 1}", str(error)) from error
    for what in ("id", "index"):
        values = [getattr(frame, what) for frame in frames]
        if len(set(values)) < len(values):
            raise InputError(f"{dataset.path}: two of its images have the same {what}; give each its own")
    return by_frame_index(frames), stills, index_key is None


def _frame_name(image: Entry, index: int, name: str, distinct: bool) -> str:
    """Return the name of a video's frame: its image's own name, or the name of the video."""
    video = image.get("video")
    if isinstance(video, str) and name == default_name(video, index):
        return video
    # A name that several frames share is that of the video; that of an animated image must not pass for their images'.
    return name if distinct or PurePath(name).suffix.lower() not in IMAGE_SUFFIXES else ""


def _frame(image: Entry, number: int, index: int, name: str) -> FrameRef:
    size = image.get("width"), image.get("height")
    size_wh = None if None in size else (lenient_integer(size[0], "width"), lenient_integer(size[1], "height"))
    if size_wh is not None and min(size_wh) < 1:
        size_wh = None
    pts, time_s = image.get("pts"), optional_number(image.get("time_s"), "time_s")
    return FrameRef(
        number,
        index,
        name,
        None if pts is None else lenient_integer(pts, "pts"),
        time_s if np.isfinite(time_s) else None,
        size_wh,
    )
