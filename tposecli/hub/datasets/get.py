"""Gets data sets: says what it takes, downloads the archives that are missing, unpacks them, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tposecli.hub.datasets.check import lacks
from tposecli.hub.datasets.coco import ARCHIVES, Archive, Piece, pieces_of
from tposecli.hub.datasets.unpack import unpack
from tposecli.hub.download.download import Bar, Downloads, by_hand, check_space, download, no_bar
from tposecli.hub.download.request import RetryPolicy
from tposecli.utils.errors import DownloadError, InputError, OutputError
from tposecli.utils.files import part_path
from tposecli.utils.locks import file_lock

log = logging.getLogger("tposecli")

PATIENCE: Final = RetryPolicy(tries=20)
"""Gigabytes take hours, in which connections break."""
ELSEWHERE: Final = "name another folder with --data-dir"


@dataclass(frozen=True, slots=True)
class DataJob:
    """What ``tpose data`` is asked to get.

    Attributes:
        sets: Names, of the table of sets.
        folder: Where the layout begins.
        keep_archives: Whether the zip files stay after they are unpacked.
        downloads: How files may be fetched.
        unpacking: Shows how unpacking goes.
    """

    sets: tuple[str, ...]
    folder: Path = Path("data/coco")
    keep_archives: bool = False
    downloads: Downloads = field(default_factory=Downloads)
    unpacking: Bar = field(default=no_bar, repr=False, compare=False)

    def archive(self, archive: Archive) -> Path:
        """Where an archive lies until it is unpacked."""
        return self.folder / ARCHIVES / archive.file


@dataclass(frozen=True, slots=True)
class Step:
    """One archive, and what is missing of the pieces in it; sizes in bytes.

    Attributes:
        to_fetch: What is still to come over the network.
        to_write: What the files take that are still to be unpacked, about.
    """

    archive: Archive
    pieces: tuple[Piece, ...]
    to_fetch: int
    to_write: int


def plan(job: DataJob) -> list[Step]:
    """What is missing of the sets, archive by archive; empty if nothing is.

    Raises:
        UsageError: There is no such set.
    """
    wanted: dict[Archive, dict[Piece, int]] = {}
    for name in job.sets:
        for piece in pieces_of(name):
            if missing := lacks(piece, job.folder):
                wanted.setdefault(piece.archive, {})[piece] = piece.size * missing // piece.count
    return [
        Step(archive, tuple(pieces), _to_fetch(job.archive(archive), archive), sum(pieces.values()))
        for archive, pieces in wanted.items()
    ]


def peak(steps: Sequence[Step], keep_archives: bool) -> int:
    """Most bytes that the disk must take at a time beyond what is there: archives go once they are unpacked."""
    used = most = 0
    for step in steps:
        used += step.to_fetch + step.to_write
        most = max(most, used)
        used -= 0 if keep_archives else step.archive.size
    return most


def get(job: DataJob, steps: Sequence[Step]) -> None:
    """Carry the steps out; what a run that was stopped has done is not done again.

    Raises:
        DownloadError: An archive cannot be had, or the disk has no room for it.
        InputError: An archive is damaged.
        OutputError: The folder cannot be written.
    """
    if job.downloads.offline:
        _refuse(job, steps)
    try:
        (job.folder / ARCHIVES).mkdir(parents=True, exist_ok=True)
        check_space(job.folder, peak(steps, job.keep_archives), ELSEWHERE)
        for step in steps:
            with file_lock(job.archive(step.archive), step.archive.file):
                _carry_out(job, step)
    except OSError as error:
        raise OutputError(f"{job.folder}: cannot be written ({error.strerror}); {ELSEWHERE}") from error


def _to_fetch(path: Path, archive: Archive) -> int:
    if path.is_file():
        return 0
    part = part_path(path)
    return archive.size - min(archive.size, part.stat().st_size if part.is_file() else 0)


def _refuse(job: DataJob, steps: Sequence[Step]) -> None:
    """Say, where the network is forbidden, which archives to bring."""
    hints = [by_hand(step.archive.remote, job.archive(step.archive)) for step in steps if step.to_fetch]
    if hints:
        raise DownloadError(f"--offline or TPOSE_OFFLINE forbids to get archives; {'; '.join(hints)}")


def _carry_out(job: DataJob, step: Step) -> None:
    path = job.archive(step.archive)
    if not any(lacks(piece, job.folder) for piece in step.pieces):
        return  # Another process did it while this one waited for the lock.
    if not path.is_file():
        download(step.archive.remote, path, job.downloads)
    elif path.stat().st_size != step.archive.size:
        raise InputError(
            f"{path}: {path.stat().st_size} bytes, the published archive has {step.archive.size}; delete it, and the "
            "same command downloads it"
        )
    unpack(path, step.pieces, job.folder, job.unpacking)
    for piece in step.pieces:
        log.info("%s: %s there", job.folder / piece.folder, "file" if piece.count == 1 else f"{piece.count} files")
    if not job.keep_archives:
        path.unlink()
