"""Poses in the JSON of mmpose: of its demos, of its inferencer, and ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
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
from tposecli.formats.json_stream import Member
from tposecli.types import UNTRACKED

FRAMES: Final = ("", "instance_info", "predictions")
"""Where the frames stand: in a bare list, in what the demos save, in what the inferencer returns."""


def read_mmpose(path: Path, members: Iterable[Member]) -> PoseFile:
    """A list of ``{"frame_id", "instances"}``, bare, as ``instance_info`` or as ``predictions``.

    Frames count from 0, or from 1 where the first is 1, as in mmpose's demos. Frames that are bare lists of people, as
    the inferencer returns them, count as they come. A bare list of people is one picture.

    Raises:
        InputError: An entry makes no sense.
    """
    people: PoseCollector | None = None
    names: list[Any] | None = None
    stamps: dict[int, FrameRef] = {}
    for member in members:
        if member.key == "meta_info" and isinstance(member.value, dict):
            names = _names(member.value)
        if not member.number or member.key not in FRAMES:
            continue
        where = f"frame {member.number}"
        try:
            stamp, instances = _frame(member)
            if stamp.id in stamps and not _is_person(member.value):
                raise ValueError(f"another frame before it has the frame_id {stamp.id}, too")
            stamps[stamp.id] = stamp
            for place, (numbers, facts) in enumerate(map(_person, instances), start=1):
                people = people or PoseCollector(path, len(numbers) // 3)
                people.add(f"{where}, person {place}", stamp.id, numbers, facts)
        except ValueError as error:
            raise bad_entry(path, where, str(error)) from error
    poses, _ = ({}, {}) if people is None else people.poses(order_of(path, names, people.count))
    stills = bool(stamps) and all(stamp.name for stamp in stamps.values())
    first = int(min(stamps, default=0) == 1)
    placed = in_order(replace(stamp, index=stamp.index - first) for stamp in stamps.values())
    tracked = people is not None and people.tracked and not stills
    return PoseFile(path, "mmpose JSON", placed, poses, stills=stills, tracked=tracked)


def _frame(member: Member) -> tuple[FrameRef, list[Any]]:
    """The frame that a member is, and its people."""
    value = member.value
    if _is_person(value):
        return FrameRef(0, 0), [value]
    place = (member.number or 1) - 1
    if isinstance(value, list):
        nested = len(value) == 1 and isinstance(value[0], list)
        return FrameRef(place, place), value[0] if nested else value
    if not isinstance(value, dict) or not isinstance(value.get("instances"), list):
        raise ValueError("it has no list of instances")
    index = whole(value.get("frame_id", place), "frame_id")
    if index < 0:
        raise ValueError("its frame_id is negative")
    return FrameRef(index, index, str(value.get("file_name", ""))), value["instances"]


def _is_person(value: Any) -> bool:
    return isinstance(value, dict) and "keypoints" in value


def _person(entry: Any) -> tuple[list[Any], Facts]:
    """x, y, score of each keypoint, and the rest."""
    if not isinstance(entry, dict):
        raise ValueError("an instance is no object")
    box, corners = entry.get("bbox"), (np.nan,) * 4
    if isinstance(box, list) and len(box) == 1 and isinstance(box[0], list):
        box = box[0]
    if box is not None:
        if not isinstance(box, list) or len(box) < 4:
            raise ValueError("expected bbox as [[x1, y1, x2, y2]]")
        corners = number(box[0]), number(box[1]), number(box[2]), number(box[3])
    track = entry.get("track_id", UNTRACKED)
    facts = Facts(corners, box_score=_single(entry.get("bbox_score")), track=whole(track, "track_id"))
    return flat(entry.get("keypoints"), entry.get("keypoint_scores")), facts


def _single(value: Any) -> float:
    """A number, also one that stands alone in a list."""
    return number(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _names(meta: Mapping[str, Any]) -> list[Any] | None:
    """Names of the keypoints by their numbers, if the demo saved them."""
    by_number = meta.get("keypoint_id2name")
    if not isinstance(by_number, dict):
        return None
    found = {int(key): name for key, name in by_number.items() if str(key).isdecimal()}
    return [found[key] for key in sorted(found)]
