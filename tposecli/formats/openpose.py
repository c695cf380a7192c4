"""Poses in OpenPose's folders: BODY_25, COCO-18, and COCO's own 17."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from tposecli.formats.base import Facts, FrameRef, PoseCollector, PoseFile, bad_entry, in_order, whole
from tposecli.formats.json_stream import JsonFile
from tposecli.formats.openpose_writer import ORDERS, SUFFIX, openpose_files
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import UNTRACKED
from tposecli.utils.errors import InputError

BODY_25: Final = (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)
"""The place in OpenPose's BODY_25 of each of COCO's keypoints; neck, middle of the hips and feet are left out."""

_NUMBERED: Final = re.compile(r"(.*?)_?(\d{6,})")


def _place_of(order: list[int]) -> list[int]:
    return [order.index(keypoint) for keypoint in range(len(KEYPOINTS))]


PLACES: Final = {25: list(BODY_25), **{len(order): _place_of(order) for order in ORDERS.values()}}
"""By the number of keypoints in the file: the place of each of COCO's."""


def read_openpose(path: Path) -> PoseFile:
    """A folder of ``NAME_000000000000_keypoints.json``, or one such file.

    The number at the end of the name is the frame's, from 0; files without one are pictures, in the order of their
    names. Keypoints are in pixels; 0, 0, 0 is a joint that was not found.

    Raises:
        InputError: There are no such files, one makes no sense, or the coordinates were scaled to 0..1.
    """
    files = sorted(openpose_files(path)) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: holds no *{SUFFIX} files; name the folder that OpenPose wrote (--write_json)")
    stamps, people = _stamps(path, files), None
    for file, stamp in zip(files, stamps, strict=True):
        for place, entry in enumerate(_people(file), start=1):
            where = f"{file.name}, person {place}" if path.is_dir() else f"person {place}"
            try:
                numbers, track = _person(entry)
            except ValueError as error:
                raise bad_entry(path, where, str(error)) from error
            if numbers:
                people = people or _collector(path, where, len(numbers) // 3)
                people.add(where, stamp.id, numbers, Facts(track=track))
    poses, _ = ({}, {}) if people is None else people.poses(PLACES[people.count])
    if poses and max(float(np.abs(some.xy).max()) for some in poses.values()) <= 1:
        raise InputError(f"{path}: its keypoints lie within 0..1; run OpenPose with --keypoint_scale 0, for pixels")
    stills = len({stamp.name for stamp in stamps}) == len(stamps) > 1
    tracked = people is not None and people.tracked and not stills
    return PoseFile(path, "OpenPose", in_order(stamps), poses, stills=stills, tracked=tracked)


def _stamps(path: Path, files: list[Path]) -> list[FrameRef]:
    """A frame for each file."""
    stems = [file.name.removesuffix(SUFFIX) for file in files]
    found = [_NUMBERED.fullmatch(stem) for stem in stems]
    if len(files) == 1 or not all(found):
        return [FrameRef(place, place, stem) for place, stem in enumerate(stems)]
    stamps = [FrameRef(int(match[2]), int(match[2]), match[1]) for match in found if match]
    if len({stamp.id for stamp in stamps}) < len(stamps):
        if len({stamp.name for stamp in stamps}) == 1:
            raise InputError(f"{path}: two files have the same number; keep one video's files in a folder")
        stamps = [replace(stamp, id=place, index=place) for place, stamp in enumerate(stamps)]
    return stamps


def _people(file: Path) -> list[Any]:
    """The list of people in one file."""
    found = [member for member in JsonFile(file) if member.key == "people"]
    if not found or found[0].number != 0:
        raise InputError(f"{file}: no list of people in it; take it out of the folder")
    return [member.value for member in found[1:]]


def _collector(path: Path, where: str, count: int) -> PoseCollector:
    if count not in PLACES:
        kinds = ", ".join(map(str, sorted(PLACES)))
        raise bad_entry(path, where, f"it has {count} keypoints, known are models of {kinds}")
    return PoseCollector(path, count)


def _person(entry: Any) -> tuple[list[Any], int]:
    """x, y, score of each keypoint, and the id."""
    if not isinstance(entry, dict) or not isinstance(entry.get("pose_keypoints_2d"), list):
        raise ValueError("it has no list pose_keypoints_2d")
    given = entry.get("person_id")
    return entry["pose_keypoints_2d"], UNTRACKED if given in (None, []) else whole(given, "person_id")
