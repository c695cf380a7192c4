"""Files appear whole under their own name or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tposecli.errors import OutputError, UsageError


def part_path(path: Path) -> Path:
    """The name under which ``path`` is written until it is complete."""
    return path.with_name(path.name + ".part")


def publish(path: Path) -> None:
    """Give the finished part of ``path`` its own name, replacing what was there."""
    os.replace(part_path(path), path)


def discard(path: Path) -> None:
    """Remove the part of ``path`` that was never finished."""
    part_path(path).unlink(missing_ok=True)


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse an output that exists, or whose folder cannot take it, before any work is done.

    Missing parent folders are made.

    Raises:
        UsageError: The file exists and ``overwrite`` is off.
        OutputError: The folder cannot be made or written.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already; add --overwrite to replace it, or choose another name")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: the output folder cannot be made ({error.strerror})") from error
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path.parent}: the output folder cannot be written; choose another or change its rights")


def write_text(path: Path, text: str) -> None:
    """Write a whole text file at once, UTF-8."""
    part = part_path(path)
    part.write_text(text, encoding="utf-8")
    publish(path)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
