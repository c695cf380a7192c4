"""Resolve the image files that the user named: files, folders, glob patterns and lists of them."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tposecli.sources.heif import REMEDY, can_read_heif
from tposecli.sources.heif import SUFFIXES as HEIF_SUFFIXES
from tposecli.sources.image_store import archive_of, is_archive, members
from tposecli.sources.list_files import LIST_SUFFIX, read_list
from tposecli.sources.locations import read_errors
from tposecli.utils.errors import InputError

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .bmp .dib .tif .tiff .gif .ppm .pgm .pbm .pnm .jp2 .avif".split()  # noqa: SIM905
)
_UNSUPPORTED = (
    "3fr ai arw cr2 cr3 dcm dng emf eps exr fits hdr icns ico j2k jxl jxr kra nef nrw orf pcx pef psd raf raw rw2 "
    "sgi srw svg svgz tga wmf xcf"
)
UNSUPPORTED_SUFFIXES = HEIF_SUFFIXES | {f".{suffix}" for suffix in _UNSUPPORTED.split()}
"""Suffixes of images that cannot be read, or only with an extra."""
MAX_NAMED = 5
"""How many unsupported images are named."""

log = logging.getLogger("tposecli")


@dataclass(frozen=True, slots=True)
class ImageList:
    """Images in natural order (2 before 10), without duplicates.

    Attributes:
        paths: N files.
        names: N unique names with forward slashes: relative to the folder that the user named or, if two would be
            equal, to the folder common to all.
        skipped: Number of files that were skipped because they are not images.
        unsupported: Images that were skipped because their formats cannot be read.
        first: Position of the first of these images, if they are some of more.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    skipped: int = 0
    unsupported: tuple[Path, ...] = ()
    first: int = 0

    def __post_init__(self) -> None:
        if len(self.paths) != len(self.names) or len(set(self.names)) != len(self.names):
            raise ValueError(f"names: expected {len(self.paths)} unique ones, got {self.names}")

    def __len__(self) -> int:
        return len(self.paths)

    def some(self, span: range) -> ImageList:
        """Return those at these positions."""
        return ImageList(self.paths[span.start : span.stop], self.names[span.start : span.stop], first=span.start)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files on disk that contain the images, each once; a zip file stands for all images in it."""
        return tuple(dict.fromkeys(archive_of(path) or path for path in self.paths))


def find_images(inputs: Sequence[Path | str], recursive: bool = False) -> ImageList:
    """Find the images that ``inputs`` name.

    Args:
        inputs: Files, folders, zip files, patterns (``*``, ``?``, ``[..]``, ``**``) and ``.txt`` lists of these, in any
            combination.
        recursive: Recurse into subfolders.

    Raises:
        InputError: A named input does not exist, or there is no image among them.
    """
    found: dict[str, tuple[Path, Path]] = {}
    skipped: set[str] = set()
    unsupported: dict[str, Path] = {}
    with_heif = can_read_heif()
    for start in expand(inputs):
        with read_errors(start):
            files = _files(start, recursive)
        for path in files:
            # A link is an image of its own, by its own name; only the same name twice is one image.
            place, suffix, hidden = os.path.abspath(path), path.suffix.lower(), path.name.startswith(".")
            # HEIC that the user names fails by name if it cannot be read; in folders it is counted.
            is_readable = suffix in IMAGE_SUFFIXES or (suffix in HEIF_SUFFIXES and (with_heif or path == start))
            if is_readable and not hidden:
                found.setdefault(place, (path, start if path != start else path.parent))
            elif suffix in UNSUPPORTED_SUFFIXES and not hidden:
                unsupported[place] = path
            else:
                skipped.add(place)
    if unsupported:
        log.warning("%s", _unsupported(list(unsupported.values())))
    if not found:
        raise InputError(_none_found(inputs, recursive, list(unsupported.values())))
    ordered = sorted(found.values(), key=lambda item: natural_key(item[0].as_posix()))
    paths = tuple(path for path, _ in ordered)
    return ImageList(paths, _names(ordered), len(skipped), tuple(unsupported.values()))


def expand(inputs: Iterable[Path | str]) -> list[Path]:
    """Expand patterns and lists to the files and folders they stand for, without duplicates, in the order given.

    A name that exists is used literally, even if it contains brackets. A ``.txt`` file holds one name or pattern per
    line, relative to the file's own folder; empty lines and lines that start with ``#`` are ignored.

    Raises:
        InputError: A name does not exist, a pattern matches nothing, or a list cannot be read.
    """
    expanded: dict[Path, None] = {}
    for item in inputs:
        path = Path(item)
        with read_errors(path):
            is_list, exists = path.suffix.lower() == LIST_SUFFIX and path.is_file(), path.exists()
        if is_list:
            expanded.update(dict.fromkeys(expand(_read_list(path))))
        elif exists:
            expanded[path] = None
        else:
            expanded.update(dict.fromkeys(_matches(path)))
    return list(expanded)


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sorting key that compares digits as numbers: ``frame2`` before ``frame10``."""
    parts = re.split(r"0*([0-9]+)", text.casefold())
    return [(0, len(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part], text


def _matches(path: Path) -> list[Path]:
    """Return the files that match a pattern, in natural order."""
    pattern = str(path)
    if not glob.has_magic(pattern):
        raise InputError(f"{path}: no such file or folder; check the name")
    found = sorted(glob.glob(pattern, recursive=True), key=natural_key)
    if not found:
        raise InputError(f"{path}: no file matches this pattern; check the folder and the suffix")
    return [Path(name) for name in found]


def _read_list(path: Path) -> list[Path]:
    """Return the names in a list file, relative to its folder."""
    listed = [path.parent / name for name in read_list(str(path))]
    if any(name.suffix.lower() == LIST_SUFFIX for name in listed):
        raise InputError(f"{path}: a list cannot name other lists; put the file names into one")
    return listed


def _files(start: Path, recursive: bool) -> list[Path]:
    """Return the files at, under or inside ``start``."""
    if is_archive(start):
        return members(start)
    if not start.is_dir():
        return [start]
    if recursive:
        return [Path(folder, name) for folder, _, names in os.walk(start) for name in names]
    return [path for path in start.iterdir() if path.is_file()]


def _names(found: Sequence[tuple[Path, Path]]) -> tuple[str, ...]:
    """Return unique names for (path, root) pairs."""
    names = tuple(path.relative_to(root).as_posix() for path, root in found)
    if len(set(names)) == len(names):
        return names
    absolute = [path.absolute() for path, _ in found]
    try:
        common = Path(os.path.commonpath([path.parent for path in absolute]))
    except ValueError:  # The files are on different drives.
        return tuple(path.as_posix().replace(":", "") for path in absolute)
    return tuple(path.relative_to(common).as_posix() for path in absolute)


def _unsupported(paths: Sequence[Path]) -> str:
    """Return the message about images in formats that cannot be read."""
    named = ", ".join(str(path) for path in paths[:MAX_NAMED])
    more = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
    heif = any(path.suffix.lower() in HEIF_SUFFIXES for path in paths)
    remedy = f"for HEIC {REMEDY}" if heif else "convert them to JPEG or PNG"
    return f"{named}{more}: images of formats that are not supported; {remedy}"


def _none_found(inputs: Sequence[Path | str], recursive: bool, unsupported: Sequence[Path]) -> str:
    """Return the error message for inputs without a single image that can be read."""
    if unsupported:
        return _unsupported(unsupported)
    named = ", ".join(str(item) for item in inputs) or "no input"
    deeper = "" if recursive else ", or add --recursive to search subfolders"
    return f"{named}: no images found; expected JPEG, PNG, WebP, BMP, TIFF or GIF files, or a zip file of them{deeper}"
