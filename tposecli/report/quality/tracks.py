"""What is odd about a track: numbers, and the same in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.report.columns import SURE, Columns
from tposecli.report.facts import share
from tposecli.report.moments import switches, words
from tposecli.report.quality.evidence import averaged, bone_length
from tposecli.types import UNTRACKED, Flag

Array = NDArray[Any]

VERDICTS: Final = ("good", "fair", "poor")
GOOD: Final = 0.05
FAIR: Final = 0.15
"""Up to this share of wrong joints a track is good, or fair."""
VARIES: Final = 0.15
"""Bones whose length differs by more than this from that of the moments around vary."""
FORESHORTENED: Final = 0.3
"""Bones shorter than this share of their usual length point at the camera: theirs may vary."""
FASTEST: Final = 10.0
"""Body heights a second: 17 m/s for a person of 1.7 m. Only hands that throw are faster."""
NOTABLE: Final = 0.05
"""Shares above this are put into words."""
LATE_S: Final = 0.5
"""Tracks that begin within this time of the first frame were there before it."""
BORDER: Final = 2.0
"""Boxes that end within this many pixels of the border of the frame are cut by it."""
EDGE: Final = 0.03
"""Who appears within this share of the frame's longer side from its border may have walked in."""
FEW: Final = 3
"""Joints that are named as the worst."""


@dataclass(frozen=True, slots=True)
class TrackQuality:
    """The quality of one track, or of all people without an id.

    Attributes:
        track: Its id; None for people without one.
        name: Name given to the person by hand, or empty.
        begin_s: Time of its first frame.
        end_s: Time of its last one.
        frames: Number of frames with the person.
        wrong: Expected share of joints that are off by more than a tenth of the person's height.
        worst: That share of each of the worst joints that are notable, by name.
        low: Share of joints with a score below 0.2.
        filled: Share of joints that were filled in.
        repaired: Share of joints of which left and right were exchanged.
        outliers: Share of joints that were left out as outliers.
        gaps: Number of times for which the person is missing.
        missing_s: Their length in all.
        bones: Share of bones that are 15 % longer or shorter than 0.2 s before and after.
        fast: Share of joints that move faster than people can.
        cut: Share of frames in which the border of the picture cuts the person off.
        continues: Id of a track that ended shortly before, near where this one begins; None if there is none.
        appears: Whether it begins in mid-picture, after the beginning.
    """

    track: int | None
    name: str
    begin_s: float
    end_s: float
    frames: int
    wrong: float
    worst: Mapping[str, float]
    low: float
    filled: float
    repaired: float
    outliers: float
    gaps: int
    missing_s: float
    bones: float
    fast: float
    cut: float
    continues: int | None
    appears: bool

    @property
    def verdict(self) -> str:
        """``good``, ``fair`` or ``poor``, by the share of joints that are probably wrong."""
        return VERDICTS[(self.wrong > GOOD) + (self.wrong > FAIR)]

    @property
    def label(self) -> str:
        """What the track is called."""
        return "no id" if self.track is None else f"{self.track} {self.name}".strip()

    def remarks(self) -> list[str]:
        """Return what to know about the track, in words, the most important first."""
        found = []
        if self.worst:
            found.append("often wrong: " + ", ".join(f"{name} ({share(each)})" for name, each in self.worst.items()))
        if self.continues is not None:
            found.append(f"begins at {self.begin_s:.1f} s where id {self.continues} had just ended: one person?")
        elif self.appears:
            found.append(f"begins in the middle of the frame at {self.begin_s:.1f} s")
        if self.gaps:
            found.append(f"missing {_times(self.gaps)}, for {self.missing_s:.1f} s in all")
        notable = {
            "of its joints were filled in": self.filled,
            "of its joints were exchanged with the other side and put right": self.repaired,
            "of its joints were left out as outliers": self.outliers,
            "of its bones change length by more than 15 % within 0.2 s": self.bones,
            "of its joints move faster than people can": self.fast,
            "of its frames are cut by the border": self.cut,
        }
        return found + [f"{share(value)} {what}" for what, value in notable.items() if value > NOTABLE]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        numbers = {name: getattr(self, name) for name in self.__slots__}
        rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in numbers.items()}
        worst = {name: round(value, 4) for name, value in self.worst.items()}
        return {**rounded, "worst": worst, "verdict": self.verdict, "remarks": self.remarks()}


