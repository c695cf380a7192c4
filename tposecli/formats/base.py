"""What readers of other tools' poses have in common: columns of people, missing joints, boxes, order of keypoints."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import UNTRACKED, Boxes, Poses
from tposecli.utils.errors import InputError

Float64 = NDArray[np.float64]

MAX_COORDINATE: Final = 1e9
"""Coordinates beyond this, in pixels, are taken for damage."""

MARGIN: Final = 0.1
"""A box that has to be made lies round the joints that are there, this share of its longer side away from them."""

BEGIN_WITH_COCO: Final = (17, 26, 133, 136)
"""Numbers of keypoints of sets that begin with COCO's 17: itself, Halpe's bodies, COCO-WholeBody, Halpe."""

LABELLED: Final = (0, 1, 2)
"""Values of COCO's v: where all of a person's joints have one of these, they are no scores."""

ABSENT: Final = -1
"""In an order of keypoints: the file has no such joint."""


@dataclass(frozen=True, slots=True)
class FrameRef:
    """What a file says of one of its frames.

    Attributes:
        id: What people refer to it by, unique in the file.
        index: Its position in the video or among the pictures, from 0.
        name: Of the still or the video; empty where the file does not say.
    """

    id: int
    index: int
    name: str = ""
    pts: int | None = None
    time_s: float | None = None
    size_wh: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class PoseFile:
    """A file of poses as it was read.

    Attributes:
        path: The file, or the folder.
        format: What it is, for people.
        stamps: Its frames by ascending index, frames without people included as far as the file knows of them.
        poses: People by ``FrameRef.id``, as measured where the file says so; frames without people are left out.
        shown: The same people in the same order, smoothed; None where the file has one kind of coordinates only.
        area: (N,) square pixels of the people by ``FrameRef.id``, for annotations; NaN where the file has none.
        info: What the file says of its origin.
        stills: Its frames are pictures with names of their own.
        tracked: Everybody has an id.
    """

    path: Path
    format: str
    stamps: tuple[FrameRef, ...]
    poses: Mapping[int, Poses]
    shown: Mapping[int, Poses] | None = None
    area: Mapping[int, Float64] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    stills: bool = False
    tracked: bool = False

    @property
    def timed(self) -> bool:
        """Whether the file says when each frame is shown."""
        return bool(self.stamps) and all(stamp.time_s is not None for stamp in self.stamps)

    @property
    def ours(self) -> bool:
        """Whether this program wrote it, of a video, with all that a journal says of its frames."""
        return self.info.get("tool") == "tposecli" and self.timed and all(stamp.size_wh for stamp in self.stamps)


class PoseCollector:
    """Collects people one by one, and makes ``Poses`` of them all at once.

    Args:
        path: The file, for messages.
        count: Keypoints that a person has in the file.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path, self.count = path, count
        self._where: list[str] = []
        self._frame, self._track = array("q"), array("q")
        self._numbers, self._facts = array("d"), array("d")

    def add(self, where: str, frame: int, numbers: Sequence[float], facts: Facts) -> None:
        """Take a person.

        Args:
            where: The entry, for messages.
            frame: Id of the frame.
            numbers: x, y, score of each keypoint in the file's order.
            facts: The rest.

        Raises:
            InputError: Not as many numbers as the keypoints need, or something else than numbers.
        """
        if len(numbers) != 3 * self.count:
            said = f"{len(numbers)} numbers, expected x, y, score of {self.count} keypoints"
            raise bad_entry(self._path, where, f"its keypoints are {said}")
        try:
            self._numbers.extend(numbers)
            self._facts.extend((*facts.box, facts.person_score, facts.box_score, facts.area))
            self._frame.append(frame)
            self._track.append(facts.track)
        except (TypeError, OverflowError) as error:
            raise bad_entry(self._path, where, f"something in it is no number ({error})") from error
        self._where.append(where)

    @property
    def tracked(self) -> bool:
        """Whether everybody has an id."""
        return len(self._track) > 0 and min(self._track) >= 0

    def poses(self, order: Sequence[int]) -> tuple[dict[int, Poses], dict[int, Float64]]:
        """People and their areas by id of the frame, in the file's order.

        Joints with a score of 0 or less, with NaN, or at 0, 0 are missing: they become 0, 0 with score 0. Who has no
        joint is left out. Ids begin at 1: where a file has an id 0, all are raised by one.

        Args:
            order: For each of our keypoints its place in the file's, or ``ABSENT``.

        Raises:
            InputError: A coordinate, box or score makes no sense.
        """
        numbers = self._joints(np.array(order))
        facts = np.array(self._facts).reshape(-1, 7)
        self._check("its box or score is out of all proportion", (np.abs(facts[:, :6]) > MAX_COORDINATE).any(axis=1))
        corners = _boxes(facts[:, :4], numbers)
        self._check("its box has a negative size", (corners[:, 2:] < corners[:, :2]).any(axis=1))
        sure = _box_score(facts[:, 4], facts[:, 5], numbers[:, :, 2])
        self._check("its score is not a number from 0 on", ~(sure >= 0))
        frame, track = np.array(self._frame, np.int64), np.array(self._track, np.int64)
        track += (track == 0).any() and self.tracked
        there = np.flatnonzero((numbers[:, :, 2] > 0).any(axis=1))
        there = there[np.argsort(frame[there], kind="stable")]
        ids, starts = np.unique(frame[there], return_index=True)
        rows = dict(zip(ids.tolist(), np.split(there, starts[1:]), strict=False))  # of nobody, one empty part
        points, boxes, score = (column.astype(np.float32) for column in (numbers, corners, sure))
        poses = {
            key: Poses(Boxes(boxes[row], score[row]), points[row, :, :2], points[row, :, 2], track[row])
            for key, row in rows.items()
        }
        return poses, {key: facts[row, 6] for key, row in rows.items()}

    def _joints(self, order: NDArray[np.intp]) -> Float64:
        """(M, 17, 3) in our order, missing ones 0; v of labelled joints becomes a score of 1."""
        numbers = np.array(self._numbers).reshape(-1, self.count, 3)
        numbers = np.where((order == ABSENT)[:, None], 0, numbers[:, order])
        labelled = np.isin(numbers[:, :, 2], LABELLED).all(axis=1)
        numbers[labelled, :, 2] = np.minimum(numbers[labelled, :, 2], 1)
        there = (numbers[:, :, 2] > 0) & np.isfinite(numbers).all(axis=2) & (numbers[:, :, :2] != 0).any(axis=2)
        endless = np.isinf(numbers).any(axis=(1, 2)) | (np.abs(numbers) > MAX_COORDINATE).any(axis=(1, 2))
        self._check("a keypoint is out of all proportion", endless)
        return np.where(there[:, :, None], numbers, 0)

    def _check(self, what: str, bad: Any) -> None:
        """Raise for the first person of whom ``bad``, (M,) booleans, is true."""
        if bad.any():
            raise bad_entry(self._path, self._where[int(np.argmax(bad))], what)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a person besides the keypoints; NaN where it is not.

    Attributes:
        box: Left, top, right, bottom, pixels.
        person_score: Of the person as a whole.
        box_score: Of the box.
        area: Square pixels of the person.
        track: Id, or ``UNTRACKED``.
    """

    box: Sequence[float] = (np.nan,) * 4
    person_score: float = np.nan
    box_score: float = np.nan
    area: float = np.nan
    track: int = UNTRACKED


def _boxes(given: Float64, numbers: Float64) -> Float64:
    """(M, 4) the boxes that there are; else round the joints, with a margin."""
    there = numbers[:, :, 2:] > 0
    low = np.where(there, numbers[:, :, :2], np.inf).min(axis=1, initial=np.inf)
    high = np.where(there, numbers[:, :, :2], -np.inf).max(axis=1, initial=-np.inf)
    margin = np.maximum(MARGIN * (high - low).max(axis=1, keepdims=True, initial=0), 0.5)
    made = np.concatenate([low - margin, high + margin], axis=1)
    made[~there.any(axis=(1, 2))] = 0
    return np.where(np.isnan(given).any(axis=1, keepdims=True), made, given)


def _box_score(person: Float64, box: Float64, joints: Float64) -> Float64:
    """(M,) the box's own score; else the one with which ``Poses.person_score`` is that of the file; else 1."""
    above = joints > 0.2
    mean = np.where(above, joints, 0).sum(axis=1) / np.maximum(above.sum(axis=1), 1)
    from_person = np.where(mean > 0, person / np.where(mean > 0, mean, 1), person)
    found = np.where(np.isnan(box), from_person, box)
    return np.where(np.isnan(found), 1.0, found)


