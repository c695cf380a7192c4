"""OpenPose JSON: a folder with one file per frame, in the BODY_25, COCO-18 or COCO-17 model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.formats.base import (
    FrameRef,
    PersonAttributes,
    PoseCollector,
    PoseFile,
    PoseSource,
    WriteOptions,
    bad_entry,
    by_frame_index,
    lenient_integer,
)
from tposecli.formats.frame_numbers import MIN_SHARED, refuse_several_recordings
from tposecli.formats.json_stream import JsonFile, Member
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.sources.find_images import natural_key
from tposecli.types import UNTRACKED, Poses, Result
from tposecli.utils.errors import InputError, OutputError
from tposecli.utils.files import TemporaryFolder, may_replace, move, unwritable, write_text
from tposecli.utils.strict_json import as_json, pixels, scores

SUFFIX: Final = "_keypoints.json"
VERSION: Final = 1.3
NECK: Final = len(KEYPOINTS)
SHOULDERS: Final = [KEYPOINTS.index("left_shoulder"), KEYPOINTS.index("right_shoulder")]
ORDERS: Final[dict[str, list[int]]] = {
    "coco18": [0, NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3],
    "coco17": list(range(len(KEYPOINTS))),
}
"""For each variant, the COCO keypoint (17 is the neck) at each place of the file."""

BODY_25: Final = (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)
"""Place of each COCO keypoint in OpenPose's BODY_25; its neck, mid-hip and feet are not read."""

PLACES: Final = {
    len(BODY_25) + 8: list(BODY_25),
    **{len(order): [order.index(keypoint) for keypoint in range(len(KEYPOINTS))] for order in ORDERS.values()},
}
"""By the number of keypoints in the file: the place of each COCO keypoint."""

OWN_DIGITS: Final = 12
"""Digits of the frame numbers that OpenPose itself writes for videos."""

_FRAME_NUMBER: Final = re.compile(r"(.*?)_?(\d{6,})")

_UNUSED: Final[dict[str, list[float]]] = {
    f"{part}_keypoints_{d}d": []
    for d in (2, 3)
    for part in ("pose", "face", "hand_left", "hand_right")
    if (part, d) != ("pose", 2)
}
"""What OpenPose writes for parts that it did not look for."""


def is_openpose(member: Member) -> bool:
    """Check whether a JSON file with this member is OpenPose's."""
    return member.key == "people"


