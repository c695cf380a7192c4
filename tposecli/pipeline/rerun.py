"""The later stages once more, from poses that are known: other files, or another drawing, without the net."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np

from tposecli.attention.overlay import AttentionPainter
from tposecli.formats.align import JOURNAL, AlignedPoses, PoseInput, recorded
from tposecli.formats.with_frames import frame_of, with_pixels
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.exports import exports
from tposecli.pipeline.job import Outputs, Settings, Summary, Watcher
from tposecli.pipeline.outputs import SinkFactory, check_outputs, deliver
from tposecli.pipeline.postprocess import PostProcessor
from tposecli.sinks.base import Sink, opened
from tposecli.sinks.live_window import check_display
from tposecli.sinks.open_video import check_video_output, open_output
from tposecli.sinks.video import VideoOptions, VideoOut
from tposecli.sources import ImageSource
from tposecli.types import Image, Result, SourceInfo
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.version import __version__

log = logging.getLogger("tposecli")

MAX_STILLS: Final = 1 << 22
MAX_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class ConvertJob:
    """Poses, and the files to make of them."""

    given: PoseInput
    outputs: Outputs


@dataclass(frozen=True, slots=True)
class RenderJob:
    """Poses with what they are of, and what to draw.

    Attributes:
        outputs: ``picture`` among them.
        another: Accept a video that is not the journal's own file, if its frames have the same size and times.
    """

    given: PoseInput
    outputs: Outputs
    another: bool = False
    encoding: VideoOptions = field(default_factory=VideoOptions)


def convert(job: ConvertJob, settings: Settings, watcher: Watcher) -> Summary:
    """Write files of poses: of a journal, the very ones that the run which made it would have written.

    Raises:
        InputError: The poses are missing or damaged.
        UsageError: An output exists, none is named, or nothing says when the frames are shown.
    """
    recording = recorded(job.given)
    _check(recording, job, settings)
    ids = _image_ids(recording) if recording.stills else None

    def sinks() -> Iterator[Sink]:
        yield from exports(job.outputs, settings, provenance(recording, settings), ids)

    results = (Result(frame_of(entry, blank(entry.size_wh)), entry.poses) for entry in recording.frames)
    return _carry_out(_Replay(recording, job, results, sinks), settings, watcher)


def render(job: RenderJob, settings: Settings, watcher: Watcher) -> Summary:
    """Draw the poses on the frames that they are of; write files of poses, too, if asked.

    Raises:
        InputError: Poses or pictures are missing or damaged, or the poses are of other frames.
        UsageError: An output exists.
    """
    if settings.view.show:
        check_display()
    recording, source, results = with_pixels(job.given, job.another)
    _check(recording, job, settings)
    if job.outputs.picture is not None and not recording.stills:
        check_video_output(job.outputs.picture, job.encoding, settings.overwrite)
    ids = _image_ids(recording) if recording.stills else None
    info = provenance(recording, settings)

    def video(path: Path) -> VideoOut:
        assert not isinstance(source, ImageSource)
        return open_output(path, source, job.encoding)

    def sinks() -> Iterator[Sink]:
        painter = AttentionPainter(settings.attention, stride=1)  # no attention is kept: it paints nothing
        yield from SinkFactory(job.outputs, settings, painter, None if recording.stills else video, ids).open(info)

    return _carry_out(_Replay(recording, job, results, sinks), settings, watcher)


@lru_cache(maxsize=8)
def blank(size_wh: tuple[int, int]) -> Image:
    """(H, W, 3) black, read-only, the same three bytes for every pixel: sinks that need no pixels take it for any."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    return np.broadcast_to(pixel, (size_wh[1], size_wh[0], 3))


def provenance(recording: AlignedPoses, settings: Settings) -> dict[str, Any]:
    """The header, for what is made of the poses now: this program and command, and which ones made the poses."""
    facts = recording.header
    made_by = {"file": recording.path.name, **{key: facts.get(key) for key in ("tool_version", "command")}}
    origin = {"journal": made_by} if recording.format == JOURNAL else {"poses": {**made_by, "format": recording.format}}
    track = asdict(settings.track) if settings.track and not recording.stills else None
    options = {**facts.get("options", {}), "track": track, **settings.smooth.facts(live=False)}
    run = {"tool": "tposecli", "tool_version": __version__, "command": settings.command, "options": options}
    return {**facts, **run, **origin}


@dataclass(frozen=True, slots=True)
class _Replay:
    """What is done again: results as measured, and what opens the sinks."""

    recording: AlignedPoses
    job: ConvertJob | RenderJob
    results: Iterable[Result]
    sinks: Callable[[], Iterator[Sink]]


def _carry_out(replay: _Replay, settings: Settings, watcher: Watcher) -> Summary:
    """Run everything; what was written is closed as complete only if nothing was raised."""
    start = time.perf_counter()
    summary = Summary(replay.recording.path.name)
    recording = replay.recording
    layout = KeypointLayout.of_facts(recording.header)
    followers = PostProcessor.of(settings, not recording.stills, layout=layout, stray_score=recording.stray_score)
    if recording.tracked and not replay.job.given.track_again:
        followers = replace(followers, tracker=None)
    with ExitStack() as stack:
        sinks = [stack.enter_context(opened(sink)) for sink in replay.sinks()]
        results = stack.enter_context(closing(followers.follow(replay.results)))
        watcher.begin(SourceInfo(summary.name), None)
        deliver(results, sinks, followers.timings, watcher, summary)
    summary.seconds, summary.outputs = followers.timings.seconds, replay.job.outputs.files
    summary.wall_s = time.perf_counter() - start
    watcher.end(summary)
    return summary


def _check(recording: AlignedPoses, job: ConvertJob | RenderJob, settings: Settings) -> None:
    """See that nothing is in the way.

    Raises:
        UsageError: An output exists or is an input.
    """
    outputs = job.outputs
    read = {file.resolve() for file in (job.given.path, *map(Path, job.given.inputs))}
    clash = next((output for output in outputs.files if output.resolve() in read), None)
    if clash is not None:
        raise UsageError(f"{clash} is an input; choose another output")
    if outputs.wanted or not settings.view.show:
        check_outputs(outputs, recording.stills, settings, journal=False)


def _image_ids(recording: AlignedPoses) -> Sequence[int]:
    """Image id for each index: numbers in the names where the run took those, else positions from 1."""
    if recording.header.get("image_ids") != "names":
        return range(1, sys.maxsize)
    names = {entry.index: entry.name for entry in recording.frames}
    last = max(names, default=-1)
    if last > MAX_STILLS or not all(_is_id(PurePath(name).stem) for name in names.values()):
        raise InputError(
            f"{recording.path}: damaged (names or numbers of its pictures are none); run the command again"
        )
    ids = [index + 1 for index in range(last + 1)]
    for index, name in names.items():
        ids[index] = int(PurePath(name).stem)
    return ids


def _is_id(stem: str) -> bool:
    return stem.isascii() and stem.isdecimal() and len(stem) <= MAX_DIGITS
