"""Download data sets: plan, download the missing archives, and unpack them one after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tposecli.hub.datasets.check import count_missing
from tposecli.hub.datasets.coco import ARCHIVES, Archive, DatasetPart, parts_of
from tposecli.hub.datasets.unpack import unpack
from tposecli.hub.download.download import check_space, download, manual_download_hint
from tposecli.hub.download.options import Downloads, ProgressBar, RetryPolicy, no_progress
from tposecli.hub.download.part import part_path
from tposecli.utils.errors import DownloadError, InputError, OutputError
from tposecli.utils.locks import file_lock

log = logging.getLogger("tposecli")

RETRY: Final = RetryPolicy(tries=20)
"""Downloading gigabytes takes hours, during which connections break."""
FOLDER_HINT: Final = "name another folder with --data-dir"


@dataclass(frozen=True, slots=True)
class DataJob:
    """Settings of a ``tpose data`` run.

    Attributes:
        sets: Names of the sets.
        folder: Root folder of the layout.
        keep_archives: Keep the zip files after unpacking.
        downloads: Whether and how files may be downloaded.
        unpacking: Progress display for unpacking.
    """

    sets: tuple[str, ...]
    folder: Path = Path("data/coco")
    keep_archives: bool = False
    downloads: Downloads = field(default_factory=Downloads)
    unpacking: ProgressBar = field(default=no_progress, repr=False, compare=False)

    def archive(self, archive: Archive) -> Path:
        """Return the path of an archive before it is unpacked."""
        return self.folder / ARCHIVES / archive.file


@dataclass(frozen=True, slots=True)
class ArchiveTask:
    """One archive, and the parts in it that are incomplete; sizes in bytes.

    Attributes:
        archive: The archive.
        parts: The incomplete parts.
        to_fetch: Bytes to download.
        to_write: Approximate size of the files to unpack.
    """

    archive: Archive
    parts: tuple[DatasetPart, ...]
    to_fetch: int
    to_write: int


def plan_downloads(job: DataJob) -> list[ArchiveTask]:
    """List what is missing of the sets, by archive; empty if nothing is.

    Raises:
        UsageError: A set is unknown.
    """
    wanted: dict[Archive, dict[DatasetPart, int]] = {}
    for name in job.sets:
        for part in parts_of(name):
            if missing := count_missing(part, job.folder):
                wanted.setdefault(part.archive, {})[part] = part.size * missing // part.count
    return [
        ArchiveTask(archive, tuple(parts), _to_fetch(job.archive(archive), archive), sum(parts.values()))
        for archive, parts in wanted.items()
    ]


def peak_bytes(tasks: Sequence[ArchiveTask], keep_archives: bool) -> int:
    """Return the maximum disk space used in addition, in bytes; archives are deleted once they are unpacked."""
    used = peak = 0
    for task in tasks:
        used += task.to_fetch + task.to_write
        peak = max(peak, used)
        used -= 0 if keep_archives else task.archive.size
    return peak


def get_datasets(job: DataJob, tasks: Sequence[ArchiveTask]) -> None:
    """Download and unpack; work that an interrupted run has finished is not repeated.

    Raises:
        DownloadError: An archive cannot be downloaded, or there is not enough room for it.
        InputError: An archive is damaged.
        OutputError: The folder is not writable.
    """
    if job.downloads.offline:
        _raise_offline(job, tasks)
    try:
        (job.folder / ARCHIVES).mkdir(parents=True, exist_ok=True)
        check_space(job.folder, peak_bytes(tasks, job.keep_archives), FOLDER_HINT)
        for task in tasks:
            with file_lock(job.archive(task.archive), task.archive.file):
                _run_task(job, task)
    except OSError as error:
        raise OutputError(f"{job.folder}: not writable ({error.strerror}); {FOLDER_HINT}") from error


def _to_fetch(path: Path, archive: Archive) -> int:
    if path.is_file():
        return 0
    partial = part_path(path)
    return archive.size - min(archive.size, partial.stat().st_size if partial.is_file() else 0)


def _raise_offline(job: DataJob, tasks: Sequence[ArchiveTask]) -> None:
    """Raise an error that lists the archives to download by hand, if the network is off."""
    hints = [manual_download_hint(task.archive.remote, job.archive(task.archive)) for task in tasks if task.to_fetch]
    if hints:
        raise DownloadError(f"--offline or TPOSE_OFFLINE forbids downloading archives; {'; '.join(hints)}")


def _run_task(job: DataJob, task: ArchiveTask) -> None:
    path = job.archive(task.archive)
    if not any(count_missing(part, job.folder) for part in task.parts):
        return  # Another process has done it while this one waited for the lock.
    if not path.is_file():
        download(task.archive.remote, path, job.downloads)
    elif path.stat().st_size != task.archive.size:
        raise InputError(
            f"{path}: expected {task.archive.size} bytes, got {path.stat().st_size}; delete it, and the "
            "same command downloads it again"
        )
    unpack(path, task.parts, job.folder, job.unpacking)
    for part in task.parts:
        log.info("%s: %s present", job.folder / part.folder, "file" if part.count == 1 else f"{part.count} files")
    if not job.keep_archives:
        path.unlink()
