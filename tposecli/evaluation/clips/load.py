"""Truth and poses, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np

from tposecli.evaluation.clips.matching import Truth
from tposecli.formats.align import NO_PEOPLE, PoseInput, align_journal, poses_by_index
from tposecli.formats.base import FrameRef, PoseFile
from tposecli.formats.journal.journal import Journal
from tposecli.formats.journal.records import JournalFrame
from tposecli.formats.read import read_poses
from tposecli.formats.with_frames import make_frame
from tposecli.pipeline.postprocess import STILLS, PostOptions, PostProcessor
from tposecli.pipeline.rerun import blank
from tposecli.types import Poses, Result
from tposecli.utils.errors import InputError

UNKNOWN_SIZE = (1, 1)


@dataclass(frozen=True, slots=True)
class Clip:
    """What is compared.

    Attributes:
        ids: Image id of each frame in the file of the truth.
        truth: F frames.
        columns: The poses in these frames by what they are: as measured, smoothed.
        stills: The frames do not follow one another in time.
        left_out: Frames of the truth that the run did not look at.
    """

    ids: list[int]
    truth: list[Truth]
    columns: dict[str, list[Poses]]
    stills: bool
    left_out: int


def load(given: PoseInput, truth_path: Path, options: PostOptions) -> Clip:
    """Read both, and track and smooth what is not tracked and smoothed yet.

    Frames of a journal are those of the truth by their index, pictures by their name; poses of other tools belong to
    the frames that the truth has. Of a dataset of ours the smoothed poses are those in it, unless people are to be
    tracked again; everything else is smoothed as the options say.

    Raises:
        InputError: A file is missing, damaged, or not of the other's frames.
    """
    truth = _truth(truth_path)
    found = read_poses(given.path, given.kind)
    if isinstance(found, Journal):
        recording = align_journal(found)
        key = _name_of if truth.stills else _index_of
        entries, tracked, weak_score = list(recording.frames), False, recording.weak_score
    else:
        key, tracked, weak_score = _index_of, found.tracked and not given.track_again, 0.0
        entries = list(_on_truth_frames(found, truth))
        if found.smoothed is not None and tracked:
            shown = list(_on_truth_frames(replace(found, poses=found.smoothed), truth))
            return _clip(truth, key, {"as measured": entries, "smoothed": shown})
    post = PostProcessor.build(STILLS if truth.stills else options, weak_score=weak_score)
    raw, smoothed = _followed(entries, replace(post, tracker=None) if tracked else post)
    label = "as measured" if isinstance(found, Journal) else "as in the file"
    method = options.smooth.resolved(live=False).method
    better = "repaired" if method == "none" else f"smoothed ({method})"
    columns = {label: raw} | ({better: smoothed} if smoothed else {})
    return _clip(truth, key, columns)


def _truth(path: Path) -> PoseFile:
    found = read_poses(path)
    if isinstance(found, Journal) or not found.poses:
        raise InputError(
            f"{path}: no truth; name a COCO dataset with the keypoints of people, as tpose sample-media makes"
        )
    return found


def _index_of(frame: JournalFrame | FrameRef) -> int | str:
    return frame.index


def _name_of(frame: JournalFrame | FrameRef) -> int | str:
    return PurePath(frame.name).name


def _on_truth_frames(found: PoseFile, truth: PoseFile) -> Iterator[JournalFrame]:
    """Poses of another tool in the frames of the truth."""
    names = [frame.name for frame in truth.frames] if truth.stills else None
    table = poses_by_index(found, names)
    for frame in truth.frames:
        size_wh = frame.size_wh or UNKNOWN_SIZE
        poses = table.get(frame.index, NO_PEOPLE)
        yield JournalFrame(frame.index, frame.name, frame.pts, frame.time_s or 0.0, size_wh, poses)


def _followed(entries: Iterable[JournalFrame], post: PostProcessor) -> tuple[list[JournalFrame], list[JournalFrame]]:
    """The poses with ids, and the smoothed ones, if there are any."""
    raw: list[JournalFrame] = []
    smoothed: list[JournalFrame] = []
    results = (Result(make_frame(entry, blank(entry.size_wh)), entry.poses) for entry in entries)
    for result in post.process(results):
        frame = result.frame
        facts = frame.index, frame.name, frame.pts, frame.time_s, frame.size_wh
        raw.append(JournalFrame(*facts, result.poses))
        if result.smoothed is not None:
            smoothed.append(JournalFrame(*facts, result.smoothed))
    return raw, smoothed


def _clip(
    truth: PoseFile, key: Callable[[JournalFrame | FrameRef], int | str], columns: Mapping[str, Iterable[JournalFrame]]
) -> Clip:
    """The frames that both know."""
    tables = {label: {key(frame): frame.poses for frame in frames} for label, frames in columns.items()}
    known = next(iter(tables.values()))
    kept = [frame for frame in truth.frames if key(frame) in known]
    if not kept:
        raise InputError(
            f"{truth.path}: not one of its frames is among those of the poses; is it the truth of another?"
        )
    frames = [
        Truth(
            frame.time_s or 0.0,
            truth.poses.get(frame.id, NO_PEOPLE),
            truth.area.get(frame.id, np.zeros(len(truth.poses.get(frame.id, NO_PEOPLE)))),
        )
        for frame in kept
    ]
    poses = {label: [table[key(frame)] for frame in kept] for label, table in tables.items()}
    stills = truth.stills or not truth.has_times
    return Clip([frame.id for frame in kept], frames, poses, stills, len(truth.frames) - len(kept))
