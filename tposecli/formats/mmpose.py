"""MMPose JSON: files of its demos and of its inferencer are read; ours can be read by both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from tposecli.formats.base import (
    FrameRef,
    PersonAttributes,
    PoseCollector,
    PoseFile,
    PoseSource,
    WriteOptions,
    bad_entry,
    by_frame_index,
    flat_keypoints,
    keypoint_order,
    lenient_integer,
    optional_number,
)
from tposecli.formats.json_stream import Member
from tposecli.types import UNTRACKED, Result
from tposecli.utils.files import PartFile
from tposecli.utils.strict_json import JsonArrayWriter, pixels, scores

FRAME_KEYS: Final = ("", "instance_info", "predictions")
"""Keys of the list of frames: a bare list, the demos' files, the inferencer's return value."""


def is_mmpose(member: Member) -> bool:
    """Check whether a JSON file with this member is MMPose's."""
    if member.key in ("instance_info", "predictions"):
        return True
    if member.key or member.number != 1:
        return False
    if isinstance(member.value, dict):
        return "instances" in member.value or "keypoint_scores" in member.value
    return isinstance(member.value, list)


def read_mmpose(source: PoseSource) -> PoseFile:
    """Read a list of ``{"frame_id", "instances"}``, bare or under ``instance_info`` or ``predictions``.

    Frames count from 0, or from 1 if the first is 1, as in MMPose's demos. Frames that are bare lists of people, as the
    inferencer returns them, are numbered in order. A bare list of people is one image.

    Raises:
        InputError: An entry is invalid.
    """
    path = source.path
    people: PoseCollector | None = None
    names: list[Any] | None = None
    frames: dict[int, FrameRef] = {}
    for member in source.json:
        if member.key == "meta_info" and isinstance(member.value, dict):
            names = _keypoint_names(member.value)
        if not member.number or member.key not in FRAME_KEYS:
            continue
        entry = f"frame {member.number}"
        try:
            frame, instances = _frame(member)
            if frame.id in frames and not _is_person(member.value):
                raise ValueError(f"an earlier frame has the frame_id {frame.id} as well")
            frames[frame.id] = frame
            for place, (numbers, attributes) in enumerate(map(_person, instances), start=1):
                people = people or PoseCollector(path, len(numbers) // 3)
                people.add(f"{entry}, person {place}", frame.id, numbers, attributes)
        except ValueError as error:
            raise bad_entry(path, entry, str(error)) from error
    poses, _ = ({}, {}) if people is None else people.poses(keypoint_order(path, names, people.count))
    stills = bool(frames) and all(frame.name for frame in frames.values())
    first = int(min(frames, default=0) == 1)
    numbered = by_frame_index(replace(frame, index=frame.index - first) for frame in frames.values())
    tracked = people is not None and people.tracked and not stills
    return PoseFile(path, "mmpose JSON", numbered, poses, stills=stills, tracked=tracked)


def _frame(member: Member) -> tuple[FrameRef, list[Any]]:
    """Return the frame of a member, and its people."""
    value = member.value
    if _is_person(value):
        return FrameRef(0, 0), [value]
    place = (member.number or 1) - 1
    if isinstance(value, list):
        nested = len(value) == 1 and isinstance(value[0], list)
        return FrameRef(place, place), value[0] if nested else value
    if not isinstance(value, dict) or not isinstance(value.get("instances"), list):
        raise ValueError("expected a list of instances")
    index = lenient_integer(value.get("frame_id", place), "frame_id")
    if index < 0:
        raise ValueError("frame_id is negative")
    return FrameRef(index, index, str(value.get("file_name", ""))), value["instances"]


def _is_person(value: Any) -> bool:
    return isinstance(value, dict) and "keypoints" in value


def _person(entry: Any) -> tuple[list[Any], PersonAttributes]:
    """Return x, y, score of each keypoint, and everything else of a person."""
    if not isinstance(entry, dict):
        raise ValueError("instances: expected objects")
    box, corners = entry.get("bbox"), (np.nan,) * 4
    if isinstance(box, list) and len(box) == 1 and isinstance(box[0], list):
        box = box[0]
    if box is not None:
        if not isinstance(box, list) or len(box) < 4:
            raise ValueError("expected bbox as [[x1, y1, x2, y2]]")
        left, top, right, bottom = (optional_number(value, "bbox") for value in box[:4])
        corners = left, top, right, bottom
    score = entry.get("bbox_score")
    score = score[0] if isinstance(score, list) and len(score) == 1 else score
    attributes = PersonAttributes(
        corners,
        box_score=optional_number(score, "bbox_score"),
        track_id=lenient_integer(entry.get("track_id", UNTRACKED), "track_id"),
    )
    return flat_keypoints(entry.get("keypoints"), entry.get("keypoint_scores")), attributes


def _keypoint_names(meta: Mapping[str, Any]) -> list[Any] | None:
    """Return the names of the keypoints by ascending number, if the demo saved them."""
    by_number = meta.get("keypoint_id2name")
    if not isinstance(by_number, dict):
        return None
    found = {int(key): name for key, name in by_number.items() if str(key).isdecimal()}
    return [found[key] for key in sorted(found)]


def open_mmpose(path: Path, options: WriteOptions) -> MmposeSink:
    """Open a sink for MMPose JSON."""
    return MmposeSink(path, options.stills)


class MmposeSink:
    """A list with an entry for each frame, empty ones included, written during the run.

    ``frame_id`` is the frame's index in the source; ``instances`` hold ``keypoints`` [[x, y] * K] (smoothed if
    smoothing ran), ``keypoint_scores``, ``bbox`` [[x1, y1, x2, y2]] and ``bbox_score``. Extensions: ``track_id`` of
    tracked people, ``file_name`` of stills, and if smoothing ran ``raw_keypoints``, null for people whom gap filling
    added, and ``keypoint_flags``.

    Args:
        path: The file to write; it appears once ``close`` marks the run as complete.
        stills: Whether the frames are images with names of their own.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, stills: bool = False) -> None:
        self._stills = stills
        self._part = PartFile(path)
        self._records = JsonArrayWriter(self._part.file, "[")

    def write(self, result: Result) -> None:
        """Add a frame, with or without people."""
        name = {"file_name": result.frame.name} if self._stills else {}
        self._records.add({"frame_id": result.frame.index, **name, "instances": _instances(result)})

    def close(self, complete: bool) -> None:
        """Finish and publish the file, or remove it; closing twice is harmless."""
        self._part.close(complete, [b"\n]\n"])


def _instances(result: Result) -> list[dict[str, Any]]:
    poses = result.final
    columns = (
        pixels(poses.xy),
        scores(poses.score),
        pixels(poses.boxes.xyxy),
        scores(poses.boxes.score),
        poses.track_id.tolist(),
    )
    smoothed = result.smoothed is not None
    added = [None] * (len(poses) - len(result.poses))
    extra = zip(pixels(result.poses.xy) + added, poses.flags.tolist(), strict=True)
    return [
        {"keypoints": xy, "keypoint_scores": score, "bbox": [box], "bbox_score": box_score}
        | ({} if track == UNTRACKED else {"track_id": track})
        | ({"raw_keypoints": raw, "keypoint_flags": flags} if smoothed else {})
        for (xy, score, box, box_score, track), (raw, flags) in zip(zip(*columns, strict=True), extra, strict=True)
    ]
