"""Input locations (paths, URLs, cameras, standard input), and what FFmpeg may open on their behalf."""

from __future__ import annotations

import re
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from tposecli.utils.errors import InputError, UsageError

InputLocation: TypeAlias = "Path | str"
"""A file path or, as a string only, a URL, a camera number, or ``-`` for standard input."""

STDIN: Final = "-"

PLAYLISTS: Final = frozenset({".m3u8", ".m3u", ".mpd", ".ffconcat", ".sdp"})
"""Suffixes of files that refer to other files; FFmpeg follows no such references on this machine, under any suffix."""

NETWORK_TIMEOUT_S: Final = 30.0

_PATTERN = re.compile(r"%0?\d*d")

_WEB = "http,https,httpproxy,tcp,tls,crypto,data"
_REAL_TIME = "rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto,data"
_RTMP = "rtmp,rtmps,rtmpt,rtmpts,ffrtmphttp,tcp,tls,http,https,crypto,data"

SCHEMES: Final = {
    "http": _WEB,
    "https": _WEB.replace("http,https", "https"),
    **dict.fromkeys(("rtsp", "rtsps", "rtp", "srtp", "udp", "tcp", "tls"), _REAL_TIME),
    **dict.fromkeys(("rtmp", "rtmps", "rtmpt", "rtmpts"), _RTMP),
    "ftp": "ftp,tcp",
}
"""URL scheme to the protocols that FFmpeg may use for it: a playlist on a server cannot open local files, and what
starts with https stays on https."""

LIVE_SCHEMES: Final = frozenset({"rtsp", "rtsps", "rtp", "srtp", "udp", "tcp", "tls"})
"""URL schemes of live streams: opened once, endless."""


@dataclass(frozen=True, slots=True)
class OpenParams:
    """Arguments with which FFmpeg opens an input.

    Attributes:
        name: FFmpeg's own URL of the input, with its protocol.
        options: Protocol and demuxer options, including the protocol whitelist.
        timeout_s: Give up after this long without data; None waits forever.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)
    timeout_s: float | None = None


def is_url(location: InputLocation) -> bool:
    """Return whether ``location`` is a URL rather than a file."""
    return isinstance(location, str) and "://" in location and _scheme(location) != "file"


def is_stdin(location: InputLocation) -> bool:
    """Return whether ``location`` is standard input."""
    return isinstance(location, str) and location == STDIN


def is_read_once(location: InputLocation) -> bool:
    """Return whether ``location`` must be opened only once, because what was read is gone or was expensive."""
    return is_stdin(location) or is_url(location) or is_pipe(location)


def is_pipe(location: InputLocation) -> bool:
    """Return whether ``location`` is a named pipe, a device or a socket, such as the shell's ``<(command)``."""
    if is_stdin(location) or is_url(location):
        return False
    try:
        mode = local_path(location).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def is_live(location: InputLocation) -> bool:
    """Return whether ``location`` is known to be endless from its name alone."""
    if camera_number(location) is not None:
        return True
    return is_url(location) and _scheme(str(location)) in LIVE_SCHEMES


def camera_number(location: InputLocation) -> int | None:
    """Return the camera number that ``location`` stands for; None for anything else, such as a file called ``0``."""
    if not isinstance(location, str) or not location.isdecimal() or Path(location).exists():
        return None
    return int(location)


def local_path(location: InputLocation) -> Path:
    """Return the file that a path, or a URL of the form ``file:///...``, names."""
    text = str(location)
    return Path(url2pathname(urlsplit(text).path)) if text.lower().startswith("file://") else Path(location)


def short_name(location: InputLocation) -> str:
    """Return the file name, or the URL without user, password and query.

    Raises:
        UsageError: The URL cannot be parsed, so that the extent of its password is unknown.
    """
    if is_stdin(location):
        return "stdin"
    if not is_url(location):
        return local_path(location).name
    parts = _parts(str(location))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def output_stem(location: InputLocation) -> str:
    """Return the stem of output names derived from ``location``."""
    if camera_number(location) is not None:
        return f"camera{location}"
    if is_stdin(location):
        return "stdin"
    path = Path(_parts(str(location)).path) if is_url(location) else local_path(location)
    is_pattern = _PATTERN.search(path.name) is not None and not path.exists()
    return (path.stem.replace("%", "") if is_pattern else path.stem) or "video"


def redacted(location: InputLocation) -> str:
    """Return ``location`` for use in messages: a path in full, a URL without credentials."""
    return short_name(location) if is_stdin(location) or is_url(location) else str(location)


def open_params(location: InputLocation) -> OpenParams:
    """Return the arguments to open ``location`` with.

    Raises:
        InputError: It does not exist, is a folder, or is empty.
        UsageError: Its scheme is not one of ``SCHEMES``, or the URL cannot be parsed.
    """
    if is_stdin(location):
        return OpenParams("fd:", {"fd": "0", "protocol_whitelist": "fd,crypto,data"})
    if not is_url(location):
        path = local_path(location)
        with read_errors(location):
            _check_file(path)
        return OpenParams(f"file:{path}", {"protocol_whitelist": "file,crypto,data"})
    scheme = _scheme(str(location))
    _parts(str(location))
    if scheme not in SCHEMES:
        raise UsageError(f"{redacted(location)}: not a supported URL; use one of {', '.join(SCHEMES)} or a file name")
    options = {"protocol_whitelist": SCHEMES[scheme], **_tls()}
    if scheme in ("rtsp", "rtsps"):
        options["rtsp_flags"] = "prefer_tcp"
    return OpenParams(str(location), options, NETWORK_TIMEOUT_S)


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _parts(url: str) -> SplitResult:
    """Split a URL into its parts.

    Raises:
        UsageError: It cannot be parsed; the message does not repeat it.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(
            f"{_scheme(url)}://...: not a valid URL; write / ? # @ : in a user name or password as %2F %3F %23 %40 %3A"
        ) from error
    return parts


@contextmanager
def read_errors(location: InputLocation) -> Iterator[None]:
    """Turn an OSError in the ``with`` block into an InputError that names the input.

    Raises:
        InputError: The input is missing or may not be read.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{redacted(location)}: cannot be read ({reason_of(error)}); check its name and permissions"
        ) from error


def reason_of(error: Exception) -> str:
    """Return the reason for an error; for FFmpeg errors without the URL, which may contain a password."""
    return str(getattr(error, "strerror", None) or (type(error).__name__ if isinstance(error, OSError) else error))


def _tls() -> dict[str, str]:
    """Return options that make FFmpeg verify certificates (off by default) against the CA bundle that Python uses."""
    authorities = ssl.get_default_verify_paths().cafile
    return {"tls_verify": "1"} | ({"ca_file": authorities} if authorities else {})


def _check_file(path: Path) -> None:
    """Report common mistakes in plain words, before FFmpeg reports them in its own."""
    if not path.exists():
        raise InputError(f"{path}: no such file; check the name")
    if path.is_dir():
        raise InputError(f"{path}: a folder without videos; add --recursive, or use tpose images for images")
    if path.suffix.lower() in PLAYLISTS:
        raise InputError(f"{path}: a playlist of other files, which are not opened; name those files, or join them")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; copy or download it again")
