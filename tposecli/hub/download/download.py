"""Downloads that resume after a break and are verified before they get their final name; standard library only.

Proxies are taken from the usual environment variables, certificates are always verified, redirects never leave https.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from tposecli.hub.download.options import Downloads
from tposecli.hub.download.part import PartialFile
from tposecli.hub.download.request import RequestError, TransientError, open_url, read_chunk, redacted_url
from tposecli.utils.errors import DownloadError, UsageError
from tposecli.utils.files import move, sha256_of

log = logging.getLogger("tposecli")

CHUNK: Final = 1 << 16
DIGEST_DIGITS: Final = 64
MAX_PAUSE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A published file.

    Attributes:
        label: Name of the file in messages.
        file: File name to store it under.
        url: Where it is published.
        sha256: Its SHA-256 in hexadecimal: all 64 digits, as many leading digits as are published, or empty.
        min_bytes: A smaller file cannot be the right one.
        elsewhere: How the user can choose another folder, for messages.
    """

    label: str
    file: str
    url: str
    sha256: str = ""
    min_bytes: int = 0
    elsewhere: str = "set TPOSE_HOME to another folder"


def candidate_urls(remote: RemoteFile) -> list[str]:
    """Return the URLs to try, in order: the mirrors in ``TPOSE_MIRRORS``, then the publisher's.

    Raises:
        UsageError: A mirror is not an http or https URL.
    """
    bases = [base.strip() for base in os.environ.get("TPOSE_MIRRORS", "").split(",") if base.strip()]
    for number, base in enumerate(bases, 1):
        if not base.startswith(("http://", "https://")):
            raise UsageError(f"TPOSE_MIRRORS: entry {number} does not start with http:// or https://; correct it")
        try:
            valid = bool(urlsplit(base).hostname) and (urlsplit(base).port or 1)
        except ValueError:
            valid = False
        if not valid:
            raise UsageError(f"TPOSE_MIRRORS: entry {number} is not a valid URL; correct it")
    return [_in_folder(base, remote.file) for base in bases] + [remote.url]


def _in_folder(base: str, file: str) -> str:
    """Return the URL of a file in a folder; a query, such as a token, stays at the end."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{file}", fragment=""))


def _check_trust(url: str, remote: RemoteFile) -> None:
    """Refuse to take a file on trust from a connection that anybody on the way can change.

    Raises:
        RequestError: The URL is plain http, and there is no digest to check the whole file with.
    """
    if len(remote.sha256) < DIGEST_DIGITS and not url.startswith("https://"):
        raise RequestError("refused: plain http, and no SHA-256 is known to check the file with; use an https address")


def manual_download_hint(remote: RemoteFile, path: Path) -> str:
    """Return instructions for downloading a file manually."""
    return f"download {redacted_url(remote.url)} and put it at {path}"


def download(remote: RemoteFile, path: Path, downloads: Downloads) -> str:
    """Download a file, verify it, and give it its final name; the caller holds the file's lock.

    What was received before a break stays in the part file of ``path``, and the next call resumes from there.

    Returns:
        The SHA-256 of the file.

    Raises:
        DownloadError: No source has it, it is not the published file, or it cannot be written.
    """
    failures = []
    urls = candidate_urls(remote)
    for url in urls:
        try:
            _check_trust(url, remote)
            log.info("downloading %s", redacted_url(url))
            digest = _from_source(url, remote, path, downloads)
        except RequestError as error:
            failures.append(f"{redacted_url(url)}: {error}" if len(urls) > 1 else str(error))
            continue
        except OSError as error:
            raise DownloadError(
                f"{path.parent}: the download cannot be written ({error.strerror}); "
                f"free some space, or {remote.elsewhere}"
            ) from error
        log.info("%s: saved as %s", remote.label, path)
        if len(remote.sha256) < DIGEST_DIGITS:
            log.info("%s: taken on trust at first use: its publisher gives no SHA-256; recorded %s", path.name, digest)
        return digest
    raise DownloadError(
        f"{remote.label}: the download failed ({'; '.join(failures)}); {manual_download_hint(remote, path)}"
    )


def fetch_url(url: str, path: Path, downloads: Downloads) -> None:
    """Fetch what an address of the user holds, whatever it is, to a path in a folder of this process.

    Raises:
        RequestError: It cannot be fetched as a whole.
        OSError: The file cannot be written.
    """
    remote = RemoteFile(redacted_url(url), path.name, url, elsewhere="set TMPDIR to a folder of a larger disk")
    _from_source(url, remote, path, downloads, _take)


def _from_source(url: str, remote: RemoteFile, path: Path, downloads: Downloads, accept: Accept | None = None) -> str:
    """Try one URL a few times; what is received is accepted as the published file, if not said otherwise.

    Raises:
        RequestError: It does not deliver the file.
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    retry = downloads.retry
    part = PartialFile(path, url, checkable=bool(remote.sha256))
    part.refuse_foreign(remote.elsewhere)
    for tries_left in reversed(range(retry.tries)):
        try:
            resumed = _transfer(url, remote, part, downloads)
            return (accept or _accept)(remote, path, part, resumed)
        except TransientError as error:
            if error.restart:
                part.discard()
            if not tries_left:
                raise
            backoff = retry.pause_s * 2 ** (retry.tries - 1 - tries_left)
            pause = min(error.retry_after_s or backoff, MAX_PAUSE_S)
            log.info("%s: %s; trying again in %.0f s", redacted_url(url), error, pause)
            time.sleep(pause)
    raise AssertionError("a download is tried at least once")


