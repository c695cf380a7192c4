"""Align the poses of a file with frames: find the image, or the time in a video, that each of them belongs to."""

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
from tposecli.formats.coco.write import image_ids
from tposecli.formats.frame_numbers import frame_indices, refuse_several_recordings
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

NO_PEOPLE: Final = Poses.empty()


@dataclass(frozen=True, slots=True)
class AlignedPoses:
    """Poses of any format with the frames that they belong to.

    Attributes:
        path: The file or folder.
        format: Name of the format, for messages and provenance.
        header: Provenance of the poses, with the keys of a journal's header.
        frames: The frames in order; those of a journal are read from the file on each iteration.
        stills: The frames are images that do not follow one another in time.
        tracked: Every person has a track id already.
    """

    path: Path
    format: str
    header: Mapping[str, Any]
    frames: Iterable[JournalFrame]
    stills: bool
    tracked: bool = False

    @property
    def weak_score(self) -> float:
        """Box score below which people are kept only if they continue a track."""
        return float(self.header.get("stray_score") or 0)


def align_journal(journal: Journal) -> AlignedPoses:
    """Return a journal's poses, which have no track ids.

    Raises:
        InputError: Its keypoint layout is inconsistent.
    """
    try:
        KeypointLayout.from_dict(journal.header)
    except ValueError as error:
        raise InputError(
            f"{journal.path}: damaged (invalid keypoint layout in its header: {error}); run the original command again"
        ) from error
    return AlignedPoses(journal.path, JOURNAL, journal.provenance, journal, journal.header.get("time_base") is None)


@dataclass(frozen=True, slots=True)
class PoseInput:
    """A pose file to read, and what the user says of its frames.

    Attributes:
        path: A journal or another pose file or folder.
        kind: Name of its format; None to detect it.
        inputs: The video or the images that the poses belong to.
        fps: Frame rate, if there is no video.
        size_wh: Width and height of the frames in pixels, if there is no video.
        recursive: Recurse into subfolders to find images.
        track_again: Ignore the track ids of the file.
        corrected: Make the corrections of a journal, if there are any.
    """

    path: Path
    kind: str | None = None
    inputs: tuple[str, ...] = ()
    fps: Fraction | None = None
    size_wh: tuple[int, int] | None = None
    recursive: bool = False
    track_again: bool = False
    corrected: bool = True


def read_aligned(given: PoseInput) -> AlignedPoses:
    """Read a pose file and align it with its frames.

    Raises:
        UsageError: The times of the frames are unknown.
        InputError: Poses, video or images are missing, damaged, or do not belong together.
    """
    found = read_poses(given.path, given.kind)
    return align_journal(found) if isinstance(found, Journal) else align(found, given)


def align(found: PoseFile, given: PoseInput) -> AlignedPoses:
    """Align poses with the given video or images, else with the given frame rate, else with the file's own times.

    Raises:
        UsageError: The times of the frames are unknown.
        InputError: The video or images are missing, or do not belong to the poses.
    """
    if given.inputs:
        source = open_source(given)
        return _with_images(found, source) if isinstance(source, ImageList) else _with_video(found, given, source)
    if given.fps is not None:
        return _with_rate(found, given, given.fps)
    if not found.has_times and not found.stills:
        raise UsageError(
            f"{found.path}: {found.format} does not contain the times of its frames; name the video with -i, "
            "or give its frame rate with --input-fps"
        )
    size_wh = _size(found, given)
    frames = [_own_frame(found, frame, frame.size_wh or size_wh) for frame in found.frames]
    return AlignedPoses(
        found.path,
        found.format,
        {**make_header(SourceInfo(found.path.name)), **_own_provenance(found), **names_of(found, given)},
        frames,
        found.stills,
        found.tracked,
    )


def make_header(source: SourceInfo) -> dict[str, Any]:
    """Return the source and keypoints in the form of a journal's header."""
    return {**describe_source(source), **COCO.to_dict()}


