"""Types and helpers that the pose file formats share: the result of a reader, the options of a writer."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.formats.exchange.options import ExchangeOptions
from tposecli.formats.frame_names import FrameNames
from tposecli.formats.json_stream import JsonFile
from tposecli.geometry.keypoints import KEYPOINTS, KeypointLayout
from tposecli.geometry.motion_options import AngleOptions, Facing
from tposecli.types import UNTRACKED, Boxes, Poses, Result
from tposecli.utils.errors import InputError
from tposecli.utils.strict_json import json_integer, json_number

Float64 = NDArray[np.float64]

MAX_COORDINATE: Final = 1e9
"""Pixels; a larger coordinate means that the file is damaged."""

MARGIN: Final = 0.1
"""Margin around the joints of a box that is computed from them, as a fraction of its longer side."""

COCO_FIRST: Final = (17, 26, 133, 136)
"""Sizes of keypoint sets that begin with COCO's 17: COCO, Halpe without face and hands, COCO-WholeBody, Halpe."""

VISIBILITIES: Final = (0, 1, 2)
"""Values of COCO's ``v``: if all joints of a person have one of them, they are visibilities and not scores."""

ABSENT: Final = -1
"""Place of a keypoint that the file does not have."""

HEAD_BYTES: Final = 4096


class PoseSource:
    """A file or folder to read poses from; its content is read once for format detection and for the reader.

    Attributes:
        path: The file or folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def head(self) -> bytes:
        """The first bytes of the file.

        Raises:
            InputError: It cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                return file.read(HEAD_BYTES)
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be read ({error.strerror}); check the file and its permissions"
            ) from error

    @cached_property
    def json(self) -> JsonFile:
        """The file as JSON.

        Raises:
            InputError: It cannot be read or is not text.
        """
        return JsonFile(self.path)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a writer needs to know besides the poses.

    Attributes:
        info: Provenance and keypoint layout: the journal's header.
        variant: One of the format's variants; empty for the default.
        min_score: Keypoints with a lower score count as not visible.
        image_ids: Image id for each ``Frame.index`` of stills; None for a video.
        frame_names: Image names of a video's frames; None for the default ones.
        describe_attention: Returns the ``attention`` field of each person of a frame; None for no such field.
        label: Name of the video in an output that several share; empty if it has one of its own.
        header: Whether a table begins with its column names; not so where another video has written them.
        facing: Where everybody faces, for the sign of angles; see ``geometry/facing.py``.
        px_per_m: Pixels of a metre, for lengths in metres; None for pixels.
        exchange: Options of formats of other programs.
    """

    info: Mapping[str, Any]
    variant: str = ""
    min_score: float = 0.2
    image_ids: Sequence[int] | None = None
    frame_names: FrameNames | None = None
    describe_attention: Callable[[Result], Sequence[Mapping[str, Any]]] | None = None
    label: str = ""
    header: bool = True
    facing: Facing = "auto"
    px_per_m: float | None = None
    exchange: ExchangeOptions = field(default_factory=ExchangeOptions)

    @property
    def angles(self) -> AngleOptions:
        """How angles are told."""
        return AngleOptions(self.facing, self.min_score)

    @property
    def stills(self) -> bool:
        """Whether the frames are images with names of their own."""
        return self.image_ids is not None

    @property
    def layout(self) -> KeypointLayout:
        """The keypoints of the poses."""
        return KeypointLayout.from_dict(self.info)


@dataclass(frozen=True, slots=True)
class FrameRef:
    """A frame that a pose file refers to.

    Attributes:
        id: Id of the frame in the file, unique.
        index: Position in the video or among the images, from 0.
        name: Name of the image or of the video; empty if the file has none.
        pts: Presentation timestamp in the video's time base; None if the file has none.
        time_s: Time in seconds; None if the file has none.
        size_wh: Width and height in pixels; None if the file has none.
    """

    id: int
    index: int
    name: str = ""
    pts: int | None = None
    time_s: float | None = None
    size_wh: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class PoseFile:
    """The content of a pose file.

    Attributes:
        path: The file or folder.
        format: Name of the format, for messages and provenance.
        frames: The frames by ascending index, empty ones included as far as the file lists them.
        poses: People by ``FrameRef.id``, unsmoothed if the file has both; frames without people are left out.
        smoothed: The same people in the same order, smoothed; None if the file has one kind of coordinates only.
        area: (N,) square pixels of the people by ``FrameRef.id``, for annotations; NaN where the file has none.
        info: Provenance from the file.
        stills: The frames are images with names of their own.
        tracked: Every person has a track id.
        ordered: The index of a frame is only its place in the file's list, or among the files of a folder.
        image_names: Names of images by ``FrameRef.id``, where the file names images by text instead of listing them.
        people: Names of people by their track ids.
    """

    path: Path
    format: str
    frames: tuple[FrameRef, ...]
    poses: Mapping[int, Poses]
    smoothed: Mapping[int, Poses] | None = None
    area: Mapping[int, Float64] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    stills: bool = False
    tracked: bool = False
    ordered: bool = False
    image_names: Mapping[int, str] = field(default_factory=dict)
    people: Mapping[int, str] = field(default_factory=dict)

    @property
    def has_times(self) -> bool:
        """Whether the file has the time of every frame."""
        return bool(self.frames) and all(frame.time_s is not None for frame in self.frames)

    @property
    def is_own(self) -> bool:
        """Whether tposecli wrote it for a video, with everything that a journal knows of the frames."""
        return self.info.get("tool") == "tposecli" and self.has_times and all(frame.size_wh for frame in self.frames)


@dataclass(frozen=True, slots=True)
class PersonAttributes:
    """What a file has of a person besides the keypoints; NaN where it has nothing.

    Attributes:
        box: Left, top, right, bottom, pixels.
        person_score: Score of the person as a whole.
        box_score: Score of the box.
        area: Square pixels of the person.
        track_id: Track id, or ``UNTRACKED``.
    """

    box: Sequence[float] = (np.nan,) * 4
    person_score: float = np.nan
    box_score: float = np.nan
    area: float = np.nan
    track_id: int = UNTRACKED


class PoseCollector:
    """Collects people one by one and converts them to ``Poses`` all at once.

    Args:
        path: The file, for messages.
        count: Keypoints per person in the file.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path, self.count = path, count
        self._entries: list[str] = []
        self._frame_ids, self._track_ids = array("q"), array("q")
        self._numbers, self._attributes = array("d"), array("d")

    def add(self, entry: str, frame_id: int, numbers: Sequence[float], attributes: PersonAttributes) -> None:
        """Add a person.

        Args:
            entry: The place in the file, for messages.
            frame_id: Id of the frame.
            numbers: x, y, score of each keypoint in the file's order.
            attributes: Everything else.

        Raises:
            InputError: The count of numbers does not fit the keypoints, or something is not a number.
        """
        if len(numbers) != 3 * self.count:
            got = f"got {len(numbers)} numbers, expected x, y, score of {self.count} keypoints"
            raise bad_entry(self._path, entry, got)
        try:
            self._numbers.extend(numbers)
            self._attributes.extend((*attributes.box, attributes.person_score, attributes.box_score, attributes.area))
            self._frame_ids.append(frame_id)
            self._track_ids.append(attributes.track_id)
        except (TypeError, OverflowError) as error:
            raise bad_entry(self._path, entry, f"expected numbers only ({error})") from error
        self._entries.append(entry)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def frame_ids(self) -> set[int]:
        """Ids of the frames with people."""
        return set(self._frame_ids)

    def extend(self, other: PoseCollector) -> None:
        """Add all people of another collector with the same keypoints."""
        if other.count != self.count:
            got = f"got {other.count} keypoints, and {self.count} for other people"
            raise bad_entry(self._path, other._entries[0], got)
        self._entries += other._entries
        for name in ("_frame_ids", "_track_ids", "_numbers", "_attributes"):
            getattr(self, name).extend(getattr(other, name))

    @property
    def tracked(self) -> bool:
        """Whether every person has a track id."""
        return len(self._track_ids) > 0 and min(self._track_ids) >= 0

    def poses(self, order: Sequence[int]) -> tuple[dict[int, Poses], dict[int, Float64]]:
        """Return people and their areas by frame id, in the file's order.

        Joints with a score of 0 or less, with NaN, or at 0, 0 are missing: they become 0, 0 with score 0. A person
        without any joint is left out. Track ids begin at 1: if a file has an id 0, all ids are incremented.

        Args:
            order: For each COCO keypoint its place in the file's, or ``ABSENT``.

        Raises:
            InputError: A coordinate, box or score is out of range.
        """
        numbers = self._joints(np.array(order))
        attributes = np.array(self._attributes).reshape(-1, 7)
        self._check("a box or score is out of range", (np.abs(attributes[:, :6]) > MAX_COORDINATE).any(axis=1))
        corners = _boxes(attributes[:, :4], numbers)
        self._check("the box has a negative size", (corners[:, 2:] < corners[:, :2]).any(axis=1))
        box_scores = _box_scores(attributes[:, 4], attributes[:, 5], numbers[:, :, 2])
        self._check("the score is negative or not a number", ~(box_scores >= 0))
        frame_ids, track_ids = np.array(self._frame_ids, np.int64), np.array(self._track_ids, np.int64)
        track_ids += (track_ids == 0).any() and self.tracked
        kept = np.flatnonzero((numbers[:, :, 2] > 0).any(axis=1))
        kept = kept[np.argsort(frame_ids[kept], kind="stable")]
        ids, starts = np.unique(frame_ids[kept], return_index=True)
        # Without any person, split still returns one (empty) part for no id at all, so the lengths may differ.
        rows = dict(zip(ids.tolist(), np.split(kept, starts[1:]), strict=False))
        points, boxes, scores = (column.astype(np.float32) for column in (numbers, corners, box_scores))
        poses = {
            key: Poses(Boxes(boxes[row], scores[row]), points[row, :, :2], points[row, :, 2], track_ids[row])
            for key, row in rows.items()
        }
        return poses, {key: attributes[row, 6] for key, row in rows.items()}

    def _joints(self, order: NDArray[np.intp]) -> Float64:
        """Return (M, 17, 3) joints in COCO's order, missing ones 0; visibilities become a score of 1."""
        numbers = np.array(self._numbers).reshape(-1, self.count, 3)
        numbers = np.where((order == ABSENT)[:, None], 0, numbers[:, order])
        labelled = np.isin(numbers[:, :, 2], VISIBILITIES).all(axis=1)
        numbers[labelled, :, 2] = np.minimum(numbers[labelled, :, 2], 1)
        found = (numbers[:, :, 2] > 0) & np.isfinite(numbers).all(axis=2) & (numbers[:, :, :2] != 0).any(axis=2)
        too_large = np.isinf(numbers).any(axis=(1, 2)) | (np.abs(numbers) > MAX_COORDINATE).any(axis=(1, 2))
        self._check("a keypoint is out of range", too_large)
        return np.where(found[:, :, None], numbers, 0)

    def _check(self, problem: str, bad: Any) -> None:
        """Raise InputError for the first person with a true value in ``bad``, (M,) booleans."""
        if bad.any():
            raise bad_entry(self._path, self._entries[int(np.argmax(bad))], problem)