def order_of(path: Path, names: Sequence[Any] | None, count: int) -> list[int]:
    """For each of our keypoints its place among the file's: by their names, else by their number.

    Raises:
        InputError: The keypoints are not COCO's.
    """
    if names is not None and len(names) == count:
        plain = [str(name).lower().replace("-", "_").replace(" ", "_") for name in names]
        found = [plain.index(name) if name in plain else ABSENT for name in KEYPOINTS]
        if max(found) > ABSENT:
            return found
        raise InputError(f"{path}: none of its keypoints ({', '.join(plain[:5])}, ...) is one of COCO's 17")
    if count in BEGIN_WITH_COCO:
        return list(range(len(KEYPOINTS)))
    raise InputError(f"{path}: people of {count} keypoints; this program knows COCO's 17 and sets that begin with them")


def flat(points: Any, scores: Any = None) -> list[Any]:
    """x, y, score of each keypoint from a flat list, from triples, or from pairs and scores (1 where there are none).

    Raises:
        ValueError: It is none of these.
    """
    if not isinstance(points, list):
        raise ValueError("its keypoints are no list")
    if not points or not isinstance(points[0], list):
        return points
    if all(isinstance(point, list) and len(point) == 3 for point in points) and scores is None:
        return list(chain.from_iterable(points))
    scores = [1.0] * len(points) if scores is None else scores
    if not isinstance(scores, list) or len(scores) != len(points):
        raise ValueError("it has not one score for each keypoint")
    if not all(isinstance(point, list) and len(point) >= 2 for point in points):
        raise ValueError("its keypoints are neither x, y pairs nor x, y, score triples")
    return [value for point, score in zip(points, scores, strict=True) for value in (point[0], point[1], score)]


def whole(value: Any, what: str) -> int:
    """A whole number, also one that is written as 139.0, as text, or alone in a list.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value % 1:
        raise ValueError(f"{what} is no whole number")
    return int(value)


def number(value: Any) -> float:
    """A number; NaN where there is none.

    Raises:
        ValueError: It is something else.
    """
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def bad_entry(path: Path, where: str, what: str) -> InputError:
    """What is wrong with one entry."""
    return InputError(f"{path}, {where}: {what}; correct it or take it out")


def in_order(stamps: Iterable[FrameRef]) -> tuple[FrameRef, ...]:
    """By ascending index."""
    return tuple(sorted(stamps, key=lambda stamp: stamp.index))
