"""Read a pose file of any format, recognized by its content."""

from __future__ import annotations

from pathlib import Path

from tposecli.formats.base import PoseFile, PoseSource
from tposecli.formats.catalog import PoseFormat, added_formats, find_format, readable_formats
from tposecli.formats.journal.journal import Journal
from tposecli.utils.errors import InputError


def read_poses(path: Path, format_name: str | None = None) -> Journal | PoseFile:
    """Read a file or folder of poses.

    Args:
        path: A file or folder in one of the readable formats.
        format_name: Name of its format; None to detect it from the content.

    Raises:
        InputError: It cannot be read, has an unknown format, or is damaged.
    """
    source = PoseSource(path)
    if format_name is None:
        return detect_format(source).read(source)
    found = find_format(format_name)
    if found is None or not found.reader:
        raise InputError(f"{path}: {format_name} is not a format that can be read; known: {_names()}")
    if path.is_dir() and not found.folder_pattern:
        raise InputError(f"{path}: a folder, but {format_name} is a file; name the file in it")
    return found.read(source)


def detect_format(source: PoseSource) -> PoseFormat:
    """Detect the format of a file or folder from as little of its content as possible.

    Raises:
        InputError: It cannot be read, or has an unknown format.
    """
    formats = [*readable_formats(), *(row for row in added_formats() if row.reader)]
    if source.path.is_dir():
        folders = [row for row in formats if row.folder_pattern]
        return next((row for row in folders if any(source.path.glob(row.folder_pattern))), folders[0])
    able = [row for row in formats if row.recognizes_head(source.head)]
    fitting = [row for row in able if row.suffix and source.path.name.lower().endswith(row.suffix)]
    found = next(iter([*fitting, *able]), None)
    members = () if found else source.json
    for member in members:
        found = next((row for row in formats if row.recognizes_json(member)), None)
        if found is not None:
            break
    # An empty list, or a list of something unknown: the COCO reader reports what is wrong with it.
    if found is None and next((member.key for member in members), None) == "":
        found = next(row for row in formats if row.name == "coco")
    if found is None:
        raise InputError(f"{source.path}: unknown format; if it is one of {_names()}, say which with --from")
    return found


def _names() -> str:
    return ", ".join(row.name for row in (*readable_formats(), *added_formats()) if row.reader)