def _boxes(given: Float64, numbers: Float64) -> Float64:
    """Return (M, 4) the given boxes; where they are NaN, boxes around the joints with a margin."""
    found = numbers[:, :, 2:] > 0
    low = np.where(found, numbers[:, :, :2], np.inf).min(axis=1, initial=np.inf)
    high = np.where(found, numbers[:, :, :2], -np.inf).max(axis=1, initial=-np.inf)
    margin = np.maximum(MARGIN * (high - low).max(axis=1, keepdims=True, initial=0), 0.5)
    computed = np.concatenate([low - margin, high + margin], axis=1)
    computed[~found.any(axis=(1, 2))] = 0
    return np.where(np.isnan(given).any(axis=1, keepdims=True), computed, given)


def _box_scores(person: Float64, box: Float64, joints: Float64) -> Float64:
    """Return (M,) box scores: the file's, else those that make ``Poses.person_score`` the file's, else 1."""
    above = joints > 0.2
    mean = np.where(above, joints, 0).sum(axis=1) / np.maximum(above.sum(axis=1), 1)
    from_person = np.where(mean > 0, person / np.where(mean > 0, mean, 1), person)
    found = np.where(np.isnan(box), from_person, box)
    return np.where(np.isnan(found), 1.0, found)


def keypoint_order(path: Path, names: Sequence[Any] | None, count: int) -> list[int]:
    """Return the place of each COCO keypoint among the file's: by name, else by the number of keypoints.

    Raises:
        InputError: The keypoints are not COCO's.
    """
    if names is not None and len(names) == count:
        plain = [str(name).lower().replace("-", "_").replace(" ", "_") for name in names]
        found = [plain.index(name) if name in plain else ABSENT for name in KEYPOINTS]
        if max(found) > ABSENT:
            return found
        raise InputError(
            f"{path}: none of its keypoints ({', '.join(plain[:5])}, ...) is one of COCO's 17; rename them in the file"
        )
    if count in COCO_FIRST:
        return list(range(len(KEYPOINTS)))
    raise InputError(
        f"{path}: people with {count} keypoints; supported are COCO's 17 and keypoint sets that begin with them"
    )


