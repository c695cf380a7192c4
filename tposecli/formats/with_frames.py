"""Pair the poses of a file with the decoded frames that they belong to."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

from tposecli.formats.align import (
    NO_PEOPLE,
    AlignedPoses,
    PoseInput,
    align,
    align_journal,
    image_header,
    make_header,
    names_of,
    open_source,
    poses_by_index,
    video_frames,
    warn_of_late_people,
)
from tposecli.formats.base import PoseFile
from tposecli.formats.journal.journal import Journal
from tposecli.formats.journal.provenance import is_same_source
from tposecli.formats.journal.records import JournalFrame
from tposecli.formats.read import read_poses
from tposecli.sources import ImageList, ImageSource, VideoInput, View, Window, find_images, open_video_input
from tposecli.types import Frame, Image, Poses, Result
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.threads import prefetch

log = logging.getLogger("tposecli")

AHEAD = 8
"""Frames that are decoded ahead."""

CLOSE_S = 1e-3
"""Frames whose times differ by less are the same; another container may round them differently."""


def read_with_frames(
    given: PoseInput, another: bool
) -> tuple[AlignedPoses, VideoInput | ImageSource, Iterable[Result]]:
    """Return the poses of a file, the source of their frames, and the results that pair both.

    Args:
        given: The pose file, with the video or the images.
        another: Accept a video that is not the journal's own file if its frames have the same size and times.

    Raises:
        InputError: Poses or images are missing or damaged, or the poses belong to other frames.
        UsageError: More than one video was given.
    """
    found = read_poses(given.path, given.kind)
    if isinstance(found, PoseFile) and not found.is_own:
        return _read_foreign(found, given)
    recording = align_journal(found) if isinstance(found, Journal) else align(found, PoseInput(given.path))
    source = _images(given, recording) if recording.stills else _video(given, recording, another)
    return recording, source, _recorded_frames(recording, source)


def _read_foreign(found: PoseFile, given: PoseInput) -> tuple[AlignedPoses, VideoInput | ImageSource, Iterable[Result]]:
    """Pair the poses of another tool, which may not have listed all frames."""
    opened = open_source(given)
    if isinstance(opened, ImageList):
        source = ImageSource(opened)
        recording = AlignedPoses(found.path, found.format, image_header(opened), _undecoded(opened), True)
        return recording, source, _all_frames(found, poses_by_index(found, opened.names), source)
    header = make_header(opened.info) | names_of(found, given)
    recording = AlignedPoses(found.path, found.format, header, (), False, found.tracked)
    return recording, opened, _all_frames(found, poses_by_index(found), opened)


def _undecoded(images: ImageList) -> list[JournalFrame]:
    """Return frames with only the names and indices of images, from which their ids are derived."""
    return [JournalFrame(index, name, None, 0.0, (1, 1), NO_PEOPLE) for index, name in enumerate(images.names)]


def _recorded_frames(recording: AlignedPoses, source: VideoInput | ImageSource) -> Generator[Result]:
    """Yield the frames of our own file with their poses; frames that the file does not list are skipped.

    Raises:
        InputError: A frame is missing, or has another size or time than the file says.
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
                    f"{name}: frame {entry.index} ({entry.name}) of {recording.path} is missing or unreadable; "
                    "put it there, or remove it from the poses"
                )
            _check_same(frame, entry.size_wh, entry.time_s, name)
            yield Result(make_frame(entry, frame.image, frame.duration_s), entry.poses)
        if next(read, None) is not None:
            log.warning("%s: the %s ends before the video; later frames are left out", recording.path, recording.format)


def _all_frames(found: PoseFile, table: Mapping[int, Poses], source: VideoInput | ImageSource) -> Generator[Result]:
    """Yield all frames of a source with the people that another tool has found in them.

    Raises:
        InputError: A frame has another size or time than the file says.
    """
    listed = {} if isinstance(source, ImageSource) else dict(video_frames(found))
    read = prefetch(source, depth=AHEAD, name="read")
    last = -1
    with closing(read):
        for frame in read:
            last, entry = frame.index, listed.get(frame.index)
            if entry is not None:
                _check_same(frame, entry.size_wh, entry.time_s, source.info.name)
            yield Result(frame, table.get(frame.index, NO_PEOPLE))
    warn_of_late_people(found, table, last + 1, source.info.name)


def _check_same(frame: Frame, size_wh: tuple[int, int] | None, time_s: float | None, name: str) -> None:
    """Raise InputError if a frame is not the one that the poses belong to."""
    if size_wh is not None and frame.size_wh != size_wh:
        got, expected = (f"{width}x{height}" for width, height in (frame.size_wh, size_wh))
        raise _mismatch(name, f"frame {frame.index}: got {got} pixels, expected {expected}")
    if time_s is not None and abs(frame.time_s - time_s) > CLOSE_S:
        raise _mismatch(name, f"frame {frame.index}: got time {frame.time_s:.3f} s, expected {time_s:.3f} s")


def make_frame(entry: JournalFrame, image: Image, duration_s: float | None = None) -> Frame:
    """Return the frame of a journal's entry with the given pixels."""
    return Frame(image, entry.index, entry.time_s, entry.name, entry.pts, duration_s)


@lru_cache(maxsize=8)
def blank(size_wh: tuple[int, int]) -> Image:
    """Return a read-only (H, W, 3) black image that takes three bytes, for those who look at no pixels."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    return np.broadcast_to(pixel, (size_wh[1], size_wh[0], 3))


def without_pixels(entries: Iterable[JournalFrame]) -> Iterator[Result]:
    """Yield stored poses as results, with black frames."""
    return (Result(make_frame(entry, blank(entry.size_wh)), entry.poses) for entry in entries)


def _video(given: PoseInput, recording: AlignedPoses, another: bool) -> VideoInput:
    """Open the part of the video that the poses belong to."""
    if len(given.inputs) != 1:
        raise UsageError(f"{given.path} is the {recording.format} of one video; name that video with -i")
    header, path = recording.header, Path(given.inputs[0])
    window = Window.of_header(header)
    rate = None if header.get("rate") is None else Fraction(header["rate"])
    source = open_video_input(path, window, header.get("stream"), rate, view=View.of_header(header))
    recorded_sha256 = header.get("source_sha256")
    if not another and recorded_sha256 is not None and not is_same_source(header, source.files):
        raise InputError(
            f"{path} is not the file that {given.path} was made from ({header.get('source')}): its bytes are "
            "others; name that one, or add --another-video if the frames are the same, as after another encoding"
        )
    return source


def _images(given: PoseInput, recording: AlignedPoses) -> ImageSource:
    """Open the images of a pose file, in its order."""
    found = find_images(given.inputs, given.recursive)
    paths = dict(zip(found.names, found.paths, strict=True))
    names = tuple(entry.name for entry in recording.frames)
    missing = next((name for name in names if name not in paths), None)
    if missing is not None:
        raise InputError(f"{missing}: in {given.path}, but not among the images; name them as for tpose images")
    return ImageSource(ImageList(tuple(paths[name] for name in names), names))


def _mismatch(name: str, reason: str) -> InputError:
    return InputError(
        f"{name}: the poses belong to other frames ({reason}); name the video or images they were made from"
    )
