"""Load poses and ground truth, and align them by frame."""

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
from tposecli.formats.with_frames import without_pixels
from tposecli.pipeline.corrections import build_processor, read_corrections_of
from tposecli.pipeline.postprocess import STILLS, PostOptions, PostProcessor
from tposecli.types import Poses
from tposecli.utils.errors import InputError

UNKNOWN_SIZE = (1, 1)


@dataclass(frozen=True, slots=True)
class ClipData:
    """Poses and ground truth of the same frames.

    Attributes:
        ids: Image id of each frame in the ground truth file.
        truth: Ground truth of F frames.
        columns: The poses in these frames, by label: as measured, smoothed.
        stills: Whether the frames are unrelated images.
        left_out: Number of ground truth frames that the run did not process.
    """

    ids: list[int]
    truth: list[Truth]
    columns: dict[str, list[Poses]]
    stills: bool
    left_out: int


def load(given: PoseInput, truth_path: Path, options: PostOptions) -> ClipData:
    """Read poses and ground truth; track and smooth the poses unless they already are.

    Frames of a journal are matched by index, images by name; poses of other tools are assigned to the frames of the
    ground truth. A dataset written by tposecli keeps its own smoothed poses, unless people are to be tracked again;
    everything else is smoothed according to the options.

    Raises:
        InputError: A file is missing or damaged, or the two do not belong to the same frames.
    """
    truth = _truth(truth_path)
    found = read_poses(given.path, given.kind)
    if isinstance(found, Journal):
        recording = align_journal(found)
        key = _name_of if truth.stills else _index_of
        post = build_processor(recording, given, options, read_corrections_of(recording, given))
        entries = list(recording.frames)
    else:
        key, tracked = _index_of, found.tracked and not given.track_again
        entries = list(_assign_frames(found, truth))
        if found.smoothed is not None and tracked:
            smoothed = list(_assign_frames(replace(found, poses=found.smoothed), truth))
            return _common_frames(truth, key, {"as measured": entries, "smoothed": smoothed})
        post = PostProcessor.build(STILLS if truth.stills else options)
        post = replace(post, tracker=None) if tracked else post
    raw, smoothed = _post_process(entries, post)
    label = "as measured" if isinstance(found, Journal) else "as in the file"
    method = options.smooth.resolved(live=False).method
    smoothed_label = "repaired" if method == "none" else f"smoothed ({method})"
    columns = {label: raw} | ({smoothed_label: smoothed} if smoothed else {})
    return _common_frames(truth, key, columns)


def _truth(path: Path) -> PoseFile:
    found = read_poses(path)
    if isinstance(found, Journal) or not found.poses:
        raise InputError(f"{path}: not a ground truth; expected a COCO keypoint dataset, as made by tpose sample-media")
    return found


def _index_of(frame: JournalFrame | FrameRef) -> int | str:
    return frame.index


def _name_of(frame: JournalFrame | FrameRef) -> int | str:
    return PurePath(frame.name).name


def _assign_frames(found: PoseFile, truth: PoseFile) -> Iterator[JournalFrame]:
    """Yield the poses of another tool for each frame of the ground truth."""
    names = [ref.name for ref in truth.frames] if truth.stills else None
    table = poses_by_index(found, names)
    for ref in truth.frames:
        size_wh = ref.size_wh or UNKNOWN_SIZE
        poses = table.get(ref.index, NO_PEOPLE)
        yield JournalFrame(ref.index, ref.name, ref.pts, ref.time_s or 0.0, size_wh, poses)


def _post_process(
    entries: Iterable[JournalFrame], post: PostProcessor
) -> tuple[list[JournalFrame], list[JournalFrame]]:
    """Return the poses with track ids, and the smoothed poses, if any."""
    raw: list[JournalFrame] = []
    smoothed: list[JournalFrame] = []
    for result in post.process(without_pixels(entries)):
        frame = result.frame
        facts = frame.index, frame.name, frame.pts, frame.time_s, frame.size_wh
        raw.append(JournalFrame(*facts, result.poses))
        if result.smoothed is not None:
            smoothed.append(JournalFrame(*facts, result.smoothed))
    return raw, smoothed


def _common_frames(
    truth: PoseFile, key: Callable[[JournalFrame | FrameRef], int | str], columns: Mapping[str, Iterable[JournalFrame]]
) -> ClipData:
    """Select the frames that both the poses and the ground truth have."""
    tables = {label: {key(frame): frame.poses for frame in frames} for label, frames in columns.items()}
    known = next(iter(tables.values()))
    refs = [ref for ref in truth.frames if key(ref) in known]
    if not refs:
        raise InputError(
            f"{truth.path}: none of its frames is among those of the poses; name the ground truth of the same clip"
        )
    frames = [
        Truth(
            ref.time_s or 0.0,
            truth.poses.get(ref.id, NO_PEOPLE),
            truth.area.get(ref.id, np.zeros(len(truth.poses.get(ref.id, NO_PEOPLE)))),
        )
        for ref in refs
    ]
    poses = {label: [table[key(ref)] for ref in refs] for label, table in tables.items()}
    stills = truth.stills or not truth.has_times
    return ClipData([ref.id for ref in refs], frames, poses, stills, len(truth.frames) - len(refs))
