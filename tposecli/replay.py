"""The later stages once more, from a journal: other files of poses, or another drawing, without the net."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from tposecli import __version__
from tposecli.errors import InputError, UsageError
from tposecli.exports import exports
from tposecli.follow import Followers
from tposecli.job import Outputs, Settings, Summary, Watcher
from tposecli.outputs import Maker, check_outputs, deliver
from tposecli.overlay import AttentionPainter
from tposecli.prefetch import prefetch
from tposecli.provenance import fingerprint
from tposecli.sinks.base import Sink, opened
from tposecli.sinks.journal import Journal, read_journal
from tposecli.sinks.lines import JournalFrame
from tposecli.sinks.output import check_video_output, open_output
from tposecli.sinks.show import check_display
from tposecli.sinks.video import VideoOptions, VideoOut
from tposecli.skeleton import KEYPOINTS
from tposecli.source import WHOLE, ImageList, ImageSource, Moving, Window, find_images, open_moving
from tposecli.types import Frame, Image, Result, SourceInfo

log = logging.getLogger("tposecli")

AHEAD = 8
"""Frames that are read before they are needed."""

CLOSE_S = 1e-3
"""Frames whose times differ by less are the same one in another container."""


@dataclass(frozen=True, slots=True)
class ConvertJob:
    """A journal and the files of poses to make of it."""

    journal: Path
    outputs: Outputs


@dataclass(frozen=True, slots=True)
class RenderJob:
    """A journal, what it was made of, and what to draw.

    Attributes:
        inputs: The video; or the pictures, as they were named to ``tpose images``.
        outputs: ``picture`` among them.
        another: Accept a video that is not the journal's own file, if its frames have the same size and times.
        recursive: Look into the folders of the folders, for pictures.
    """

    journal: Path
    inputs: tuple[str, ...]
    outputs: Outputs
    another: bool = False
    recursive: bool = False
    encoding: VideoOptions = field(default_factory=VideoOptions)


def convert(job: ConvertJob, settings: Settings, watcher: Watcher) -> Summary:
    """Write files of poses: the very ones that the run which made the journal would have written with these settings.

    Raises:
        InputError: The journal is missing or damaged.
        UsageError: An output exists, or none is named.
    """
    journal = _checked(job.journal, job.outputs, settings)
    ids = _image_ids(journal) if is_stills(journal) else None

    def sinks() -> Iterator[Sink]:
        yield from exports(job.outputs, settings, provenance(journal, settings), ids)

    results = (Result(frame_of(entry, blank(entry.size_wh)), entry.poses) for entry in journal)
    return _carry_out(_Replay(journal, job.outputs, results, sinks), settings, watcher)


def render(job: RenderJob, settings: Settings, watcher: Watcher) -> Summary:
    """Draw the journal's poses on the frames that they were measured in; write files of poses, too, if asked.

    Raises:
        InputError: Journal or pictures are missing or damaged, or the journal is one of other frames.
        UsageError: An output exists.
    """
    if settings.view.show:
        check_display()
    journal = _checked(job.journal, job.outputs, settings, *map(Path, job.inputs))
    stills = is_stills(journal)
    if job.outputs.picture is not None and not stills:
        check_video_output(job.outputs.picture, job.encoding, settings.overwrite)
    source = _pictures(job, journal) if stills else _video(job, journal)
    ids = _image_ids(journal) if stills else None
    info = provenance(journal, settings)

    def video(path: Path) -> VideoOut:
        assert not isinstance(source, ImageSource)
        return open_output(path, source, job.encoding)

    def sinks() -> Iterator[Sink]:
        painter = AttentionPainter(settings.attention, stride=1)  # a journal holds no attention: it paints nothing
        yield from Maker(job.outputs, settings, painter, None if stills else video, ids).open(info)

    return _carry_out(_Replay(journal, job.outputs, matched(journal, source), sinks), settings, watcher)


def is_stills(journal: Journal) -> bool:
    """Whether the journal's frames are pictures that do not follow one another in time."""
    return journal.header.get("time_base") is None


def blank(size_wh: tuple[int, int]) -> Image:
    """(H, W, 3) black, read-only, the same three bytes for every pixel: sinks that need no pixels take it for any."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    return np.broadcast_to(pixel, (size_wh[1], size_wh[0], 3))


def frame_of(entry: JournalFrame, image: Image) -> Frame:
    """The frame as it was, with ``image`` for a picture."""
    return Frame(image, entry.index, entry.time_s, entry.name, entry.pts)


def provenance(journal: Journal, settings: Settings) -> dict[str, Any]:
    """The journal's header, for what is made of it now: this program and command, and which ones made the journal."""
    header = journal.facts
    made_by = {"file": journal.path.name, **{key: header.get(key) for key in ("tool_version", "command")}}
    options = {**header.get("options", {}), "smooth": settings.smooth}
    return {**header, "tool_version": __version__, "command": settings.command, "options": options, "journal": made_by}