def _transfer(url: str, remote: RemoteFile, part: PartialFile, downloads: Downloads) -> bool:
    """Fetch the missing rest of the file in one request; return whether it was resumed."""
    with open_url(url, part.headers(), downloads.retry) as response:
        start, total = part.begin(response)
        if total is not None:
            check_space(part.path.parent, total - start, remote.elsewhere)
        done = start
        with part.open(resume=bool(start)) as file, downloads.bar(remote.label, total) as report:
            file.seek(start)
            file.truncate()
            report(done)
            while chunk := read_chunk(response, CHUNK if total is None else min(CHUNK, total - done)):
                _write(file, chunk)
                done += len(chunk)
                report(done)
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise TransientError(f"the transfer was interrupted after {done} of {total} bytes")
    return start > 0


def _write(file: IO[bytes], chunk: bytes) -> None:
    file.write(chunk)
    file.flush()


def _accept(remote: RemoteFile, path: Path, part: PartialFile, resumed: bool) -> str:
    """Verify the finished part file and give it its final name, or delete it; return its digest.

    Raises:
        RequestError: It is not the published file; TransientError if it was assembled from two transfers, which may not
            belong together.
    """
    digest = sha256_of(part.path)
    reason = ""
    if not digest.startswith(remote.sha256):
        reason = f"not the expected file, deleted: SHA-256 {digest}, expected {remote.sha256}"
    elif len(remote.sha256) < DIGEST_DIGITS:
        reason = find_damage(part.path, path.suffix, remote.min_bytes)
    if reason:
        part.discard()
        raise TransientError(reason) if resumed else RequestError(reason)
    move(part.path, path, replace=True)
    part.discard()
    return digest


def _take(remote: RemoteFile, path: Path, part: PartialFile, resumed: bool) -> str:
    """Give the finished part file its final name; nothing is known to verify it with."""
    move(part.path, path, replace=True)
    part.discard()
    return ""


Accept: TypeAlias = Callable[[RemoteFile, Path, PartialFile, bool], str]
"""Takes a finished part file: what it is of, its final name, itself, and whether it was resumed."""


def find_damage(path: Path, suffix: str, min_bytes: int = 0) -> str:
    """Return what is visibly wrong with a checkpoint, without loading it; empty if nothing is.

    PyTorch writes zip archives, whose directory is at the end, so truncation is noticed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
    if head.lstrip()[:1] == b"<":
        return "a web page instead of the file, perhaps the network's login page"
    if size < min_bytes or not size:
        return f"too small: expected at least {max(1, min_bytes)} bytes, got {size}"
    if suffix == ".safetensors":
        return "" if head[8:9] == b"{" else "not a safetensors file"
    if head.startswith(b"PK"):
        return "" if zipfile.is_zipfile(path) else "incomplete: its end is missing"
    return "" if head.startswith(b"\x80") else "not a PyTorch checkpoint"


def free_bytes(folder: Path) -> int:
    """Return the free space on the disk of a folder, which need not exist yet."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def check_space(folder: Path, needed: int, elsewhere: str) -> None:
    """Check that there is enough room on the disk of a folder.

    Args:
        folder: The folder, which need not exist.
        needed: Number of bytes.
        elsewhere: How the user can choose another folder, for the message.

    Raises:
        DownloadError: There is not enough room.
    """
    free = free_bytes(folder)
    if needed > free:
        raise DownloadError(
            f"{folder}: {needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free; free some space, or {elsewhere}"
        )
