"""The worst moments of a run, and tracks that may be one person: what to look at first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.report.columns import SURE, Columns
from tposecli.types import UNTRACKED, Flag

Array = NDArray[Any]

COUNT: Final = 20
"""Moments of each kind."""
APART_S: Final = 0.5
"""Moments of one track and kind are at least this far apart, seconds."""
SWITCH_S: Final = 2.0
SWITCH_SIZES: Final = 1.0
"""A track that begins within this time and distance, in body sizes, of another's end may be the same person."""
MIN_JUMP: Final = 0.05
MIN_APART: Final = 0.03
"""Jumps and disagreements below these fractions of the person's size are no moments."""

SCORE: Final = "score"
JUMP: Final = "jump"
EXCHANGE: Final = "exchange"
DISAGREE: Final = "disagree"
SWITCH: Final = "switch"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something to look at.

    Attributes:
        kind: One of the names above.
        row: Row of the columns.
        badness: Larger is worse; comparable within a kind.
        joint: Index of the joint that it is about; None for the whole person.
        text: What happened, in words.
        other: Id of another track that it is about; None for none.
    """

    kind: str
    row: int
    badness: float
    joint: int | None
    text: str
    other: int | None = None


def worst_moments(columns: Columns, layout: KeypointLayout) -> list[Moment]:
    """Return at most ``COUNT`` moments of each kind, the kinds in turn, each from its worst on."""
    if not len(columns):
        return []
    kinds = [
        list(_exchanges(columns, layout)),
        _jumps(columns, layout),
        _low_scores(columns, layout),
        _disagreements(columns, layout),
        list(switches(columns)),
    ]
    for kind in kinds:
        kind.sort(key=lambda moment: -moment.badness)
    ranked = [kind[:COUNT] for kind in kinds]
    return [kind[rank] for rank in range(COUNT) for kind in ranked if rank < len(kind)]


def switches(columns: Columns) -> Iterator[Moment]:
    """Yield the beginnings of tracks that may continue another one, which ended shortly before and near by."""
    runs = [(track, rows) for track, rows in columns.tracks() if track != UNTRACKED]
    centre = (columns.box[:, :2] + columns.box[:, 2:]) / 2
    size = columns.person_size
    times = columns.time_s[columns.frame] if len(columns) else np.zeros(0)
    ends = np.array([rows.stop - 1 for _, rows in runs], np.int64)
    for track, rows in runs:
        first = rows.start
        waited = times[first] - times[ends]
        distance = np.hypot(*(centre[ends] - centre[first]).T) / np.maximum(size[ends], size[first])
        near = (waited > 0) & (waited <= SWITCH_S) & (distance <= SWITCH_SIZES)
        if near.any():
            other = int(np.flatnonzero(near)[np.argmin(distance[near])])
            text = f"id {track} begins where id {runs[other][0]} ended {waited[other]:.1f} s before: the same person?"
            yield Moment(SWITCH, first, float(2 - distance[other]), None, text, runs[other][0])


def jumps(columns: Columns) -> Array:
    """Return the (R, K) moves since the frame before in body sizes, beyond that of the whole body; 0 if unsure."""
    moves = np.zeros(columns.score.shape)
    if len(columns) < 2:
        return moves
    step = columns.raw[1:] - columns.raw[:-1]
    step = step - np.median(step, axis=1, keepdims=True)
    sure = (columns.score[1:] >= SURE) & (columns.score[:-1] >= SURE)
    sure &= (columns.flags[1:] & Flag.FILLED == 0) & (columns.flags[:-1] & Flag.FILLED == 0)
    follows = (columns.track[1:] == columns.track[:-1]) & (columns.track[1:] != UNTRACKED)
    follows &= (columns.frame[1:] == columns.frame[:-1] + 1) & columns.measured[1:] & columns.measured[:-1]
    length = np.hypot(step[..., 0], step[..., 1]) / columns.person_size[1:, None]
    moves[1:] = np.where(sure & follows[:, None], length, 0)
    return moves


def disagreement(columns: Columns) -> Array:
    """Return the (R, K) distances between raw and smoothed in body sizes; 0 for filled joints."""
    away = columns.raw - columns.xy
    length = np.hypot(away[..., 0], away[..., 1]) / columns.person_size[:, None]
    filled = (columns.flags & Flag.FILLED != 0) | ~columns.measured[:, None]
    return np.asarray(np.where(filled, 0, length))


def _jumps(columns: Columns, layout: KeypointLayout) -> list[Moment]:
    moves = jumps(columns)
    joint = moves.argmax(axis=1)
    badness = moves[np.arange(len(moves)), joint]
    found = _peaks(columns, badness, MIN_JUMP)
    return [
        Moment(JUMP, row, float(badness[row]), int(joint[row]), _jump_text(layout, joint[row], badness[row]))
        for row in found
    ]


def _jump_text(layout: KeypointLayout, joint: int, badness: float) -> str:
    return f"{words(layout, joint)} jumps by {badness:.0%} of the person's size in one frame"


def _low_scores(columns: Columns, layout: KeypointLayout) -> list[Moment]:
    mean = np.where(columns.measured, columns.score.mean(axis=1), 1.0)
    lowest = columns.score.argmin(axis=1)
    found = _peaks(columns, 1 - mean, 0.2)
    return [
        Moment(
            *(SCORE, row, float(1 - mean[row]), int(lowest[row])),
            f"mean score {mean[row]:.2f}; lowest {words(layout, int(lowest[row]))}, {columns.score[row].min():.2f}",
        )
        for row in found
    ]


def _disagreements(columns: Columns, layout: KeypointLayout) -> list[Moment]:
    away = np.where(columns.flags & Flag.REPAIRED != 0, 0, disagreement(columns))
    joint = away.argmax(axis=1)
    badness = away[np.arange(len(away)), joint]
    outlier = columns.flags[np.arange(len(away)), joint] & Flag.OUTLIER != 0
    return [
        Moment(
            *(DISAGREE, row, float(badness[row]), int(joint[row])),
            f"{words(layout, int(joint[row]))} was measured {badness[row]:.0%} of the person's size off the smoothed "
            f"curve{' and left out as an outlier' if outlier[row] else ''}",
        )
        for row in _peaks(columns, badness, MIN_APART)
    ]


def _exchanges(columns: Columns, layout: KeypointLayout) -> Iterator[Moment]:
    """Yield a moment for each run of frames in which left and right of a person were exchanged."""
    repaired = columns.flags & Flag.REPAIRED != 0
    rows = np.flatnonzero(repaired.any(axis=1))
    if not len(rows):
        return
    new = (np.diff(rows) > 1) | (np.diff(columns.track[rows]) != 0) | (np.diff(columns.frame[rows]) > 1)
    for part in np.split(rows, np.flatnonzero(new) + 1):
        joints = np.flatnonzero(repaired[part].any(axis=0))
        frames = "one frame" if len(part) == 1 else f"{len(part)} frames"
        middle = int(part[len(part) // 2])
        away = float(disagreement(columns)[middle, joints].max())
        text = f"left and right {_parts(layout, joints.tolist())} exchanged for {frames}; repaired"
        yield Moment(EXCHANGE, middle, len(joints) + away, int(joints[-1]), text)


def _parts(layout: KeypointLayout, joints: Sequence[int]) -> str:
    """Return what was exchanged: ``legs``, ``arms``, or the names of the joints."""
    parts = list(dict.fromkeys(layout.part(joint) for joint in joints))
    groups = {"legs": {"hip", "knee", "ankle"}, "arms": {"shoulder", "elbow", "wrist"}, "faces": {"eye", "ear"}}
    named = [name for name, members in groups.items() if len(members & set(parts)) > 1]
    rest = [f"{part}s" for part in parts if not any(part in groups[name] for name in named)]
    return " and ".join(named + rest)


def _peaks(columns: Columns, badness: Array, least: float) -> list[int]:
    """Return rows from the worst on, with no two of a track close in time."""
    chosen: list[int] = []
    times = columns.time_s[columns.frame]
    candidates = np.argsort(-badness, kind="stable")[: 200 * COUNT]
    stills = bool(columns.names)
    for row in candidates[badness[candidates] >= least].tolist():
        near = (
            columns.frame[row] == columns.frame[other]
            if stills
            else columns.track[row] == columns.track[other] and abs(times[row] - times[other]) < APART_S
            for other in chosen
        )
        if not any(near):
            chosen.append(row)
            if len(chosen) == COUNT:
                break
    return chosen


def words(layout: KeypointLayout, joint: int) -> str:
    """Return the name of a joint for people."""
    return layout.names[int(joint)].replace("_", " ")
