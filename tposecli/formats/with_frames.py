"""Poses and the pixels that they are of, together again."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from tposecli.formats.align import (
    NOBODY,
    AlignedPoses,
    PoseInput,
    by_index,
    header,
    journalled,
    open_source,
    picture_header,
    placed,
    warn_of_rest,
)
from tposecli.formats.base import PoseFile
from tposecli.formats.journal.journal import Journal
from tposecli.formats.journal.provenance import fingerprint
from tposecli.formats.journal.records import JournalFrame
from tposecli.formats.read import read_poses
from tposecli.sources import WHOLE, ImageList, ImageSource, VideoInput, Window, find_images, open_video_input
from tposecli.types import Frame, Image, Poses, Result
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.threads import prefetch

log = logging.getLogger("tposecli")

AHEAD = 8
"""Frames that are read before they are needed."""

CLOSE_S = 1e-3
"""Frames whose times differ by less are the same one in another container."""


def with_pixels(given: PoseInput, another: bool) -> tuple[AlignedPoses, VideoInput | ImageSource, Iterable[Result]]:
    """The poses, the source of their frames, and both together.

    Args:
        given: With the video or the pictures.
        another: The video need not be the journal's own file, if its frames have the same size and times.

    Raises:
        InputError: Poses or pictures are missing or damaged, or the poses are of other frames.
        UsageError: More than one video.
    """
    found = read_poses(given.path, given.kind)
    if isinstance(found, PoseFile) and not found.is_own:
        return _of_others(found, given)
    recording = journalled(found) if isinstance(found, Journal) else placed(found, PoseInput(given.path))
    source = _pictures(given, recording) if recording.stills else _video(given, recording, another)
    return recording, source, matched(recording, source)


def _of_others(found: PoseFile, given: PoseInput) -> tuple[AlignedPoses, VideoInput | ImageSource, Iterable[Result]]:
    """Of another tool, which may not have listed all frames."""
    opened = open_source(given)
    if isinstance(opened, ImageList):
        source = ImageSource(opened)
        recording = AlignedPoses(found.path, found.format, picture_header(opened), _named(opened), True)
        return recording, source, joined(found, by_index(found, opened.names), source)
    recording = AlignedPoses(found.path, found.format, header(opened.info), (), False, found.tracked)
    return recording, opened, joined(found, by_index(found), opened)


def _named(images: ImageList) -> list[JournalFrame]:
    """The pictures by name and index, which is all that their ids are told by."""
    return [JournalFrame(index, name, None, 0.0, (1, 1), NOBODY) for index, name in enumerate(images.names)]


def matched(recording: AlignedPoses, source: VideoInput | ImageSource) -> Generator[Result]:
    """Our poses with the frames that they were measured in; frames that they do not hold are passed over.

    Raises:
        InputError: A frame is not there, or is another one.
    """
    read = prefetch(source, depth=AHEAD, name="read")
    name, stills = source.info.name, recording.stills
    with closing(read):
        for entry in recording.frames:
            frame = next(
                (one for one in read if (one.name == entry.name if stills else one.index >= entry.index)), None
            )
            if frame is None or (frame.index != entry.index and not stills):
                raise InputError(
                    f"{name}: frame {entry.index} ({entry.name}) of {recording.path} is not there or unreadable"
                )
            _check_same(frame, entry.size_wh, entry.time_s, name)
            yield Result(frame_of(entry, frame.image), entry.poses)
        if next(read, None) is not None:
            log.warning("%s: the %s ends before the video; the rest is left out", recording.path, recording.format)


def joined(found: PoseFile, table: Mapping[int, Poses], source: VideoInput | ImageSource) -> Generator[Result]:
    """All frames of a source with the people that another tool has found in them.

    Raises:
        InputError: A frame has another size or time than the file says.
    """
    stamps = {} if isinstance(source, ImageSource) else {stamp.index: stamp for stamp in found.frames}
    read = prefetch(source, depth=AHEAD, name="read")
    last = -1
    with closing(read):
        for frame in read:
            last, stamp = frame.index, stamps.get(frame.index)
            if stamp is not None:
                _check_same(frame, stamp.size_wh, stamp.time_s, source.info.name)
            yield Result(frame, table.get(frame.index, NOBODY))
    warn_of_rest(found, table, last + 1, source.info.name)


def _check_same(frame: Frame, size_wh: tuple[int, int] | None, time_s: float | None, name: str) -> None:
    """Refuse a frame that is another one than the poses were measured in."""
    if size_wh is not None and frame.size_wh != size_wh:
        ours, theirs = (f"{width}x{height}" for width, height in (frame.size_wh, size_wh))
        raise _other(name, f"frame {frame.index} has {ours} pixels, with the poses {theirs}")
    if time_s is not None and abs(frame.time_s - time_s) > CLOSE_S:
        raise _other(name, f"frame {frame.index} is at {frame.time_s:.3f} s, with the poses at {time_s:.3f} s")


def frame_of(entry: JournalFrame, image: Image) -> Frame:
    """The frame as it was, with ``image`` for a picture."""
    return Frame(image, entry.index, entry.time_s, entry.name, entry.pts)


def _video(given: PoseInput, recording: AlignedPoses, another: bool) -> VideoInput:
    """The part of the video that the journal was made of."""
    if len(given.inputs) != 1:
        raise UsageError(f"{given.path} is the {recording.format} of one video; name that one with -i")
    facts, path = recording.header, Path(given.inputs[0])
    window = WHOLE if facts.get("window") is None else Window(**facts["window"])
    rate = None if facts.get("rate") is None else Fraction(facts["rate"])
    source = open_video_input(path, window, facts.get("stream"), rate)
    made_of = facts.get("source_sha256")
    if not another and made_of is not None and fingerprint(source.files) != made_of:
        raise InputError(
            f"{path} is not the file that {given.path} was made of ({facts.get('source')}): its bytes are "
            "others; name that one, or add --another-video if the frames are the same, as after another encoding"
        )
    return source


def _pictures(given: PoseInput, recording: AlignedPoses) -> ImageSource:
    """The pictures of the journal, in its order."""
    found = find_images(given.inputs, given.recursive)
    paths = dict(zip(found.names, found.paths, strict=True))
    names = tuple(entry.name for entry in recording.frames)
    missing = next((name for name in names if name not in paths), None)
    if missing is not None:
        raise InputError(f"{missing}: in {given.path}, but not among the pictures; name them as for tpose images")
    return ImageSource(ImageList(tuple(paths[name] for name in names), names))


def _other(name: str, reason: str) -> InputError:
    return InputError(
        f"{name}: these are not the frames of the poses ({reason}); name those that they were measured in"
    )
