"""Unpacks what is wanted of a zip archive, file by file, so that one that was stopped goes on where it was."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tposecli.hub.datasets.coco import Piece
from tposecli.hub.download.download import Bar, check_space
from tposecli.utils.errors import InputError, OutputError
from tposecli.utils.files import discard, part_path, publish

DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What reading a damaged zip raises."""
CHUNK: Final = 1 << 20

Todo = list[tuple[zipfile.ZipInfo, Path]]


def unpack(archive: Path, pieces: Sequence[Piece], folder: Path, bar: Bar) -> None:
    """Write the files of the pieces; those that are there in their full size stay as they are.

    Every file is compared with its CRC before it gets its name.

    Args:
        archive: The zip file.
        pieces: What to take out of it.
        folder: Where the layout begins.
        bar: Shows how it goes.

    Raises:
        InputError: The archive is damaged, or lacks files.
        OutputError: A file cannot be written.
        DownloadError: The disk has less room than the files need.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            todo = [entry for piece in pieces for entry in _todo(archive, packed, piece, folder)]
            total = sum(info.file_size for info, _ in todo)
            check_space(folder, total, "name another folder with --data-dir")
            with bar(archive.name, total) as tell:
                done = 0
                for info, path in todo:
                    _write(packed, info, path)
                    done += info.file_size
                    tell(done)
    except DAMAGED as error:
        raise InputError(
            f"{archive}: the archive is damaged ({error}); delete it, and the same command downloads it anew"
        ) from error


def _todo(archive: Path, packed: zipfile.ZipFile, piece: Piece, folder: Path) -> Todo:
    """Members to unpack, and the files that they become."""
    found = [(info, name) for info in packed.infolist() if (name := piece.takes(info.filename)) is not None]
    if len(found) < piece.count:
        raise InputError(
            f"{archive}: holds {len(found)} of the {piece.count} files of {piece.folder}, so it is not the published "
            "archive; delete it, and the same command downloads it anew"
        )
    targets = [(info, folder / piece.folder / name) for info, name in found]
    return [(info, path) for info, path in targets if not (path.is_file() and path.stat().st_size == info.file_size)]


def _write(packed: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with packed.open(info) as source, part_path(path).open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK)
        publish(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be unpacked ({error.strerror or error}); make room or correct the rights, and the same "
            "command goes on from there"
        ) from error
    finally:
        discard(path)
