"""Files in object stores (``s3://``, ``gs://``) and on web servers with ranges: found, fetched and stored.

Stores are used through fsspec, with the credentials that their own tools use. An address as a path is written
``s3:/bucket/key``, which is what :class:`pathlib.Path` makes of it: it can be joined, compared and sent to another
machine, and is not opened. Objects appear in these stores whole or not at all, however large they are.
"""

from __future__ import annotations

import errno
import glob
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tposecli.hub.download.download import fetch_url
from tposecli.hub.download.options import Downloads
from tposecli.hub.download.part import validator_of
from tposecli.hub.download.request import RequestError, open_url, redacted_url
from tposecli.utils.errors import InputError, OutputError, TposeError, UsageError

log = logging.getLogger("tposecli")

PACKAGES: Final = {"s3": "s3fs", "gs": "gcsfs"}
"""The stores by the scheme of their addresses, and the package that fsspec reads each with."""

OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 0}}},
    "gs": {},
}
"""How clients are made; requests that fail are repeated here and by fsspec, not by what lies below."""

REMEDIES: Final = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "use gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
}
"""How a user gives the credentials of a store."""

SIGNED_S: Final = 7 * 24 * 3600
"""Seconds for which an address that stands for an object is valid: the longest that the stores allow."""

TRIES: Final = 6
PAUSE_S: Final = 1.0
"""Seconds before a request to a store is repeated, doubled each time; fsspec repeats it quickly before."""

SHARED: Final = "application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "application/dash+xml"
"""Media types of playlists, which name other files and are of no use on this machine."""

_STORED = re.compile(r"(s3|gs):/+(?=[^/])")


@dataclass(frozen=True, slots=True)
class Found:
    """What a server says of a file.

    Attributes:
        size: Bytes.
        tag: Identifies this version of the file: its ``ETag``, or when it was changed; empty if unknown.
        is_folder: It is not a file, but what the names of several begin with.
    """

    size: int
    tag: str
    is_folder: bool = False

    @property
    def version(self) -> str:
        """Tag and size, by which the same file is known again; empty if there is no tag."""
        return f"{self.tag} {self.size}" if self.tag else ""


def is_stored(location: Path | str) -> bool:
    """Return whether a location, an address or one as a path, is in an object store."""
    return _STORED.match(location if isinstance(location, str) else location.as_posix()) is not None


def stored_path(address: Path | str) -> Path:
    """Return the address of an object as a path: ``s3:/bucket/key`` for ``s3://bucket/key``."""
    return Path(_STORED.sub(r"\1:/", str(address)))


def address_of(path: Path | str) -> str:
    """Return the address that a path stands for: ``s3://bucket/key``."""
    return _STORED.sub(r"\1://", path if isinstance(path, str) else path.as_posix())


def is_web(location: Path | str) -> bool:
    """Return whether a location is the address of a file on a web server."""
    return isinstance(location, str) and location.lower().startswith(("http://", "https://"))


def bucket_of(path: Path | str) -> Path:
    """Return the bucket of an object, as a path."""
    return Path(*stored_path(path).parts[:2])


def list_folder(folder: Path | str) -> dict[str, Found]:
    """Return what is directly in a folder of a store, by name; nothing if there is no such folder.

    Raises:
        TposeError: The store cannot be read.
    """
    with _plain(folder):
        try:
            rows = _tried(lambda: _store(folder).ls(_key(folder), detail=True, refresh=True), folder)
        except FileNotFoundError:
            return {}
    return {
        name: _found(row) for row in rows if (name := PurePosixPath(row["name"]).name) and row["name"] != _key(folder)
    }


def list_below(folder: Path | str) -> dict[Path, Found]:
    """Return all files in and below a folder of a store; nothing if there is no such folder.

    Raises:
        TposeError: The store cannot be read.
    """
    return _files(lambda store, key: store.find(key, detail=True), folder)


