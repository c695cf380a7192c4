"""Unpack the wanted files of a zip archive one by one, so that an interrupted run can be continued."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tposecli.hub.datasets.coco import DatasetPart
from tposecli.hub.download.download import check_space
from tposecli.hub.download.options import ProgressBar
from tposecli.utils.errors import InputError, OutputError
from tposecli.utils.files import new_file

DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What reading a damaged zip file raises."""
CHUNK: Final = 1 << 20

Todo = list[tuple[zipfile.ZipInfo, Path]]


def unpack(archive: Path, parts: Sequence[DatasetPart], folder: Path, bar: ProgressBar) -> None:
    """Unpack the files of some parts; files that already have their full size are kept.

    The CRC of each file is checked before it gets its final name.

    Args:
        archive: The zip file.
        parts: What to unpack.
        folder: Root folder of the layout.
        bar: Progress display.

    Raises:
        InputError: The archive is damaged or incomplete.
        OutputError: A file cannot be written.
        DownloadError: There is not enough room on the disk.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            todo = [entry for part in parts for entry in _todo(archive, packed, part, folder)]
            total = sum(info.file_size for info, _ in todo)
            check_space(folder, total, "name another folder with --data-dir")
            with bar(archive.name, total) as report:
                done = 0
                for info, path in todo:
                    _write(packed, info, path)
                    done += info.file_size
                    report(done)
    except DAMAGED as error:
        raise InputError(
            f"{archive}: the archive is damaged ({error}); delete it, and the same command downloads it again"
        ) from error


def _todo(archive: Path, packed: zipfile.ZipFile, part: DatasetPart, folder: Path) -> Todo:
    """Return the members to unpack with their target paths."""
    found = [(info, name) for info in packed.infolist() if (name := part.target_name(info.filename)) is not None]
    if len(found) < part.count:
        raise InputError(
            f"{archive}: expected {part.count} file(s) of {part.folder}, got {len(found)}: not the published "
            "archive; delete it, and the same command downloads it again"
        )
    targets = [(info, folder / part.folder / name) for info, name in found]
    return [(info, path) for info, path in targets if not (path.is_file() and path.stat().st_size == info.file_size)]


def _write(packed: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as temporary, packed.open(info) as source, temporary.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK)
    except (OSError, OutputError) as error:
        raise OutputError(
            f"{path}: cannot be unpacked ({getattr(error, 'strerror', None) or error}); free some space or fix the "
            "permissions, and the same command continues from there"
        ) from error