def image_header(images: ImageList) -> dict[str, Any]:
    """Return the header for images, with the origin of their ids."""
    numbered = image_ids(images.names) != list(range(1, len(images) + 1))
    return {**make_header(ImageSource(images).info), "image_ids": "names" if numbered else "order"}


def open_source(given: PoseInput) -> VideoInput | ImageList:
    """Open the inputs: a list of images if they are images or folders, else the video."""
    if len(given.inputs) == 1 and not are_images(given):
        return open_video_input(Path(given.inputs[0]))
    return find_images(given.inputs, given.recursive)


def are_images(given: PoseInput) -> bool:
    """Return whether the inputs are images or folders of them, and no video."""
    return len(given.inputs) > 1 or any(_is_image_input(Path(name)) for name in given.inputs)


def _is_image_input(path: Path) -> bool:
    return path.is_dir() or (path.suffix.lower() in IMAGE_SUFFIXES and not is_sequence(path) and path.suffix != ".gif")


def poses_by_index(found: PoseFile, image_names: Sequence[str] | None = None) -> dict[int, Poses]:
    """Return people by the index of the frame in the video or among the images.

    Images are matched by name; in lists of results by the number in the name, as in COCO.

    Raises:
        InputError: No frame with people belongs to any of the images.
    """
    ids: Mapping[int, int | None] = {index: frame.id for index, frame in video_frames(found)}
    if image_names is not None:
        ids = dict(enumerate(_frame_ids(found, image_names)))
    table = {index: found.poses[key] for index, key in ids.items() if key is not None and key in found.poses}
    if found.poses and not table:
        raise InputError(f"{found.path}: none of its people are in any of the {len(ids)} images; name the right ones")
    return table


def video_frames(found: PoseFile) -> list[tuple[int, FrameRef]]:
    """Return the frames of a file with their indices in a video; names with numbers say which frames they are.

    Raises:
        InputError: The names are those of several recordings.
    """
    names = [frame.name for frame in found.frames]
    indices = frame_indices(names) if found.ordered else None
    if indices is None:
        if found.ordered:
            refuse_several_recordings(found.path, names)
        return [(frame.index, frame) for frame in found.frames]
    return sorted(zip(indices, found.frames, strict=True), key=lambda pair: pair[0])


def _warn_of_order(found: PoseFile, frames: int, name: str) -> None:
    """Warn if images were taken as the frames of a video by their order alone, and their number differs."""
    if not found.ordered or len(found.frames) == frames:
        return
    indices = frame_indices([frame.name for frame in found.frames])
    if indices is None:
        log.warning(
            "%s: %d images without frame numbers were taken as the first frames of %s, which has %d; number them "
            "(frame_000012.png) or give each a frame_index",
            *(found.path, len(found.frames), name, frames),
        )
    elif min(indices) > 0:
        log.info("%s: the numbers in its names were taken as frames of %s, counted from 0", found.path, name)


def warn_of_late_people(found: PoseFile, table: Mapping[int, Poses], frames: int, name: str) -> None:
    """Warn if the file has people after the end of the video, or if its frames were matched by their order alone."""
    _warn_of_order(found, frames, name)
    late = sum(index >= frames for index in table)
    if late:
        log.warning("%s: ignored people in %d frames after the end of %s", found.path, late, name)


def _frame_ids(found: PoseFile, image_names: Sequence[str]) -> list[int | None]:
    """Return the file's frame id of each image, None if it has none."""
    named = [(frame.name, frame.id) for frame in found.frames]
    if found.image_names:
        named = [(name, key) for key, name in found.image_names.items()]
    elif not all(frame.name for frame in found.frames):
        if found.format == "COCO results":
            return list(image_ids(image_names))
        order = {frame.index: frame.id for frame in found.frames}
        return [order.get(index) for index in range(len(image_names))]
    ids: list[int | None] = [None] * len(image_names)
    # From the loosest to the strictest match, so that the strictest wins; a part that is not unique matches nothing.
    for part in (_stem, _file_name, _full_name):
        counts = Counter(part(name) for name, _ in named)
        table = {part(name): key for name, key in named if counts[part(name)] == 1}
        ids = [table.get(part(name), before) for name, before in zip(image_names, ids, strict=True)]
    return ids


