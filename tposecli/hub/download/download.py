"""Downloads that go on after a cut and are checked before they get their name; the standard library only.

Proxies come from the usual environment variables, certificates are always checked, a redirect never leaves https.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from tposecli.hub.download.part import PartialFile
from tposecli.hub.download.request import RequestError, RetryPolicy, TransientError, ask, read, shown
from tposecli.utils.errors import DownloadError, UsageError
from tposecli.utils.files import publish, sha256_of

log = logging.getLogger("tposecli")

CHUNK: Final = 1 << 16
DIGEST_DIGITS: Final = 64
MAX_PAUSE_S: Final = 15.0

Bar = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Shows one transfer: given a label and the size in bytes, if known, a context that takes the bytes that are there."""


@contextmanager
def no_bar(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows nothing."""
    yield lambda done: None


def offline_by_environment() -> bool:
    """Whether ``TPOSE_OFFLINE`` forbids the network."""
    return os.environ.get("TPOSE_OFFLINE", "").strip().lower() not in ("", "0", "f", "false", "n", "no", "off")


@dataclass(frozen=True, slots=True)
class Downloads:
    """Whether and how files may be fetched.

    Attributes:
        offline: Open no socket; by default what ``TPOSE_OFFLINE`` says.
        patience: Time limits and tries.
        bar: Shows how a transfer goes.
    """

    offline: bool = field(default_factory=offline_by_environment)
    patience: RetryPolicy = field(default_factory=RetryPolicy)
    bar: Bar = field(default=no_bar, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A published file.

    Attributes:
        label: What the user calls it.
        file: The name it is kept under.
        url: Where its publisher has it.
        sha256: What its SHA-256, hexadecimal, begins with: all 64 digits, as many as are published, or none.
        min_bytes: A file smaller than this is not it.
        elsewhere: How the user names another folder for it.
    """

    label: str
    file: str
    url: str
    sha256: str = ""
    min_bytes: int = 0
    elsewhere: str = "set TPOSE_HOME to another folder"


def sources(remote: RemoteFile) -> list[str]:
    """Addresses to try, in order: the mirrors of ``TPOSE_MIRRORS``, then the publisher's.

    Raises:
        UsageError: A mirror that is no http or https address.
    """
    bases = [base.strip() for base in os.environ.get("TPOSE_MIRRORS", "").split(",") if base.strip()]
    for number, base in enumerate(bases, 1):
        if not base.startswith(("http://", "https://")):
            raise UsageError(f"TPOSE_MIRRORS: entry {number} does not begin with http:// or https://; correct it")
    return [f"{base.rstrip('/')}/{remote.file}" for base in bases] + [remote.url]


def by_hand(remote: RemoteFile, path: Path) -> str:
    """What to do where the program cannot fetch a file itself."""
    return f"download {shown(remote.url)} and put it at {path}"


def download(remote: RemoteFile, path: Path, downloads: Downloads) -> str:
    """Fetch a file whole, check it, and give it its name; the caller holds the file's lock.

    What came before a cut stays in ``path``'s part, and the next call goes on from there.

    Returns:
        Its SHA-256.

    Raises:
        DownloadError: No source has it, it is not the published file, or the disk cannot take it.
    """
    failures = []
    urls = sources(remote)
    for url in urls:
        log.info("downloading %s", shown(url))
        try:
            digest = _from_source(url, remote, path, downloads)
        except RequestError as error:
            failures.append(f"{shown(url)}: {error}" if len(urls) > 1 else str(error))
            continue
        except OSError as error:
            raise DownloadError(
                f"{path.parent}: the download cannot be written there ({error.strerror}); "
                f"make room, or {remote.elsewhere}"
            ) from error
        log.info("%s: kept at %s", remote.label, path)
        return digest
    raise DownloadError(f"{remote.label}: the download failed ({'; '.join(failures)}); {by_hand(remote, path)}")


def _from_source(url: str, remote: RemoteFile, path: Path, downloads: Downloads) -> str:
    """Try one address a few times.

    Raises:
        Failed: It does not have the file, or not to the end.
        OSError: The disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    patience = downloads.patience
    part = PartialFile(path, url, checkable=bool(remote.sha256))
    for tries_left in reversed(range(patience.tries)):
        try:
            resumed = _transfer(url, remote, part, downloads)
            return _accept(remote, path, part, resumed)
        except TransientError as error:
            if error.restart:
                part.discard()
            if not tries_left:
                raise
            backoff = patience.pause_s * 2 ** (patience.tries - 1 - tries_left)
            pause = min(error.retry_after_s or backoff, MAX_PAUSE_S)
            log.info("%s: %s; trying again in %.0f s", shown(url), error, pause)
            time.sleep(pause)
    raise AssertionError("a download is tried at least once")


def _transfer(url: str, remote: RemoteFile, part: PartialFile, downloads: Downloads) -> bool:
    """Fetch what is missing of the part, in one request; true if something was there already."""
    with ask(url, part.headers(), downloads.patience) as response:
        start, total = part.begin(response)
        if total is not None:
            check_space(part.path.parent, total - start, remote.elsewhere)
        done = start
        with part.path.open("r+b" if start else "wb") as file, downloads.bar(remote.label, total) as tell:
            file.seek(start)
            file.truncate()
            tell(done)
            while chunk := read(response, CHUNK if total is None else min(CHUNK, total - done)):
                _write(file, chunk)
                done += len(chunk)
                tell(done)
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise TransientError(f"the transfer was cut after {done} of {total} bytes")
    return start > 0


def _write(file: IO[bytes], chunk: bytes) -> None:
    file.write(chunk)
    file.flush()


def _accept(remote: RemoteFile, path: Path, part: PartialFile, resumed: bool) -> str:
    """Check the finished part and give it its name; one that is wrong is deleted.

    Raises:
        Failed: It is not the published file; Transient if it was put together from two transfers, which may not match.
    """
    digest = sha256_of(part.path)
    reason = ""
    if not digest.startswith(remote.sha256):
        reason = f"not the expected file, so it was deleted: SHA-256 {digest}, expected {remote.sha256}"
    elif len(remote.sha256) < DIGEST_DIGITS:
        reason = flaw(part.path, path.suffix, remote.min_bytes)
    if reason:
        part.discard()
        raise TransientError(reason) if resumed else RequestError(reason)
    publish(path)
    part.discard()
    return digest


def flaw(path: Path, suffix: str, min_bytes: int = 0) -> str:
    """What is visibly wrong with a checkpoint, without loading it; empty if nothing is.

    A zip archive, which PyTorch writes, has its directory at the end, so that one cut short is told.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
    if head.lstrip()[:1] == b"<":
        return "a web page instead of the file, perhaps the network's login"
    if size < min_bytes or not size:
        return f"too small to be the file: {size} bytes, at least {max(1, min_bytes)} expected"
    if suffix == ".safetensors":
        return "" if head[8:9] == b"{" else "not a safetensors file"
    if head.startswith(b"PK"):
        return "" if zipfile.is_zipfile(path) else "incomplete: its end is missing"
    return "" if head.startswith(b"\x80") else "not a PyTorch checkpoint"


def free_bytes(folder: Path) -> int:
    """Room on the disk that a folder is on, or will be once it is made."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def check_space(folder: Path, needed: int, elsewhere: str) -> None:
    """Refuse what the disk of a folder cannot take.

    Args:
        folder: The folder, there or not.
        needed: Bytes.
        elsewhere: How the user names another folder.

    Raises:
        DownloadError: There is less room.
    """
    free = free_bytes(folder)
    if needed > free:
        raise DownloadError(
            f"{folder}: {needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free; make room, or {elsewhere}"
        )
