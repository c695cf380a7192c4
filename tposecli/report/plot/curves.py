"""Curves of a take: angles, positions and speeds of each person over time, raw and smoothed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.formats.align import PoseInput, read_aligned
from tposecli.geometry.angles import ALL_ANGLES, Angle, angular_rates, rates, sure_angles
from tposecli.geometry.facing import AngleReader
from tposecli.geometry.keypoints import KEYPOINTS, KeypointLayout
from tposecli.geometry.motion_options import AngleOptions, ScaleOptions
from tposecli.geometry.scale import body_length
from tposecli.pipeline.corrections import names_of, read_corrections_of
from tposecli.pipeline.whole import Whole
from tposecli.report.columns import SURE, Columns
from tposecli.report.plot.options import Event, PlotOptions
from tposecli.report.read_run import collect, warn_of_part
from tposecli.tracking.corrections import SAME_TIME_S
from tposecli.types import UNTRACKED, Boxes, Flag, Poses
from tposecli.utils.errors import UsageError

log = logging.getLogger("tposecli")

Float64 = NDArray[np.float64]

MAX_PEOPLE: Final = 6
"""People of a take who are plotted unless they are asked for."""


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """One quantity of one person.

    Attributes:
        take: Number of the take, from 0.
        who: The person.
        panel: What is plotted, with its unit: the label of the axis.
        time_s: (T,) times of all frames from the first one of the person to the last one.
        raw: (T,) values as measured, NaN in gaps.
        smooth: (T,) smoothed values.
        down: Whether values grow downwards in the image.
        unsigned: Whether it is flexion of a person who never faces a side.
    """

    take: int
    who: str
    panel: str
    time_s: Float64
    raw: Float64
    smooth: Float64
    down: bool = False
    unsigned: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Person:
    """What is known of one person over T frames.

    Attributes:
        who: Name or id.
        time_s: (T,).
        facing: (T,).
        raw: (T, K, 2) pixels, NaN where nobody was measured.
        xy: (T, K, 2) smoothed.
        score: (T, K); 0 in frames without the person.
        measured: (T, K) scores of joints that were measured and not filled in.
    """

    who: str
    time_s: Float64
    facing: NDArray[np.int64]
    raw: Float64
    xy: Float64
    score: Float64
    measured: Float64

    @classmethod
    def of(cls, columns: Columns, rows: slice, who: str, reader: AngleReader) -> Person:
        """Take a person from the columns of a run."""
        frame = columns.frame[rows]
        first, count = int(frame[0]), int(frame[-1] - frame[0]) + 1
        time_s = columns.time_s[first : first + count]
        at = frame - first
        shape = (count, columns.xy.shape[1])
        raw, xy = np.full((*shape, 2), np.nan), np.full((*shape, 2), np.nan)
        score, measured, facing = np.zeros(shape), np.zeros(shape), np.zeros(count, np.int64)
        raw[at], xy[at], score[at] = columns.raw[rows], columns.xy[rows], columns.score[rows]
        filled = (columns.flags[rows] & Flag.FILLED) > 0
        measured[at] = np.where(filled | ~columns.measured[rows][:, None], 0, columns.score[rows])
        for place in at.tolist():
            facing[place] = reader.facing(_alone(xy[place], score[place]), float(time_s[place]))[0]
        return cls(who, time_s, facing, raw, xy, score, measured)

    def angle(self, angle: Angle, raw: bool = False) -> Float64:
        """Return the (T,) values of an angle, degrees."""
        xy, score = (self.raw, self.measured) if raw else (self.xy, self.score)
        return sure_angles(xy, score, self.facing, (angle,), SURE)[:, 0]

    def joint(self, joint: int, raw: bool = False) -> Float64:
        """Return the (T, 2) positions of a joint, pixels."""
        xy, score = (self.raw, self.measured) if raw else (self.xy, self.score)
        return np.where(score[:, joint, None] >= SURE, xy[:, joint], np.nan)

    def moment(self, event: Event) -> float | None:
        """Return when an event happens first, between two frames; None if it does not."""
        values = self.angle(_angle(event.angle)) - event.value
        values = values if event.rises else -values
        happens = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))
        if not len(happens):
            return None
        at = int(happens[0])
        share = -values[at] / (values[at + 1] - values[at])
        return float(self.time_s[at] + share * (self.time_s[at + 1] - self.time_s[at]))


def _alone(xy: Float64, score: Float64) -> Poses:
    return Poses(Boxes(np.zeros((1, 4), np.float32), np.ones(1, np.float32)), xy[None], score[None], np.array([1]))  # type: ignore[arg-type]


def _angle(name: str) -> Angle:
    return next(angle for angle in ALL_ANGLES if angle.name == name)


def read_curves(takes: list[PoseInput], options: PlotOptions) -> list[Curve]:
    """Return the curves of all takes, aligned.

    Raises:
        InputError: A take is missing or damaged.
        UsageError: A person is not there, an event does not happen, a time is outside its take, or a take has other
            keypoints.
    """
    if not options.joints and options.scale != ScaleOptions():
        log.warning("--person-height and --scale-px-per-m change nothing about angles; add --joint to plot metres")
    return [curve for number, given in enumerate(takes) for curve in _curves_of(given, number, options)]


def _curves_of(given: PoseInput, number: int, options: PlotOptions) -> list[Curve]:
    recording = read_aligned(given)
    layout = KeypointLayout.from_dict(recording.header)
    if recording.stills:
        raise UsageError(f"{given.path}: images do not follow one another; name the journal of a video")
    if not layout.is_coco:
        raise UsageError(f"{given.path}: has other keypoints than COCO's 17; name another journal")
    corrections = read_corrections_of(recording, given)
    collector = collect(recording, layout, given, corrections)
    columns = collector.columns(stills=False)
    warn_of_part(collector, columns, given.path)
    _check_time(columns, number, options, given.path)
    whole = _whole(columns, names_of(recording.header, corrections))
    scale = whole.scale(options.scale) if options.joints else None
    px_per_m = None if scale is None else scale.px_per_m
    found = []
    for person, rows in _chosen(columns, whole, options, given.path):
        reader = AngleReader(AngleOptions(options.facing))
        one = Person.of(columns, rows, whole.label(person), reader)
        zero_s = _zero(one, number, options, given.path)
        curves = [*_angles(one, number, options), *_joints(one, number, options, px_per_m)]
        found += [replace(curve, time_s=curve.time_s - zero_s) for curve in curves]
    return found


def _check_time(columns: Columns, number: int, options: PlotOptions, path: Path) -> None:
    """Check that the time of a take that becomes 0 is in it.

    Raises:
        UsageError: It is before the first frame or after the last one.
    """
    times = columns.time_s
    if not options.align_s or not len(times):
        return
    at_s, first_s, last_s = options.align_s[number], float(times[0]), float(times[-1])
    if not first_s - SAME_TIME_S <= at_s <= last_s + SAME_TIME_S:
        raise UsageError(
            f"{path}: --align {at_s:g}: this take goes from {first_s:g} to {last_s:g} s; choose a time in it"
        )


def _whole(columns: Columns, names: dict[int, str]) -> Whole:
    times = columns.time_s[columns.frame]
    tracks = {track: rows for track, rows in columns.tracks() if track != UNTRACKED}
    spans = {track: (float(times[rows][0]), float(times[rows][-1])) for track, rows in tracks.items()}
    lengths = {track: body_length(columns.xy[rows], columns.score[rows]).tolist() for track, rows in tracks.items()}
    return Whole(spans, names, lengths)


def _chosen(columns: Columns, whole: Whole, options: PlotOptions, path: Path) -> list[tuple[int, slice]]:
    """Return the people who are plotted, with their rows."""
    tracks = {track: rows for track, rows in columns.tracks() if track != UNTRACKED}
    if options.people:
        asked = list(dict.fromkeys(whole.find(who) for who in options.people))
        return [(person, tracks[person]) for person in asked]
    if not tracks:
        raise UsageError(f"{path}: there is nobody with an id in it; name another journal")
    longest = sorted(tracks, key=lambda track: tracks[track].start - tracks[track].stop)[:MAX_PEOPLE]
    if len(tracks) > len(longest):
        log.warning("%s: plotted the %d longest of %d tracks; choose with --people", path, len(longest), len(tracks))
    return [(person, tracks[person]) for person in sorted(longest)]


def _zero(person: Person, number: int, options: PlotOptions, path: Path) -> float:
    """Return the time that becomes 0."""
    if options.align_s:
        return options.align_s[number]
    if options.event is None:
        return 0.0
    found = person.moment(options.event)
    if found is None:
        values = person.angle(_angle(options.event.angle))
        seen = values[np.isfinite(values)]
        extent = f"it goes from {seen.min():.0f} to {seen.max():.0f}" if len(seen) else "it is never seen"
        raise UsageError(
            f"{path}: {person.who}: {options.event} does not happen, {extent}; choose another value, or --people"
        )
    return found


def _angles(person: Person, number: int, options: PlotOptions) -> list[Curve]:
    found = []
    for name in options.angles:
        angle = _angle(name)
        raw, smooth = person.angle(angle, raw=True), person.angle(angle)
        words = name.replace("_", " ")
        what = f"{words} to horizontal (°)" if angle.is_segment else f"{words} flexion (°)"
        if options.speed:
            what = f"{words} (°/s)"
            raw, smooth = (angular_rates(values[:, None], person.time_s)[:, 0] for values in (raw, smooth))
        unsigned = not angle.is_segment and not options.speed and not person.facing.any()
        found.append(Curve(number, person.who, what, person.time_s, raw, smooth, unsigned=unsigned))
    return found


def _joints(person: Person, number: int, options: PlotOptions, px_per_m: float | None) -> list[Curve]:
    unit = "px" if px_per_m is None else "m"
    found = []
    for name in options.joints:
        joint = KEYPOINTS.index(name)
        raw, smooth = (person.joint(joint, raw) / (px_per_m or 1.0) for raw in (True, False))
        words = name.replace("_", " ")
        if options.speed:
            speeds = (np.hypot(*rates(values, person.time_s).T) for values in (raw, smooth))
            found.append(Curve(number, person.who, f"{words} ({unit}/s)", person.time_s, *speeds))
            continue
        for axis, letter in enumerate("xy"):
            panel = f"{words} {letter} ({unit})"
            found.append(
                Curve(number, person.who, panel, person.time_s, raw[:, axis], smooth[:, axis], down=letter == "y")
            )
    return found
