"""Rerunning the later stages from stored poses, without the net: other files, or another drawing."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Final

from tposecli.formats.align import JOURNAL, AlignedPoses, PoseInput, read_aligned
from tposecli.formats.base import WriteOptions
from tposecli.formats.corrections import CorrectionsFile
from tposecli.formats.frame_names import FrameNames
from tposecli.formats.with_frames import read_with_frames, without_pixels
from tposecli.geometry.scale import PixelScale
from tposecli.pipeline.corrections import build_processor, describe_corrections, names_of, read_corrections_of
from tposecli.pipeline.job import Outputs, Settings, Watcher
from tposecli.pipeline.outputs import SinkFactory, check_outputs, deliver, open_pose_files, written_names
from tposecli.pipeline.summary import Summary
from tposecli.pipeline.whole import Whole, look_through
from tposecli.sinks.base import Sink, opened
from tposecli.sinks.live_window import check_display
from tposecli.sinks.open_video import check_video_output, open_output
from tposecli.sinks.video import VideoOptions, VideoOut
from tposecli.sources import ImageSource
from tposecli.types import Result, SourceInfo
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import published_files
from tposecli.utils.locks import output_locks
from tposecli.utils.timings import Timings
from tposecli.utils.version import __version__

log = logging.getLogger("tposecli")

MAX_STILLS: Final = 1 << 22
MAX_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class ConvertJob:
    """Poses, and the pose files to make of them."""

    given: PoseInput
    outputs: Outputs


@dataclass(frozen=True, slots=True)
class RenderJob:
    """Poses with their video or images, and what to make of them.

    Attributes:
        given: Poses, and where their pixels are.
        outputs: What to make, ``picture`` among it.
        another: Accept a video that is not the journal's own file, if its frames have the same size and times.
        encoding: How videos are written.
    """

    given: PoseInput
    outputs: Outputs
    another: bool = False
    encoding: VideoOptions = field(default_factory=VideoOptions)


def convert(job: ConvertJob, settings: Settings, watcher: Watcher) -> Summary:
    """Write pose files; those of a journal equal the ones that its own run would have written.

    Raises:
        InputError: The poses are missing or damaged.
        UsageError: An output exists, none is named, or the times of the frames are unknown.
    """
    recording, results = _read(job)
    _check(recording, job, settings)
    corrections = read_corrections_of(recording, job.given)
    ids = _image_ids(recording) if recording.stills else None
    whole = look_through(recording, job.given, settings, corrections)
    scale = _scale(whole, settings)

    def sinks() -> Iterator[Sink]:
        info = {"description": "poses", **provenance(recording, settings, corrections, scale)}
        names = FrameNames(str(info.get("source") or ""), settings.files.frame_names)
        options = WriteOptions(
            info,
            min_score=settings.drawing.style.min_score,
            image_ids=ids,
            frame_names=names,
            facing=settings.files.facing,
            px_per_m=None if scale is None else scale.px_per_m,
        )
        yield from open_pose_files(job.outputs, settings.files, options)

    return _run(_Rerun(recording, job, results, sinks, corrections=corrections, whole=whole), settings, watcher)


def _read(job: ConvertJob) -> tuple[AlignedPoses, Iterable[Result]]:
    """Read the poses, with the pixels of their frames if a format holds pictures.

    Raises:
        InputError: The poses or the pictures are missing or damaged, or do not belong together.
        UsageError: The pictures are not named.
    """
    training = next((row for row, _ in job.outputs.pose_files if row.pixels), None)
    if training is None:
        recording = read_aligned(job.given)
        return recording, without_pixels(recording.frames)
    if not job.given.inputs:
        raise UsageError(f"{training.title}: holds the frames, too; name the video or the images with -i")
    recording, _, results = read_with_frames(job.given, another=False)
    return recording, results


def render(job: RenderJob, settings: Settings, watcher: Watcher) -> Summary:
    """Draw poses on their own frames; also write pose files, if asked for.

    Raises:
        InputError: Poses or pictures are missing or damaged, or the poses are of other frames.
        UsageError: An output exists.
    """
    if settings.drawing.show:
        check_display()
    recording, source, results = read_with_frames(job.given, job.another)
    _check(recording, job, settings)
    if job.outputs.picture is not None and not recording.stills:
        check_video_output(job.outputs.picture, job.encoding, settings.flags.overwrite)
    ids = _image_ids(recording) if recording.stills else None
    corrections = read_corrections_of(recording, job.given)
    whole = look_through(recording, job.given, settings, corrections)
    info = provenance(recording, settings, corrections)

    def video(path: Path) -> VideoOut:
        assert not isinstance(source, ImageSource)
        return open_output(path, source, job.encoding)

    style, stride = settings.drawing.attention, 1  # Journals hold no attention to be shown.
    opener = None if recording.stills else video
    names = written_names(job.outputs.picture, job.encoding, settings.drawing.side_by_side)
    sinks = SinkFactory(
        *(job.outputs, settings.drawing, settings.files, style, stride, opener, ids, names), people=names_of(info)
    )

    rerun = _Rerun(recording, job, results, lambda: sinks.open(info), sinks.prepare, corrections, whole)
    return _run(rerun, settings, watcher)


def provenance(
    recording: AlignedPoses,
    settings: Settings,
    corrections: CorrectionsFile | None = None,
    scale: PixelScale | None = None,
) -> dict[str, Any]:
    """Return the header of what is made now: this program and command, and those that made the poses."""
    origin_header = recording.header
    made_by = {"file": recording.path.name, **{key: origin_header.get(key) for key in ("tool_version", "command")}}
    origin = {"journal": made_by} if recording.format == JOURNAL else {"poses": {**made_by, "format": recording.format}}
    options = {**origin_header.get("options", {}), **settings.post.to_dict(not recording.stills, live=False)}
    run = {"tool": "tposecli", "tool_version": __version__, "command": settings.flags.command, "options": options}
    metres = {} if scale is None else {"scale": scale.to_dict()}
    return {**origin_header, **run, **origin, **metres, **describe_corrections(corrections)}


@dataclass(frozen=True, slots=True)
class _Rerun:
    """What is run again.

    Attributes:
        recording: The stored poses.
        job: What to make of them.
        results: Frames with their poses, as measured.
        sinks: Opens the sinks.
        prepare: Makes finished results what sinks may see.
        corrections: Those of the journal; None for none.
        whole: What was seen when it was looked through; None if that was not necessary.
    """

    recording: AlignedPoses
    job: ConvertJob | RenderJob
    results: Iterable[Result]
    sinks: Callable[[], Iterator[Sink]]
    prepare: Callable[[Iterable[Result]], Iterable[Result]] = iter
    corrections: CorrectionsFile | None = None
    whole: Whole | None = None


def _scale(whole: Whole | None, settings: Settings) -> PixelScale | None:
    """Return how many pixels a metre is, if that is asked for."""
    return (whole or Whole({})).scale(settings.files.scale)


def _run(rerun: _Rerun, settings: Settings, watcher: Watcher) -> Summary:
    """Run everything; outputs are closed as complete only if nothing was raised."""
    start, timings = time.perf_counter(), Timings()
    recording = rerun.recording
    summary = Summary(recording.path.name, path=str(recording.path))
    post = build_processor(recording, rerun.job.given, settings.post, rerun.corrections)
    if rerun.whole is not None:
        post = replace(post, selector=replace(post.selector, ids=rerun.whole.chosen(settings.post.select)))
    with output_locks(rerun.job.outputs.files), published_files() as made, ExitStack() as stack:
        sinks = [stack.enter_context(opened(sink)) for sink in rerun.sinks()]
        results = stack.enter_context(closing(post.process(rerun.results, timings)))
        watcher.begin(SourceInfo(summary.name), None)
        deliver(rerun.prepare(results), sinks, timings, watcher, summary)
    summary.seconds, summary.outputs = timings.seconds, _made(rerun.job.outputs, made)
    summary.wall_s = time.perf_counter() - start
    watcher.end(summary)
    return summary


def _made(outputs: Outputs, made: Iterable[Path]) -> list[Path]:
    """Return the outputs that there are now; in place of one that each person has, the files of all people."""
    folders = {file.resolve().parent: file.parent for file in outputs.files if not file.exists()}
    each = [folders[path.parent] / path.name for path in made if path.parent in folders]
    return [*(file for file in outputs.files if file.exists()), *each]


def _check(recording: AlignedPoses, job: ConvertJob | RenderJob, settings: Settings) -> None:
    """Check the outputs before any work.

    Raises:
        UsageError: An output exists or is an input.
    """
    outputs = job.outputs
    read = {file.resolve() for file in (job.given.path, *map(Path, job.given.inputs))}
    clash = next((output for output in outputs.files if output.resolve() in read), None)
    if clash is not None:
        raise UsageError(f"{clash} is an input; choose another output")
    if outputs.wanted or not settings.drawing.show:
        names = [entry.name for entry in recording.frames] if recording.stills else None
        check_outputs(outputs, names, settings.flags, journal=False)


def _image_ids(recording: AlignedPoses) -> Sequence[int]:
    """Return the image id of each index: the number in the name if the run took those, else the position from 1."""
    if recording.header.get("image_ids") != "names":
        return range(1, sys.maxsize)
    names = {entry.index: entry.name for entry in recording.frames}
    last = max(names, default=-1)
    if last > MAX_STILLS or not all(_is_id(PurePath(name).stem) for name in names.values()):
        raise InputError(
            f"{recording.path}: damaged (invalid names or numbers of its images); run the original command again"
        )
    ids = [index + 1 for index in range(last + 1)]
    for index, name in names.items():
        ids[index] = int(PurePath(name).stem)
    return ids


def _is_id(stem: str) -> bool:
    return stem.isascii() and stem.isdecimal() and len(stem) <= MAX_DIGITS
