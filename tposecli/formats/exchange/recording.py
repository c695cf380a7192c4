"""The poses of a whole run as arrays, for formats that are written at its end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.geometry.motion_options import AngleOptions
from tposecli.types import UNTRACKED, Boxes, Flag, Float32, Poses
from tposecli.utils.errors import UsageError

SAME_TIME: Final = 0.02
"""Share of a frame's duration by which frames at a constant rate may be early or late."""

ROUNDED_S: Final = 1e-3
"""Seconds to which some containers round times."""

NAMED: Final = "person_{}"
"""Name of a person who has none, by the id."""

_NAMED: Final = re.compile(r"person_(\d{1,15})")


@dataclass(frozen=True, slots=True)
class Person:
    """A person of a recording.

    Attributes:
        track: The track id.
        name: The name given by hand, else ``person_ID``; unique in the recording.
        named: Whether the name was given by hand.
    """

    track: int
    name: str
    named: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Recording:
    """F frames with P poses of K keypoints, smoothed if smoothing ran.

    Attributes:
        info: Provenance and keypoint layout: the journal's header, with the names of people.
        index: (F,) int64 indices of the frames in the video, ascending.
        time_s: (F,) float64 seconds.
        size_wh: (F, 2) int64 width and height in pixels.
        names: (F) names of the images, or of the video.
        stills: The frames are images that do not follow one another in time.
        frame: (P,) int64 positions of the poses' frames in the above, ascending.
        track: (P,) int64 track ids, ``UNTRACKED`` for people without.
        box: (P, 4) float32 left, top, right, bottom, pixels.
        person_score: (P,) float32.
        xy: (P, K, 2) float32 pixels.
        score: (P, K) float32; 0 or less for keypoints that were not found.
        flags: (P, K) uint8, bits of ``types.Flag``.
        min_score: Keypoints with a lower score are unreliable; formats without scores leave them out.
        px_per_m: Pixels of a metre; None if unknown.
        angles: How angles are told.
    """

    info: Mapping[str, Any]
    index: NDArray[np.int64]
    time_s: NDArray[np.float64]
    size_wh: NDArray[np.int64]
    names: Sequence[str]
    stills: bool
    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    box: Float32
    person_score: Float32
    xy: Float32
    score: Float32
    flags: NDArray[np.uint8]
    min_score: float = 0.2
    px_per_m: float | None = None
    angles: AngleOptions = field(default_factory=AngleOptions)

    @property
    def layout(self) -> KeypointLayout:
        """The keypoints."""
        return KeypointLayout.from_dict(self.info)

    @property
    def source(self) -> str:
        """Name of the video; empty for images."""
        return str(self.info.get("source") or "")

    @property
    def stem(self) -> str:
        """Name of the video without its extension."""
        return PurePosixPath(self.source).stem or "poses"

    @property
    def scorer(self) -> str:
        """What estimated the poses, in the way of DeepLabCut: ``tpose_transpose-r-a4``."""
        return "_".join(["tpose", *map(str, filter(None, [self.info.get("model")]))])

    @property
    def people(self) -> tuple[Person, ...]:
        """Everybody with a track id, by id."""
        given = {int(track): str(name) for track, name in dict(self.info.get("track_names") or {}).items()}
        tracks = [track for track in np.unique(self.track).tolist() if track != UNTRACKED]
        names = [given.get(track, NAMED.format(track)) for track in tracks]
        shared = Counter(names)
        return tuple(
            Person(track, name if shared[name] == 1 else f"{name}_{track}", track in given)
            for track, name in zip(tracks, names, strict=True)
        )

    @property
    def reliable(self) -> NDArray[np.bool_]:
        """(P, K) keypoints at or above the minimum score, or corrected by hand."""
        corrected = (self.flags & Flag.CORRECTED) > 0
        return np.asarray((self.score > 0) & ((self.score >= self.min_score) | corrected))

    def poses_at(self, place: int) -> Poses:
        """Return the people of the frame at a position in ``index``; boxes have no scores of their own."""
        rows = slice(*np.searchsorted(self.frame, [place, place + 1]))
        boxes = Boxes(self.box[rows], self.person_score[rows])
        return Poses(boxes, self.xy[rows], self.score[rows], self.track[rows], self.flags[rows])

    def select(self, rows: NDArray[np.bool_]) -> Recording:
        """Return the recording with only the poses of these rows, (P,)."""
        columns = ("frame", "track", "box", "person_score", "xy", "score", "flags")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def grid(self, person: Person, reliable_only: bool = False) -> NDArray[np.float64]:
        """Return (F, K, 3) x, y and score of one person in all frames; NaN where a keypoint was not found.

        Args:
            person: Who.
            reliable_only: Leave out unreliable keypoints, too.
        """
        rows = np.flatnonzero(self.track == person.track)
        kept = self.reliable[rows] if reliable_only else self.score[rows] > 0
        values = np.concatenate([self.xy[rows], self.score[rows][:, :, None]], axis=2).astype(np.float64)
        grid = np.full((len(self.index), len(self.layout), 3), np.nan)
        grid[self.frame[rows]] = np.where(kept[:, :, None], values, np.nan)
        return grid

    @property
    def mean_rate(self) -> float:
        """Mean frames per second; 0 for fewer than two frames."""
        if len(self.time_s) < 2 or self.time_s[-1] <= self.time_s[0]:
            return 0.0
        found = (len(self.time_s) - 1) / (self.time_s[-1] - self.time_s[0])
        return float(found)

    @property
    def has_constant_rate(self) -> bool:
        """Whether the frames are equally far apart in time, up to the rounding of containers."""
        rate = self.mean_rate
        if not rate:
            return True
        regular = self.time_s[0] + np.arange(len(self.time_s)) / rate
        return bool(np.abs(self.time_s - regular).max() <= max(SAME_TIME / rate, ROUNDED_S))

    def sole_person(self) -> Person:
        """Return the only person of a recording that holds at most one; a name without poses if there is nobody.

        Raises:
            UsageError: There are several.
        """
        people = self.people
        if len(people) > 1:
            raise UsageError(f"{self.source}: {len(people)} people, and the format holds one; add --per-person")
        return people[0] if people else Person(1, NAMED.format(1))


def track_ids(names: Sequence[str]) -> dict[str, int]:
    """Return track ids for the names of people in a file: those of ``person_ID``, else the next that are free."""
    ids = {name: int(match[1]) for name in names if (match := _NAMED.fullmatch(name)) and int(match[1])}
    free = (number for number in range(1, len(names) + len(ids) + 1) if number not in ids.values())
    return {name: ids.get(name) or next(free) for name in dict.fromkeys(names)}


def given_names(ids: Mapping[str, int]) -> dict[int, str]:
    """Return the names that people were given by their track ids, without those that only repeat the id."""
    return {track: name for name, track in ids.items() if name and name != NAMED.format(track)}