def _full_name(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _file_name(name: str) -> str:
    return PurePosixPath(_full_name(name)).name


def _stem(name: str) -> str:
    return PurePosixPath(_file_name(name)).stem


def _with_video(found: PoseFile, given: PoseInput, source: VideoInput) -> AlignedPoses:
    """Align with all frames of a video, without decoding them."""
    info = source.info
    ticks = timestamps(source) if isinstance(source, VideoSource) else [frame.pts or 0 for frame in source]
    table, size = poses_by_index(found), info.size_wh or (1, 1)
    warn_of_late_people(found, table, len(ticks), info.name)
    base = info.time_base or Fraction(1)
    frames = [
        JournalFrame(index, info.name, pts, float(pts * base), size, table.get(index, NO_PEOPLE))
        for index, pts in enumerate(ticks)
    ]
    return AlignedPoses(
        found.path, found.format, make_header(info) | names_of(found, given), frames, False, found.tracked
    )


def _with_images(found: PoseFile, images: ImageList) -> AlignedPoses:
    """Align with all of the images, which are decoded for their sizes."""
    table, source = poses_by_index(found, images.names), ImageSource(images)
    frames = [
        JournalFrame(frame.index, frame.name, None, 0.0, frame.size_wh, table.get(frame.index, NO_PEOPLE))
        for frame in source
    ]
    return AlignedPoses(found.path, found.format, image_header(images), frames, True)


def _with_rate(found: PoseFile, given: PoseInput, fps: Fraction) -> AlignedPoses:
    """Align with frames at a constant rate, from 0 s."""
    size_wh = _size(found, given)
    base = 1 / fps
    info = SourceInfo(found.path.name, size_wh, fps, base)
    frames = [
        JournalFrame(index, frame.name, index, float(index * base), size_wh, _people(found, frame))
        for index, frame in video_frames(found)
    ]
    return AlignedPoses(
        found.path, found.format, make_header(info) | names_of(found, given), frames, False, found.tracked
    )


def _own_frame(found: PoseFile, frame: FrameRef, size_wh: tuple[int, int]) -> JournalFrame:
    """Return a frame as the file describes it.

    Writers number images from index + 1, so that images of the file keep their ids in the output.
    """
    index = frame.id - 1 if found.stills and frame.id > 0 else frame.index
    return JournalFrame(index, frame.name, frame.pts, frame.time_s or 0.0, size_wh, _people(found, frame))


def _people(found: PoseFile, frame: FrameRef) -> Poses:
    return found.poses.get(frame.id, NO_PEOPLE)


def names_of(found: PoseFile, given: PoseInput) -> dict[str, Any]:
    """Return the names of people in the form of a header."""
    names = {str(track): name for track, name in found.people.items()}
    return {"track_names": names} if names and found.tracked and not given.track_again else {}


def _own_provenance(found: PoseFile) -> Mapping[str, Any]:
    """Return the provenance of a file that tposecli wrote; other tools use other keys."""
    return found.info if found.info.get("tool") == "tposecli" else {}


def _size(found: PoseFile, given: PoseInput) -> tuple[int, int]:
    """Return width and height as given, else from the file, else the smallest that contain every joint."""
    listed = {frame.size_wh for frame in found.frames}
    if given.size_wh is not None or (None not in listed and listed):
        return given.size_wh or next(size for size in listed if size is not None)
    corner = [max((float(p.xy[:, :, axis].max()) for p in found.poses.values()), default=0.0) for axis in (0, 1)]
    size_wh = math.floor(corner[0]) + 1, math.floor(corner[1]) + 1
    message = "%s: contains no frame size; assumed %dx%d, from the outermost joints (or give --size)"
    log.warning(message, found.path, *size_wh)
    return size_wh