def matched(journal: Journal, source: Moving | ImageSource) -> Generator[Result]:
    """The journal's poses with the frames that they were measured in; frames that it does not hold are passed over.

    Raises:
        InputError: A frame is not there, or is another one.
    """
    read = prefetch(source, depth=AHEAD, name="read")
    name, stills = source.info.name, is_stills(journal)
    with closing(read):
        for entry in journal:
            frame = next(
                (one for one in read if (one.name == entry.name if stills else one.index >= entry.index)), None
            )
            if frame is None or (frame.index != entry.index and not stills):
                raise InputError(
                    f"{name}: frame {entry.index} ({entry.name}) of the journal is not there or unreadable"
                )
            if frame.size_wh != entry.size_wh:
                ours, theirs = (f"{width}x{height}" for width, height in (frame.size_wh, entry.size_wh))
                raise _other(name, f"frame {entry.index} has {ours} pixels, in the journal {theirs}")
            if abs(frame.time_s - entry.time_s) > CLOSE_S:
                times = f"{frame.time_s:.3f} s, in the journal at {entry.time_s:.3f} s"
                raise _other(name, f"frame {entry.index} is at {times}")
            yield Result(frame_of(entry, frame.image), entry.poses)
        if next(read, None) is not None:
            log.warning("%s: the journal ends before the video; the rest is left out", journal.path)


@dataclass(frozen=True, slots=True)
class _Replay:
    """What is done again: results as measured, and what opens the sinks."""

    journal: Journal
    outputs: Outputs
    results: Iterable[Result]
    sinks: Callable[[], Iterator[Sink]]


def _carry_out(replay: _Replay, settings: Settings, watcher: Watcher) -> Summary:
    """Run everything; what was written is closed as complete only if nothing was raised."""
    start = time.perf_counter()
    summary = Summary(replay.journal.path.name)
    followers = Followers.of(settings, tracked=not is_stills(replay.journal))
    with ExitStack() as stack:
        sinks = [stack.enter_context(opened(sink)) for sink in replay.sinks()]
        results = stack.enter_context(closing(followers.follow(replay.results)))
        watcher.begin(SourceInfo(summary.name), None)
        deliver(results, sinks, followers.timings, watcher, summary)
    summary.seconds, summary.outputs = followers.timings.seconds, replay.outputs.files
    summary.wall_s = time.perf_counter() - start
    watcher.end(summary)
    return summary


def _checked(path: Path, outputs: Outputs, settings: Settings, *inputs: Path) -> Journal:
    """The journal, once it is clear that nothing is in the way.

    Raises:
        InputError: No journal, or one of other keypoints.
        UsageError: An output exists or is an input.
    """
    journal = read_journal(path)
    if tuple(journal.header.get("keypoint_names", KEYPOINTS)) != KEYPOINTS:
        raise InputError(f"{path}: its keypoints are not the {len(KEYPOINTS)} of COCO; this program knows no others")
    read = {file.resolve() for file in (path, *inputs)}
    clash = next((output for output in outputs.files if output.resolve() in read), None)
    if clash is not None:
        raise UsageError(f"{clash} is an input; choose another output")
    if outputs.wanted or not settings.view.show:
        check_outputs(outputs, is_stills(journal), settings.overwrite, journal=False)
    return journal


def _image_ids(journal: Journal) -> Sequence[int]:
    """Image id for each index: numbers in the names where the run took those, else positions from 1."""
    names = {entry.index: entry.name for entry in journal}
    ids = [index + 1 for index in range(max(names, default=-1) + 1)]
    if journal.header.get("image_ids") == "names":
        for index, name in names.items():
            ids[index] = int(PurePath(name).stem)
    return ids


def _video(job: RenderJob, journal: Journal) -> Moving:
    """The part of the video that the journal was made of."""
    if len(job.inputs) != 1:
        raise UsageError(f"{job.journal} is the journal of one video; name that one with -i")
    facts, path = journal.header, Path(job.inputs[0])
    window = WHOLE if facts.get("window") is None else Window(**facts["window"])
    rate = None if facts.get("rate") is None else Fraction(facts["rate"])
    source = open_moving(path, window, facts.get("stream"), rate)
    made_of = facts.get("source_sha256")
    if not job.another and made_of is not None and fingerprint(source.files) != made_of:
        raise InputError(
            f"{path} is not the file that {job.journal} was made of ({facts.get('source')}): its bytes are "
            "others; name that one, or add --another-video if the frames are the same, as after another encoding"
        )
    return source


def _pictures(job: RenderJob, journal: Journal) -> ImageSource:
    """The pictures of the journal, in its order."""
    found = find_images(job.inputs, job.recursive)
    paths = dict(zip(found.names, found.paths, strict=True))
    names = tuple(entry.name for entry in journal)
    missing = next((name for name in names if name not in paths), None)
    if missing is not None:
        raise InputError(f"{missing}: in {job.journal}, but not among the pictures; name them as for tpose images")
    return ImageSource(ImageList(tuple(paths[name] for name in names), names))


def _other(name: str, reason: str) -> InputError:
    return InputError(f"{name}: these are not the frames of the journal ({reason}); name the video it was made of")