def find(pattern: Path | str, recursive: bool = False) -> dict[Path, Found]:
    """Return the files that an address stands for: those that match a pattern or are in a folder, or the only one.

    Args:
        pattern: An address, with ``*``, ``?``, ``[..]`` and ``**``.
        recursive: Recurse into folders.

    Raises:
        InputError: There is none.
        TposeError: The store cannot be read.
    """
    if glob.has_magic(str(pattern)):
        found = _files(lambda store, key: store.glob(key, detail=True), pattern)
        remedy = "check the bucket and the suffix"
    else:
        depth = None if recursive else 1
        found = _files(lambda store, key: store.find(key, maxdepth=depth, detail=True), pattern)
        remedy = "check the name"
    if not found:
        raise InputError(f"{address_of(pattern)}: no such file, folder or bucket; {remedy}")
    return found


def check_package(location: Path | str) -> None:
    """Check that the package for a store is installed.

    Raises:
        UsageError: It is not.
    """
    _store(location)


def inspect(location: Path | str, downloads: Downloads) -> Found | None:
    """Return what a server says of a file; None if it is on a web server that cannot send ranges of it.

    Raises:
        TposeError: A store cannot be read, or has no such file.
    """
    if is_web(location):
        return _inspect_web(str(location), downloads)
    with _plain(location):
        return _found(_tried(lambda: _store(location).info(_key(location), refresh=True), location))


