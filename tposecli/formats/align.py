"""From poses in a file to frames: which picture or moment of a video each of them belongs to."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tposecli.formats.base import FrameRef, PoseFile
from tposecli.formats.coco import image_ids
from tposecli.formats.journal.journal import Journal
from tposecli.formats.journal.provenance import describe_source
from tposecli.formats.journal.records import JournalFrame
from tposecli.formats.read import read_poses
from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.sources import IMAGE_SUFFIXES, ImageList, ImageSource, VideoInput, find_images, open_video_input
from tposecli.sources.image_sequence import is_sequence
from tposecli.sources.timestamps import timestamps
from tposecli.sources.video import VideoSource
from tposecli.types import Poses, SourceInfo
from tposecli.utils.errors import InputError, UsageError

log = logging.getLogger("tposecli")

JOURNAL: Final = "journal"

NOBODY: Final = Poses.empty()


@dataclass(frozen=True, slots=True)
class AlignedPoses:
    """Poses, wherever they come from, with the frames that they belong to.

    Attributes:
        path: The file, or the folder.
        format: What it is, for people.
        header: Where the poses come from, in the words of a journal's header.
        frames: In order; a journal's are read anew whenever they are asked for.
        stills: The frames are pictures that do not follow one another in time.
        tracked: Everybody has an id already.
    """

    path: Path
    format: str
    header: Mapping[str, Any]
    frames: Iterable[JournalFrame]
    stills: bool
    tracked: bool = False

    @property
    def stray_score(self) -> float:
        """Score below which people count only if they continue a track."""
        return float(self.header.get("stray_score") or 0)


def journalled(journal: Journal) -> AlignedPoses:
    """A journal's poses, which have no ids.

    Raises:
        InputError: What it says of its keypoints contradicts itself.
    """
    try:
        KeypointLayout.of_facts(journal.header)
    except ValueError as error:
        raise InputError(f"{journal.path}: its header makes no sense ({error})") from error
    return AlignedPoses(journal.path, JOURNAL, journal.facts, journal, journal.header.get("time_base") is None)


@dataclass(frozen=True, slots=True)
class PoseInput:
    """A file of poses as it was named, and what it does not say of its frames.

    Attributes:
        path: A journal, or poses of another tool.
        kind: What that is; None to find out.
        inputs: The video, or the pictures, that the poses are of.
        fps: Frames a second, where there is no video at hand.
        size_wh: Pixels of a frame.
        recursive: Look into the folders of the folders, for pictures.
        track_again: Ids in the file do not count.
    """

    path: Path
    kind: str | None = None
    inputs: tuple[str, ...] = ()
    fps: Fraction | None = None
    size_wh: tuple[int, int] | None = None
    recursive: bool = False
    track_again: bool = False


def recorded(given: PoseInput) -> AlignedPoses:
    """The poses with their frames.

    Raises:
        UsageError: Nothing says when a frame is shown.
        InputError: Poses, video or pictures are missing, damaged, or not of each other.
    """
    found = read_poses(given.path, given.kind)
    return journalled(found) if isinstance(found, Journal) else placed(found, given)


def placed(found: PoseFile, given: PoseInput) -> AlignedPoses:
    """The poses with frames: those of the video or pictures given, else at the rate given, else as the file has them.

    Raises:
        UsageError: Nothing says when a frame is shown.
        InputError: The video or pictures are missing, or others than the poses are of.
    """
    if given.inputs:
        source = open_source(given)
        return _of_pictures(found, source) if isinstance(source, ImageList) else _of_video(found, source)
    if given.fps is not None:
        return _at_rate(found, given, given.fps)
    if not found.has_times and not found.stills:
        raise UsageError(
            f"{found.path}: {found.format} does not say when its frames are shown; name the video with -i, "
            "or give its frames a second with --fps"
        )
    size_wh = _size(found, given)
    frames = [_listed(found, stamp, stamp.size_wh or size_wh) for stamp in found.frames]
    return AlignedPoses(
        found.path,
        found.format,
        {**header(SourceInfo(found.path.name)), **_origin(found)},
        frames,
        found.stills,
        found.tracked,
    )


def header(source: SourceInfo) -> dict[str, Any]:
    """What a journal would say at its beginning."""
    return {**describe_source(source), **COCO.facts()}


def picture_header(images: ImageList) -> dict[str, Any]:
    """The same of pictures: whether their names are their ids."""
    numbered = image_ids(images.names) != list(range(1, len(images) + 1))
    return {**header(ImageSource(images).info), "image_ids": "names" if numbered else "order"}


def open_source(given: PoseInput) -> VideoInput | ImageList:
    """The pictures, if the inputs are pictures or folders of them; else the video."""
    paths = [Path(name) for name in given.inputs]
    if len(paths) == 1 and not _is_picture(paths[0]):
        return open_video_input(paths[0])
    return find_images(given.inputs, given.recursive)


def _is_picture(path: Path) -> bool:
    return path.is_dir() or (path.suffix.lower() in IMAGE_SUFFIXES and not is_sequence(path) and path.suffix != ".gif")


def by_index(found: PoseFile, pictures: Sequence[str] | None = None) -> dict[int, Poses]:
    """The people by the index of the frame in the video, or among the pictures.

    Pictures are found by their names; in lists of results by their numbers, as COCO's are.

    Raises:
        InputError: Not one frame with people belongs to the pictures.
    """
    ids: Mapping[int, int | None] = {stamp.index: stamp.id for stamp in found.frames}
    if pictures is not None:
        ids = dict(enumerate(_ids(found, pictures)))
    table = {index: found.poses[key] for index, key in ids.items() if key is not None and key in found.poses}
    if found.poses and not table:
        raise InputError(f"{found.path}: none of its people are in any of the {len(ids)} pictures; name the right ones")
    return table


def warn_of_rest(found: PoseFile, table: Mapping[int, Poses], frames: int, name: str) -> None:
    """Say so if the file knows of people behind the end of the video."""
    late = sum(index >= frames for index in table)
    if late:
        log.warning("%s: people in %d frames lie behind the end of %s; left out", found.path, late, name)


def _ids(found: PoseFile, pictures: Sequence[str]) -> list[int | None]:
    """For each picture the frame of the file."""
    if not all(stamp.name for stamp in found.frames):
        if found.format == "COCO results":
            return list(image_ids(pictures))
        order = {stamp.index: stamp.id for stamp in found.frames}
        return [order.get(index) for index in range(len(pictures))]
    found_by: list[int | None] = [None] * len(pictures)
    for part in (_stem, _last, _whole):
        counts = Counter(part(stamp.name) for stamp in found.frames)
        table = {part(stamp.name): stamp.id for stamp in found.frames if counts[part(stamp.name)] == 1}
        found_by = [table.get(part(name), before) for name, before in zip(pictures, found_by, strict=True)]
    return found_by


def _whole(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _last(name: str) -> str:
    return PurePosixPath(_whole(name)).name


def _stem(name: str) -> str:
    return PurePosixPath(_last(name)).stem


def _of_video(found: PoseFile, source: VideoInput) -> AlignedPoses:
    """On the frames of a video, all of them, which are not decoded."""
    info = source.info
    ticks = timestamps(source) if isinstance(source, VideoSource) else [frame.pts or 0 for frame in source]
    table, size = by_index(found), info.size_wh or (1, 1)
    warn_of_rest(found, table, len(ticks), info.name)
    base = info.time_base or Fraction(1)
    frames = [
        JournalFrame(index, info.name, pts, float(pts * base), size, table.get(index, NOBODY))
        for index, pts in enumerate(ticks)
    ]
    return AlignedPoses(found.path, found.format, header(info), frames, False, found.tracked)


def _of_pictures(found: PoseFile, images: ImageList) -> AlignedPoses:
    """On pictures, all of them, which are decoded for their sizes."""
    table, source = by_index(found, images.names), ImageSource(images)
    frames = [
        JournalFrame(frame.index, frame.name, None, 0.0, frame.size_wh, table.get(frame.index, NOBODY))
        for frame in source
    ]
    return AlignedPoses(found.path, found.format, picture_header(images), frames, True)


def _at_rate(found: PoseFile, given: PoseInput, fps: Fraction) -> AlignedPoses:
    """At a constant rate, from 0 s on."""
    size_wh = _size(found, given)
    base = 1 / fps
    info = SourceInfo(found.path.name, size_wh, fps, base)
    frames = [
        JournalFrame(stamp.index, stamp.name, stamp.index, float(stamp.index * base), size_wh, _people(found, stamp))
        for stamp in found.frames
    ]
    return AlignedPoses(found.path, found.format, header(info), frames, False, found.tracked)


def _listed(found: PoseFile, stamp: FrameRef, size_wh: tuple[int, int]) -> JournalFrame:
    """A frame as the file has it; pictures keep their ids, which are one more than an index in what is written."""
    index = stamp.id - 1 if found.stills and stamp.id > 0 else stamp.index
    return JournalFrame(index, stamp.name, stamp.pts, stamp.time_s or 0.0, size_wh, _people(found, stamp))


def _people(found: PoseFile, stamp: FrameRef) -> Poses:
    return found.poses.get(stamp.id, NOBODY)


def _origin(found: PoseFile) -> Mapping[str, Any]:
    """What a file of ours says in a journal's words; those of others mean nothing here."""
    return found.info if found.info.get("tool") == "tposecli" else {}


def _size(found: PoseFile, given: PoseInput) -> tuple[int, int]:
    """Width and height as they were given, or the file has them; else the least that holds every joint."""
    listed = {stamp.size_wh for stamp in found.frames}
    if given.size_wh is not None or (None not in listed and listed):
        return given.size_wh or next(size for size in listed if size is not None)
    corner = [max((float(p.xy[:, :, axis].max()) for p in found.poses.values()), default=0.0) for axis in (0, 1)]
    size_wh = math.floor(corner[0]) + 1, math.floor(corner[1]) + 1
    message = (
        "%s: does not say how large its frames are; taken for %dx%d, where the outermost joints lie (or give --size)"
    )
    log.warning(message, found.path, *size_wh)
    return size_wh
