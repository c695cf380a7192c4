"""Cut a job into segments that begin at groups of pictures and consist of whole groups of frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from tposecli.formats.journal.journal import SUFFIX, journal_path
from tposecli.hub.remote import is_stored
from tposecli.inference.runtime import runtime_for
from tposecli.pipeline.job import AnyJob, Outputs, Settings, VideoJob
from tposecli.pipeline.outputs import needs_attention
from tposecli.pipeline.stream import group_frames
from tposecli.sources import open_video_input
from tposecli.sources.locations import is_read_once, is_url
from tposecli.sources.packet_index import PacketIndex
from tposecli.sources.video import VideoSource

LEAST_GROUPS: Final = 4
"""Groups of frames in a segment: less is not worth decoding from the group of pictures before it."""

PARTS: Final = ".parts"
"""Added to the name of a journal: the folder of the journals of its segments."""


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """A job and the segments that it was cut into: those of a video, or shares of images.

    Attributes:
        job: The whole.
        segments: Jobs that write a journal each, in order; empty if it is not to be cut.
        frames: Frames that the whole takes, as far as known; None if unknown.
        spans: The frames of each segment, by their numbers in the video, those left out by ``stride`` included.
    """

    job: AnyJob
    segments: tuple[AnyJob, ...] = ()
    frames: int | None = None
    spans: tuple[range, ...] = ()

    @property
    def journals(self) -> tuple[Path, ...]:
        """The journals of the segments, in order."""
        return tuple(segment.outputs.files[0] for segment in self.segments)


def parts_folder(outputs: Outputs) -> Path:
    """Return the folder of the journals of the segments, beside the journal of the whole."""
    path = journal_path(outputs.files[0])
    return path.with_name(path.name + PARTS)


def plan_segments(job: VideoJob, settings: Settings, frames: int | None, least: int | None = None) -> SegmentPlan:
    """Cut a job into segments.

    A video is left whole if it is not a file, or its frames are known only when they are decoded (see
    :meth:`VideoSource.index`), or attention is wanted, which no journal holds, or it is too short. The plan depends on
    the arguments alone: planned again, segments have the same journals.

    Args:
        job: The whole video, or the part of it in the job's time window.
        settings: How poses are measured.
        frames: Frames of a segment, about, before ``stride``; the last one may be shorter by half. None does not cut.
        least: Frames below which a video is not cut; None for ``LEAST_GROUPS`` groups a segment.

    Raises:
        InputError: The video cannot be read.
    """
    max_pixels = settings.inference.max_pixels
    if is_url(job.input):
        return SegmentPlan(job)  # It is fetched when its turn comes.
    with open_video_input(job.input, job.window, job.stream, job.rate, max_pixels, job.view) as source:
        expected = source.expected
        if not isinstance(source, VideoSource) or is_read_once(job.input) or not _is_local(job.outputs):
            return SegmentPlan(job, (), expected)
        inference = settings.inference
        group = group_frames(runtime_for(inference.model, exact=False), inference.detector.every) * job.window.stride
        least = LEAST_GROUPS * group if least is None else least
        attention = needs_attention(job.outputs, settings.files)
        span_ = (expected or 0) * job.window.stride
        if attention or frames is None or span_ < max(2 * least, 1.5 * frames):
            return SegmentPlan(job, (), expected)
        index = source.index()
        if index is None:
            return SegmentPlan(job, (), expected)
        span = source.frames_of(index)
        starts = _starts(index, span, group, max(frames, least))
        base, folder = source.info.time_base or 1, parts_folder(job.outputs)
        times = [float(int(index.pts[start]) * base) for start in starts[1:]]
    window = job.window
    edges = [window.start_s, *times, window.end_s]
    segments, spans = [], []
    for (start, until), (start_s, end_s) in zip(pairwise([*starts, span.stop]), pairwise(edges), strict=True):
        journal = folder / f"{start:09d}-{until:09d}{SUFFIX}"
        part = replace(window, start_s=start_s or 0.0, end_s=end_s)
        segments.append(replace(job, outputs=Outputs(journal=journal), window=part))
        spans.append(range(start, until))
    taken = -(-len(span) // window.stride)
    if len(segments) == 1:
        return SegmentPlan(job, (), taken)
    return SegmentPlan(job, tuple(segments), taken, tuple(spans))


def _is_local(outputs: Outputs) -> bool:
    """Return whether there are outputs, and all of them are files of this machine."""
    return bool(outputs.files) and not any(is_stored(path) for path in outputs.files)


def _starts(index: PacketIndex, span: range, group: int, frames: int) -> list[int]:
    """Return the first frames of segments: whole groups of frames from the beginning, each soon after a key frame."""
    keys = index.keys[(index.keys > span.start) & (index.keys < span.stop)]
    candidates = sorted({span.start + -(-(key - span.start) // group) * group for key in keys.tolist()})
    starts = [span.start]
    for start in candidates:
        if start - starts[-1] >= frames and span.stop - start >= frames // 2:
            starts.append(start)
    return starts