def read_openpose(source: PoseSource) -> PoseFile:
    """Read a folder of ``NAME_000000000000_keypoints.json``, or one such file.

    The number of six or more digits at the end of the name is the frame's, from 0; files without one are images, in the
    natural order of their names (2 before 10). Keypoints are in pixels; 0, 0, 0 is a joint that was not found.

    Raises:
        InputError: There are no such files, one is invalid, or the coordinates were scaled to 0..1.
    """
    path = source.path
    files = sorted(_files_in(path), key=lambda file: natural_key(file.name)) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no *{SUFFIX} files in it; name the folder that OpenPose wrote (--write_json)")
    frames, people = _frames(path, files), None
    for file, frame in zip(files, frames, strict=True):
        for place, person in enumerate(_people(file), start=1):
            entry = f"{file.name}, person {place}" if path.is_dir() else f"person {place}"
            try:
                numbers, track_id = _person(person)
            except ValueError as error:
                raise bad_entry(path, entry, str(error)) from error
            if numbers:
                people = people or _collector(path, entry, len(numbers) // 3)
                people.add(entry, frame.id, numbers, PersonAttributes(track_id=track_id))
    poses, _ = ({}, {}) if people is None else people.poses(PLACES[people.count])
    if poses and max(float(np.abs(each.xy).max()) for each in poses.values()) <= 1:
        raise InputError(f"{path}: its keypoints lie within 0..1; run OpenPose with --keypoint_scale 0, for pixels")
    stills = len({frame.name for frame in frames}) == len(frames) > 1
    tracked = people is not None and people.tracked and not stills
    return PoseFile(path, "OpenPose", by_frame_index(frames), poses, stills=stills, tracked=tracked, ordered=stills)


def _frames(path: Path, files: list[Path]) -> list[FrameRef]:
    """Return one frame per file."""
    stems = [file.name.removesuffix(SUFFIX) for file in files]
    found = [_FRAME_NUMBER.fullmatch(stem) for stem in stems]
    if len(files) == 1 or not all(found):
        return [FrameRef(place, place, stem) for place, stem in enumerate(stems)]
    frames = [FrameRef(int(match[2]), int(match[2]), match[1]) for match in found if match]
    if len({frame.id for frame in frames}) < len(frames):
        if len({frame.name for frame in frames}) == 1:
            raise InputError(f"{path}: two files have the same number; keep one video's files in a folder")
        digits = min(len(match[2]) for match in found if match)
        refuse_several_recordings(path, stems, 1 if digits >= OWN_DIGITS else MIN_SHARED)
        frames = [replace(frame, id=place, index=place) for place, frame in enumerate(frames)]
    return frames


def _people(file: Path) -> list[Any]:
    """Return the list of people in one file."""
    found = [member for member in JsonFile(file) if member.key == "people"]
    if not found or found[0].number != 0:
        raise InputError(f"{file}: no list of people in it; remove it from the folder")
    return [member.value for member in found[1:]]


def _collector(path: Path, entry: str, count: int) -> PoseCollector:
    if count not in PLACES:
        counts = ", ".join(map(str, sorted(PLACES)))
        raise bad_entry(path, entry, f"got {count} keypoints, expected one of {counts}")
    return PoseCollector(path, count)


def _person(entry: Any) -> tuple[list[Any], int]:
    """Return x, y, score of each keypoint, and the track id."""
    if not isinstance(entry, dict) or not isinstance(entry.get("pose_keypoints_2d"), list):
        raise ValueError("expected a list pose_keypoints_2d")
    given = entry.get("person_id")
    return entry["pose_keypoints_2d"], UNTRACKED if given in (None, []) else lenient_integer(given, "person_id")


def open_openpose(path: Path, options: WriteOptions) -> OpenposeSink:
    """Open a sink for a folder of OpenPose JSON."""
    return OpenposeSink(path, options.min_score, options.variant or "coco18")


class OpenposeSink:
    """``FOLDER/NAME_000000000000_keypoints.json`` for each frame, empty ones included; the number is the frame's index.

    NAME is the stem of the video's, or of each still's, own name. ``pose_keypoints_2d`` are x, y, score, smoothed if
    smoothing ran; ``person_id`` is the track id, or -1. Keypoints below the minimum score are 0, 0, 0, which in
    OpenPose means that they were not found. If smoothing ran, ``raw_pose_keypoints_2d`` are the unsmoothed ones (empty
    for people whom gap filling added), and ``coco_keypoint_flags`` the 17 flags in COCO's order.

    ``coco18`` is OpenPose's own COCO model: its order of keypoints, and a neck midway between the shoulders with the
    lower of their scores. ``coco17`` keeps COCO's order; Pose2Sim calls the two ``COCO`` and ``COCO_17``.

    The files are written into a temporary folder and moved once ``close`` marks the run as complete. Files of an
    earlier run in FOLDER are removed then, so that no reader takes the frames of both for one run.

    Args:
        folder: The output folder.
        min_score: Keypoints with a lower score count as not found.
        variant: Which keypoints in which order: ``coco18`` or ``coco17``.

    Raises:
        OutputError: The folder cannot be created.
    """

    def __init__(self, folder: Path, min_score: float = 0.2, variant: str = "coco18") -> None:
        self._folder = folder
        self._min_score = min_score
        self._order = ORDERS[variant]
        self._closed = False
        try:
            self._part = TemporaryFolder(folder)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be created ({error.strerror}); choose another folder") from error

    def write(self, result: Result) -> None:
        """Write the file of one frame."""
        frame = result.frame
        name = f"{PurePath(frame.name).stem}_{frame.index:012d}{SUFFIX}"
        people = [
            {"person_id": [track], "pose_keypoints_2d": numbers, **_UNUSED}
            for track, numbers in zip(result.final.track_id.tolist(), self._numbers(result.final), strict=True)
        ]
        if result.smoothed is not None:
            raw = [*self._numbers(result.poses), *[[]] * (len(people) - len(result.poses))]
            for person, numbers, flags in zip(people, raw, result.final.flags.tolist(), strict=True):
                person |= {"raw_pose_keypoints_2d": numbers, "coco_keypoint_flags": flags}
        write_text(self._part.path / name, as_json({"version": VERSION, "people": people}), durable=False)

    def close(self, complete: bool) -> None:
        """Move the files into the folder, or remove them; closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        try:
            if complete:
                self._publish()
        finally:
            self._part.remove()

    def _publish(self) -> None:
        try:
            self._folder.mkdir(exist_ok=True)
            replace = may_replace(self._folder)
            for old in list(_files_in(self._folder)) if replace else ():
                old.unlink()
            for new in os.listdir(self._part.path):
                move(self._part.path / new, self._folder / new, replace, durable=False)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def _numbers(self, poses: Poses) -> list[list[Any]]:
        """Return flat x, y, score of each person."""
        xy = np.concatenate([poses.xy, poses.xy[:, SHOULDERS].mean(axis=1, keepdims=True)], axis=1)
        score = np.concatenate([poses.score, poses.score[:, SHOULDERS].min(axis=1, keepdims=True)], axis=1)
        found: NDArray[np.bool_] = score >= self._min_score
        columns = pixels(np.where(found[:, :, None], xy, 0)), scores(np.where(found, score, 0))
        return [
            [number for joint in self._order for number in (*points[joint], joint_scores[joint])]
            for points, joint_scores in zip(*columns, strict=True)
        ]


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the files that OpenPose, or this sink, left in a folder."""
    return folder.glob(f"*{SUFFIX}")