def flat_keypoints(points: Any, scores: Any = None) -> list[Any]:
    """Return x, y, score of each keypoint from a flat list, triples, or pairs with scores (1 if there are none).

    Raises:
        ValueError: It is none of these.
    """
    if not isinstance(points, list):
        raise ValueError("keypoints: expected a list")
    if not points or not isinstance(points[0], list):
        return points
    if all(isinstance(point, list) and len(point) == 3 for point in points) and scores is None:
        return list(chain.from_iterable(points))
    scores = [1.0] * len(points) if scores is None else scores
    if not isinstance(scores, list) or len(scores) != len(points):
        raise ValueError("expected one score per keypoint")
    if not all(isinstance(point, list) and len(point) >= 2 for point in points):
        raise ValueError("keypoints: expected x, y pairs or x, y, score triples")
    return [value for point, score in zip(points, scores, strict=True) for value in (point[0], point[1], score)]


def lenient_integer(value: Any, what: str) -> int:
    """Return an integer that may be written as 139.0, as text, or as the only element of a list.

    Raises:
        ValueError: It is no integer.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        value = int(value)
    return json_integer(value, what, integral_floats=True)


def optional_number(value: Any, what: str) -> float:
    """Return a number, or NaN for None and NaN.

    Raises:
        ValueError: It is something else.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return math.nan
    return json_number(value, what)


def bad_entry(path: Path, entry: str, problem: str) -> InputError:
    """Return the error for one entry of a file."""
    return InputError(f"{path}, {entry}: {problem}; correct or remove the entry")


def by_frame_index(frames: Iterable[FrameRef]) -> tuple[FrameRef, ...]:
    """Sort frames by ascending index."""
    return tuple(sorted(frames, key=lambda frame: frame.index))
