"""Read a pose file of any format, recognized by its content."""

from __future__ import annotations

from pathlib import Path

from tposecli.formats.base import PoseFile, PoseSource
from tposecli.formats.catalog import PoseFormat, readable_formats
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
    found = next(row for row in readable_formats() if row.name == format_name)
    if path.is_dir() and not found.folder_pattern:
        raise InputError(f"{path}: a folder, but {format_name} is a file; name the file in it")
    return found.read(source)


def detect_format(source: PoseSource) -> PoseFormat:
    """Detect the format of a file or folder from as little of its content as possible.

    Raises:
        InputError: It cannot be read, or has an unknown format.
    """
    formats = readable_formats()
    if source.path.is_dir():
        folders = [row for row in formats if row.folder_pattern]
        return next((row for row in folders if any(source.path.glob(row.folder_pattern))), folders[0])
    found = next((row for row in formats if row.recognizes_head(source.head)), None)
    members = () if found else source.json
    for member in members:
        found = next((row for row in formats if row.recognizes_json(member)), None)
        if found is not None:
            break
    # An empty list, or a list of something unknown: the COCO reader reports what is wrong with it.
    if found is None and next((member.key for member in members), None) == "":
        found = next(row for row in formats if row.name == "coco")
    if found is None:
        names = ", ".join(row.name for row in formats)
        raise InputError(f"{source.path}: unknown format; if it is one of {names}, say which with --from")
    return found