def fetch(location: Path | str, target: Path, found: Found, downloads: Downloads) -> None:
    """Fetch a file to a path of this machine, whose folder is created.

    Raises:
        InputError: It cannot be read, or not as a whole.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_web(location):
        try:
            fetch_url(str(location), target, downloads)
        except RequestError as error:
            raise InputError(
                f"{redacted_url(str(location))}: cannot be fetched ({error}); run the command again"
            ) from error
        return
    with _plain(location), downloads.bar(target.name, found.size) as report:
        _tried(lambda: _store(location).get_file(_key(location), str(target), callback=_callback(report)), location)
    if target.stat().st_size != found.size:
        raise InputError(f"{address_of(location)}: changed while it was fetched; run the command again")


def read_beginning(location: Path | str, size: int) -> bytes:
    """Return the first bytes of an object, at most ``size``.

    Raises:
        InputError: It cannot be read.
    """
    with _plain(location):
        content: bytes = _tried(lambda: _store(location).cat_file(_key(location), start=0, end=size), location)
    return content


def signed_address(location: Path | str) -> str:
    """Return an https address that stands for an object, with the right to read it; it is a secret.

    Raises:
        InputError: The store gives none.
    """
    if is_web(location):
        return str(location)
    with _plain(location):
        return str(_store(location).sign(_key(location), expiration=SIGNED_S))


def store(files: Mapping[Path, Path], new: bool) -> None:
    """Store files of this machine, all or, if the store fails, some of them; each whole or not at all.

    Args:
        files: Where to store each, by the file.
        new: Refuse to replace an object of that name, also one that appears at this moment.

    Raises:
        OutputError: They cannot be stored, or there is an object of that name.
    """
    mode = "create" if new else "overwrite"
    for file, target in files.items():
        put = partial(_store(target).put_file, str(file), _key(target), mode=mode)
        with _plain(target, OutputError):
            _tried(put, target)


def remove(path: Path) -> None:
    """Remove an object, if there is one.

    Raises:
        OutputError: It cannot be removed.
    """
    with _plain(path, OutputError), suppress(FileNotFoundError):
        _tried(lambda: _store(path).rm_file(_key(path)), path)


def check_writable(folder: Path) -> None:
    """Check, before any work is done, that files can be stored in a folder: its bucket exists and may be written.

    Raises:
        UsageError: It does not, or may not.
    """
    probe = folder / f".tpose-{time.time_ns():x}"
    with _plain(folder, UsageError):
        _tried(lambda: _store(probe).pipe_file(_key(probe), b""), folder)
        _tried(lambda: _store(probe).rm_file(_key(probe)), folder)


def _files(search: Callable[[Any, str], Any], folder: Path | str) -> dict[Path, Found]:
    with _plain(folder):
        try:
            rows = _tried(lambda: search(_store(folder), _key(folder)), folder)
        except FileNotFoundError:
            rows = {}
    scheme = _scheme(folder)
    found = {Path(f"{scheme}:/{name}"): _found(row) for name, row in rows.items()}
    return {path: each for path, each in found.items() if not each.is_folder}


def _scheme(location: Path | str) -> str:
    return str(location).partition(":")[0]


def _key(location: Path | str) -> str:
    """Return bucket and name of an object, as fsspec takes them."""
    return _STORED.sub("", location if isinstance(location, str) else location.as_posix()).rstrip("/")


def _store(location: Path | str) -> Any:
    """Return the file system of a store, which fsspec keeps.

    Raises:
        UsageError: Its package is not installed.
    """
    scheme = _scheme(location)
    try:
        import fsspec

        return fsspec.filesystem(scheme, use_listings_cache=False, **OPTIONS[scheme])
    except ImportError as error:
        raise UsageError(
            f"{scheme}:// addresses need {PACKAGES[scheme]}; pip install 'tposecli[remote]', or copy the files here"
        ) from error


def _callback(report: Callable[[int], None]) -> Any:
    """Return what fsspec tells how far a transfer is."""
    from fsspec.callbacks import Callback

    def done(size: int | None, value: int, **_: object) -> None:
        report(value)

    return Callback(hooks={"done": done})


def _found(row: Mapping[str, Any]) -> Found:
    tag = row.get("ETag") or row.get("etag") or ""
    return Found(int(row.get("size") or 0), str(tag).strip('"'), row.get("type") == "directory")


def _inspect_web(url: str, downloads: Downloads) -> Found | None:
    """Return what a web server says of a file; None if it is unknown, sends no ranges, or is a playlist."""
    try:
        with open_url(url, {"Range": "bytes=0-15"}, downloads.retry) as response:
            _, _, total = response.headers.get("Content-Range", "").partition("/")
            if response.status != HTTPStatus.PARTIAL_CONTENT or not total.strip().isdecimal():
                return None
            is_playlist = response.headers.get_content_type().lower() in SHARED
            if is_playlist or response.read(16).startswith((b"#EXTM3U", b"<?xml", b"<MPD")):
                return None
            return Found(int(total), validator_of(response).strip('"'))
    except (RequestError, OSError, ValueError):
        return None  # FFmpeg says what is wrong.


def _tried(request: Callable[[], Any], location: Path | str) -> Any:
    """Return what a request to a store returns, which is repeated while the store fails."""
    for left in reversed(range(TRIES)):
        try:
            return request()
        except (FileNotFoundError, FileExistsError, PermissionError, ImportError, TposeError):
            raise
        except Exception as error:  # Each store has errors of its own.
            if not left or _is_about_credentials(error):
                raise
            pause = PAUSE_S * 2 ** (TRIES - 1 - left)
            log.info("%s: the store failed (%s); trying again in %.0f s", address_of(location), _reason(error), pause)
            time.sleep(pause)
    raise AssertionError("a request is tried at least once")


@contextmanager
def _plain(location: Path | str, kind: type[TposeError] = InputError) -> Iterator[None]:
    """Turn the errors of a store in the block into one of ours, which says what to do."""
    shown, credentials = address_of(location), REMEDIES[_scheme(location)]
    try:
        yield
    except TposeError:
        raise
    except FileNotFoundError as error:
        raise kind(f"{shown}: no such file, folder or bucket; check the name") from error
    except FileExistsError as error:
        raise kind(
            f"{shown}: an object of that name has appeared meanwhile and is kept; choose another output"
        ) from error
    except PermissionError as error:
        raise kind(f"{shown}: access is refused; {credentials} of a user who may") from error
    except Exception as error:
        if _is_about_credentials(error):
            raise kind(f"{shown}: no valid credentials were found; {credentials}") from error
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise kind(f"{shown}: the disk is full; set TMPDIR to a folder of a larger one") from error
        raise kind(f"{shown}: the store fails ({_reason(error)}); run the command again later") from error


def _is_about_credentials(error: Exception) -> bool:
    return any(word in type(error).__name__ for word in ("Credential", "Token", "RefreshError"))


def _reason(error: Exception) -> str:
    """Return the reason of a store's error in a line without addresses, which may hold a signature."""
    text = re.sub(r"\w+://\S+", "the server", str(getattr(error, "strerror", None) or error)).splitlines()
    return (text[0] if text and text[0] else type(error).__name__)[:120].rstrip(".:;, ")


def total_size(found: Sequence[Found]) -> int:
    """Return the bytes of several files."""
    return sum(each.size for each in found)