def judge_tracks(
    columns: Columns, layout: KeypointLayout, wrong: Array, names: Mapping[int, str]
) -> Iterator[TrackQuality]:
    """Yield the quality of each track, and of the people without an id last.

    Args:
        columns: R people with K joints.
        layout: The joints.
        wrong: (R, K) probabilities that joints are wrong.
        names: Names given by hand, by id.
    """
    bones, fast = _varying_bones(columns, layout), _too_fast(columns)
    earlier = _earlier_tracks(columns)
    times, flags = columns.time_s[columns.frame], columns.flags
    cut = _border_distance(columns) <= BORDER
    for track, rows in columns.tracks():
        begin_s, end_s = float(times[rows].min()), float(times[rows].max())
        by_joint = wrong[rows].mean(axis=0)
        order = [int(joint) for joint in np.argsort(-by_joint, kind="stable")[:FEW] if by_joint[joint] > FAIR]
        tracked = track != UNTRACKED
        gaps = np.diff(columns.frame[rows]) > 1 if tracked else np.zeros(0, bool)
        late = tracked and begin_s > float(columns.time_s[0]) + LATE_S
        inside = _border_distance(columns)[rows.start] > EDGE * max(columns.size)
        yield TrackQuality(
            track=track if tracked else None,
            name=names.get(track, ""),
            begin_s=begin_s,
            end_s=end_s,
            frames=rows.stop - rows.start,
            wrong=float(wrong[rows].mean()),
            worst={words(layout, joint): float(by_joint[joint]) for joint in order},
            low=float(
                (columns.score[rows] < SURE)[columns.measured[rows]].mean() if columns.measured[rows].any() else 0
            ),
            filled=float((flags[rows] & Flag.FILLED != 0).mean()),
            repaired=float((flags[rows] & Flag.REPAIRED != 0).mean()),
            outliers=float((flags[rows] & Flag.OUTLIER != 0).mean()),
            gaps=int(gaps.sum()),
            missing_s=float(np.diff(times[rows])[gaps].sum()) if tracked else 0.0,
            bones=float(bones[rows].mean()) if bones.size else 0.0,
            fast=float(fast[rows].mean()),
            cut=float(cut[rows].mean()),
            continues=earlier.get(rows.start) if tracked else None,
            appears=bool(late and inside),
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _earlier_tracks(columns: Columns) -> dict[int, int]:
    """Return the id of the track that each track may continue, by its first row."""
    if columns.names:
        return {}
    return {moment.row: moment.other for moment in switches(columns) if moment.other is not None}


def _border_distance(columns: Columns) -> Array:
    """Return the (R,) distances of boxes from the border of the frame in pixels, negative outside."""
    size = columns.size_wh[columns.frame] - 1
    return np.asarray(np.minimum(columns.box[:, :2].min(axis=1), (size - columns.box[:, 2:]).min(axis=1)))


def _varying_bones(columns: Columns, layout: KeypointLayout) -> Array:
    """Return (R, bones) whether the length of a bone differs from its mean over some time around."""
    if not layout.limbs or columns.names:
        return np.zeros((len(columns), 0), bool)
    length = np.stack([bone_length(columns, ends) for ends in layout.limbs], axis=1)
    usual = np.zeros_like(length)
    for track, rows in columns.tracks():
        if track != UNTRACKED:
            usual[rows] = np.median(length[rows], axis=0)
    mean = averaged(columns, length)
    varies = np.abs(length - mean) > VARIES * np.maximum(mean, FORESHORTENED * usual)
    return np.asarray(varies & (usual > 0) & (mean > FORESHORTENED * usual))


def _too_fast(columns: Columns) -> Array:
    """Return (R, K) whether a joint, as measured and sure, moved from the frame before faster than people can."""
    fast = np.zeros(columns.score.shape, bool)
    times = columns.time_s[columns.frame]
    sure = (columns.score >= SURE) & columns.measured[:, None]
    for track, rows in columns.tracks():
        if track == UNTRACKED or rows.stop - rows.start < 2:
            continue
        height = float(np.percentile(columns.person_size[rows], 90))
        step = np.linalg.norm(np.diff(columns.raw[rows], axis=0), axis=2)
        elapsed = np.maximum(np.diff(times[rows]), 1e-6)[:, None]
        both = sure[rows][1:] & sure[rows][:-1]
        fast[rows][1:] = both & (step / height / elapsed > FASTEST)
    return fast
