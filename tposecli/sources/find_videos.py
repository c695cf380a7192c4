"""Resolve the videos that the user named: files, folders, patterns, lists of them, URLs and cameras."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tposecli.hub.remote import address_of, find, is_stored, stored_path
from tposecli.sources.find_images import IMAGE_SUFFIXES, natural_key
from tposecli.sources.image_sequence import is_sequence
from tposecli.sources.list_files import LIST_SUFFIX, read_list
from tposecli.sources.locations import STDIN, InputLocation, camera_number, is_url, output_stem, read_errors
from tposecli.utils.errors import InputError, UsageError

_SUFFIXES = (
    "264 265 3g2 3gp asf avi divx dv f4v flv h264 h265 hevc ivf m2t m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg "
    "mts mxf nut obu ogm ogv rm rmvb ts vob webm wmv y4m"
)
VIDEO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
"""Suffixes of the files of a folder that are videos; a file that the user names may have any."""

log = logging.getLogger("tposecli")


@dataclass(frozen=True, slots=True)
class NamedVideo:
    """A video and the name that its outputs take in a folder.

    Attributes:
        location: Where it is.
        name: Unique among the videos of a run, with forward slashes and without suffix: the name of the file or, if two
            would be equal, its path below the folder that all have in common.
        is_one_of_many: Whether a folder, a pattern or a list stands for it, so that outputs are folders.
    """

    location: InputLocation
    name: str
    is_one_of_many: bool = False

    @property
    def label(self) -> str:
        """The name with the suffix of the file, for tables."""
        return f"{self.name}{path.suffix}" if (path := _path_of(self.location)) is not None else self.name


def location_of(text: str) -> InputLocation:
    """Return a file as a path; a URL, a camera number, or ``-`` for standard input as text."""
    return text if text == STDIN or is_url(text) or camera_number(text) is not None else Path(text)


def find_videos(
    inputs: Sequence[str],
    recursive: bool = False,
    lists: Sequence[str] = (),
    own_suffix: str = "",
    offline: bool = False,
) -> list[NamedVideo]:
    """Find the videos that ``inputs`` and ``lists`` name, in the order given, without duplicates.

    Args:
        inputs: Files, folders, patterns (``*``, ``?``, ``[..]``, ``**``), also in stores (``s3://``, ``gs://``),
            ``.txt`` lists of these, URLs, camera numbers, image sequences, or ``-`` for standard input.
        recursive: Recurse into subfolders.
        lists: Files with one input per line, relative to the file's own folder; ``-`` reads standard input.
        own_suffix: In folders and patterns, files are skipped beside which a file with this suffix added shows that
            this program made them.
        offline: Refuse what is in a store.

    Raises:
        UsageError: What is in a store cannot be looked up offline.
        InputError: There is no video at all, a pattern matches nothing, or a list cannot be read.
    """
    found: dict[InputLocation, NamedVideo] = {}
    own: list[Path] = []
    listed = [line for name in lists for line in _read_list(name)]
    for text, of_list in [*((text, False) for text in _expand_lists(inputs)), *((line, True) for line in listed)]:
        if offline and is_stored(text):
            raise UsageError(f"{address_of(text)}: an address, and the network is off; run without --offline")
        for video in _find(text, recursive, own_suffix, own):
            found.setdefault(video.location, replace(video, is_one_of_many=video.is_one_of_many or of_list))
    if all(isinstance(location, Path) and location.is_dir() for location in found):
        deeper = "" if recursive else "add --recursive to search subfolders, or "
        named = ", ".join(str(location) for location in found)
        raise InputError(f"{named}: no videos found; {deeper}use tpose images for images")
    if own:
        named = ", ".join(path.name for path in own[:3]) + (f" and {len(own) - 3} more" if len(own) > 3 else "")
        log.info("skipped because tpose made them: %s", named)
    return _unique(list(found.values()))


def kind_of(text: str) -> str:
    """Return what an input without a command is: ``video``, ``images``, or an empty string for neither.

    A folder is what most of its files are.
    """
    path = Path(text)
    if text == STDIN or is_url(text):
        return "video"
    if path.is_dir():
        suffixes = Counter(_kind_of_suffix(each) for each in path.iterdir() if each.is_file())
        return "" if not suffixes["video"] + suffixes["images"] else max(("images", "video"), key=suffixes.__getitem__)
    if is_sequence(path) and not path.exists():
        return "video"
    return _kind_of_suffix(path)


def _kind_of_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or suffix == ".gif":
        return "video"
    return "images" if suffix in IMAGE_SUFFIXES or suffix in (".zip", ".heic", ".heif") else ""


def _find(text: str, recursive: bool, own_suffix: str, own: list[Path]) -> Iterator[NamedVideo]:
    """Yield the videos that one input names; what the program made is added to ``own`` instead."""
    location = location_of(text)
    if is_stored(text):
        yield from _find_stored(text, recursive, own_suffix, own)
        return
    path = Path(text)
    with read_errors(location):
        is_pattern = not os.path.lexists(path) and glob.has_magic(text) and not is_sequence(path)
        if not isinstance(location, Path) or not (path.is_dir() or is_pattern):
            yield NamedVideo(location, output_stem(location))
            return
        files = glob.glob(text, recursive=True) if is_pattern else _files(path, recursive)
    videos = sorted(_videos(files, ".*" if is_pattern else ""), key=lambda each: natural_key(each.as_posix()))
    made = [each for each in videos if own_suffix and Path(f"{each}{own_suffix}").exists()]
    own += made
    if not videos:
        if is_pattern:
            raise InputError(f"{text}: no file matches this pattern; check the folder and the suffix")
        yield NamedVideo(path, path.name, is_one_of_many=True)  # It is reported in its turn.
    for each in videos:
        if each not in made:
            name = each.name if is_pattern else each.relative_to(path).as_posix()
            yield NamedVideo(each, name.removesuffix(each.suffix), is_one_of_many=True)


def _find_stored(text: str, recursive: bool, own_suffix: str, own: list[Path]) -> Iterator[NamedVideo]:
    """Yield the videos in a store that an address stands for; a file is not looked up."""
    is_pattern = glob.has_magic(text)
    if not (is_pattern or text.endswith("/")):
        yield NamedVideo(text, output_stem(text))
        return
    found = find(text, recursive)
    videos = [path for path in found if is_pattern or path.suffix.lower() in VIDEO_SUFFIXES]
    made = [path for path in videos if path.with_name(f"{path.name}{own_suffix}") in found and own_suffix]
    own += made
    for path in sorted(set(videos) - set(made), key=lambda each: natural_key(each.as_posix())):
        name = path.name if is_pattern else path.relative_to(stored_path(text)).as_posix()
        yield NamedVideo(address_of(path), name.removesuffix(path.suffix), is_one_of_many=True)


def _path_of(location: InputLocation) -> Path | None:
    """Return a file as a path, also one in a store; None for what has no place among others."""
    return location if isinstance(location, Path) else stored_path(location) if is_stored(location) else None


def _files(folder: Path, recursive: bool) -> list[str]:
    """Return the files in a folder and, if asked for, below it."""
    if recursive:
        return [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]
    return [str(path) for path in folder.iterdir()]


def _videos(files: Iterable[str], any_suffix: str) -> Iterator[Path]:
    """Yield the videos among files; what a pattern matches may have any suffix."""
    for path in map(Path, files):
        is_video = path.suffix.lower() in VIDEO_SUFFIXES or bool(any_suffix)
        if is_video and path.is_file() and not path.name.startswith("."):
            yield path


def _unique(videos: list[NamedVideo]) -> list[NamedVideo]:
    """Return the videos with unique names."""
    if _are_unique(video.name for video in videos):
        return videos
    folders = [os.path.abspath(path.parent) for video in videos if (path := _path_of(video.location)) is not None]
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # The files are on different drives, or there are none.
        common = ""
    videos = [replace(video, name=_below(video, common)) for video in videos]
    count = Counter(video.name for video in videos)
    videos = [replace(video, name=_with_suffix(video)) if count[video.name] > 1 else video for video in videos]
    taken: set[str] = set()
    return [replace(video, name=_free(video.name, taken)) for video in videos]


def _below(video: NamedVideo, common: str) -> str:
    """Return the path of a file below a folder, without suffix."""
    path = _path_of(video.location)
    if path is None or not common:
        return video.name
    return Path(os.path.relpath(os.path.abspath(path), common)).with_name(video.name.split("/")[-1]).as_posix()


def _with_suffix(video: NamedVideo) -> str:
    """Return the name with what distinguishes ``a.mp4`` from ``a.mov``: ``a_mov``."""
    suffix = "" if (path := _path_of(video.location)) is None else path.suffix
    return f"{video.name}_{suffix.removeprefix('.')}" if suffix else video.name


def _free(name: str, taken: set[str]) -> str:
    """Return the name, numbered if it is taken, and note that it is taken now."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    taken.add(free)
    return free


def _are_unique(names: Iterable[str]) -> bool:
    listed: Collection[str] = list(names)
    return len(set(listed)) == len(listed)


def _expand_lists(inputs: Iterable[str]) -> Iterator[str]:
    """Yield the inputs, with the lines of ``.txt`` files in place of these."""
    for text in inputs:
        yield from _read_list(text) if text.lower().endswith(LIST_SUFFIX) and Path(text).is_file() else (text,)


def _read_list(name: str) -> list[str]:
    """Return the inputs in a list, those that are relative below the list's folder.

    Raises:
        InputError: It cannot be read, or is empty.
    """
    wanted = read_list(name)
    if not wanted:
        raise InputError(f"{name}: the list is empty; write one input per line")
    folder = Path() if name == STDIN else Path(name).parent
    return [line if location_of(line) == line else str(folder / line) for line in wanted]
