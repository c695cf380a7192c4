"""Journals of made-up runs: of numbered films with the times of other films, and people who walk as told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.media import numbered
from tposecli.formats.journal.journal import JournalWriter
from tposecli.formats.journal.provenance import describe_source, fingerprint
from tposecli.formats.journal.records import JournalFrame
from tposecli.geometry.keypoints import COCO
from tposecli.report.columns import Columns
from tposecli.sinks.video import VideoOptions, VideoSink
from tposecli.sources.timestamps import timestamps
from tposecli.sources.video import VideoSource
from tposecli.types import Boxes, Poses, SourceInfo

FIGURE = np.array(
    [
        [0.5, 0.1],
        *([0.53, 0.07], [0.47, 0.07], [0.57, 0.08], [0.43, 0.08]),
        *([0.65, 0.22], [0.35, 0.22], [0.75, 0.38], [0.25, 0.38], [0.85, 0.52], [0.15, 0.52]),
        *([0.6, 0.55], [0.4, 0.55], [0.62, 0.75], [0.38, 0.75], [0.64, 0.95], [0.36, 0.95]),
    ]
)
"""A standing person who faces the camera, in a unit box; their left is on the right of the picture."""

PeopleOf = Callable[[int], Poses]


def standing(lefts: Sequence[float], top: float = 34, height: float = 28, score: float = 0.8) -> Poses:
    """Return people side by side, without ids."""
    boxes = np.array([[left, top, left + height / 2, top + height] for left in lefts], np.float32).reshape(-1, 4)
    corners = boxes[:, None, :2]
    xy = FIGURE * (height / 2, height) + corners
    return Poses(Boxes(boxes, np.full(len(boxes), 0.9)), xy, np.full((len(boxes), 17), score))


def walking(frame: int) -> Poses:
    """Return one person who walks to the right in a film of 128x64."""
    return standing([10 + frame / 3])


def numbered_copy(original: Path, path: Path, size: tuple[int, int] = (128, 64), crf: int = 10) -> Path:
    """Write a film with the times of another one, whose frames show their numbers."""
    source = VideoSource(original)
    info = SourceInfo(path.name, size, source.info.fps, source.info.time_base)
    with VideoSink(path, info, VideoOptions(crf=crf)) as sink:
        for number, pts in enumerate(timestamps(source)):
            sink.write(numbered(number, *size), pts, 0.0)
    return path


def journal_of(video: Path, path: Path, people: PeopleOf = walking, **header: Any) -> Path:
    """Write the journal of a run over a video."""
    source = VideoSource(video)
    base = source.info.time_base or Fraction(1)
    head = {**describe_source(source.info), **COCO.to_dict(), "source_sha256": fingerprint([video]), **header}
    writer = JournalWriter(path, {"tool": "tposecli", "tool_version": "0", **head})
    for number, pts in enumerate(timestamps(source)):
        poses = people(number)
        size = source.info.size_wh or (1, 1)
        writer.write(JournalFrame(number, source.info.name, pts, float(pts * base), size, poses), poses)
    writer.close(complete=True)
    return path


def made_up_journal(path: Path, frames: int, people: PeopleOf, rate: int = 30, **header: Any) -> Path:
    """Write the journal of a video that never was."""
    info = SourceInfo("made_up.mp4", (128, 64), Fraction(rate), Fraction(1, rate))
    writer = JournalWriter(path, {**describe_source(info), **COCO.to_dict(), "source_sha256": None, **header})
    for number in range(frames):
        poses = people(number)
        writer.write(JournalFrame(number, info.name, number, number / rate, (128, 64), poses), poses)
    writer.close(complete=True)
    return path


def long_columns(frames: int) -> Columns:
    """Return one person who sways, with noise in what was measured."""
    random, number = np.random.default_rng(0), np.arange(frames)
    xy = standing([40]).xy.repeat(frames, axis=0)
    xy[:, :, 0] += (20 * np.sin(number / 40))[:, None]
    raw = (xy + random.normal(0, 0.8, xy.shape)).astype(np.float32)
    score = np.clip(0.8 + random.normal(0, 0.05, (frames, 17)), 0, 1).astype(np.float32)
    box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    return Columns(
        *(number, number / 30, np.tile([128, 64], (frames, 1)), number, np.ones(frames, np.int64)),
        *(np.ones(frames, bool), box, np.full(frames, 0.9), xy, raw, score, np.zeros((frames, 17), np.uint8)),
        smoothed=True,
    )
