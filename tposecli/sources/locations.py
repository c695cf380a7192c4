"""How an input is named, and what FFmpeg may open on its behalf."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from tposecli.utils.errors import InputError, UsageError

InputLocation: TypeAlias = "Path | str"
"""A file; or, only as text, an address with a scheme, the number of a camera, or ``-`` for standard input."""

STDIN: Final = "-"

PLAYLISTS: Final = frozenset({".m3u8", ".m3u", ".mpd", ".ffconcat", ".sdp"})
"""Endings of files that name others; whatever they are called, FFmpeg follows none on this machine."""

NETWORK_TIMEOUT_S: Final = 30.0

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
"""Scheme of an address to the protocols that FFmpeg may use for it: a playlist on a server opens no local file, and
what begins with https stays there."""

LIVE_SCHEMES: Final = frozenset({"rtsp", "rtsps", "rtp", "srtp", "udp", "tcp", "tls"})
"""Addresses that give what happens now: opened once, endless."""


@dataclass(frozen=True, slots=True)
class OpenParams:
    """What FFmpeg is told in order to open an input.

    Attributes:
        name: FFmpeg's own address of it, with its protocol.
        options: Of the protocol and the demuxer; the protocols that may be used are among them.
        timeout_s: Give up after so long without data; None: never.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)
    timeout_s: float | None = None


def is_address(medium: InputLocation) -> bool:
    """Whether ``medium`` names something on a network rather than a file."""
    return isinstance(medium, str) and "://" in medium and _scheme(medium) != "file"


def is_stdin(medium: InputLocation) -> bool:
    """Whether ``medium`` is standard input."""
    return isinstance(medium, str) and medium == STDIN


def is_once(medium: InputLocation) -> bool:
    """Whether ``medium`` should be opened but once, because what was read is gone or was costly."""
    return is_stdin(medium) or is_address(medium)


def is_live(medium: InputLocation) -> bool:
    """Whether ``medium`` is known to be endless by its name alone."""
    if camera_number(medium) is not None:
        return True
    return is_address(medium) and _scheme(str(medium)) in LIVE_SCHEMES


def camera_number(medium: InputLocation) -> int | None:
    """The camera that ``medium`` means; None where it is something else, such as a file called ``0``."""
    if not isinstance(medium, str) or not medium.isdecimal() or Path(medium).exists():
        return None
    return int(medium)


def local_path(medium: InputLocation) -> Path:
    """The file that a path, or an address of the form ``file:///...``, names."""
    text = str(medium)
    return Path(url2pathname(urlsplit(text).path)) if text.lower().startswith("file://") else Path(medium)


def label(medium: InputLocation) -> str:
    """File name, or the address without user, password and query.

    Raises:
        UsageError: An address that cannot be taken apart, so that nobody knows where its password ends.
    """
    if is_stdin(medium):
        return "stdin"
    if not is_address(medium):
        return local_path(medium).name
    parts = _parts(str(medium))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def stem(medium: InputLocation) -> str:
    """What outputs of ``medium`` are called where they take its name: the last part of it, without the ending."""
    if camera_number(medium) is not None:
        return f"camera{medium}"
    if is_stdin(medium):
        return "stdin"
    path = Path(_parts(str(medium)).path) if is_address(medium) else local_path(medium)
    return path.stem.replace("%", "") or "video"


def shown(medium: InputLocation) -> str:
    """``medium`` as messages name it."""
    return label(medium) if is_stdin(medium) or is_address(medium) else str(medium)


def access_to(medium: InputLocation) -> OpenParams:
    """How to open ``medium``.

    Raises:
        InputError: It is no file, a folder, or empty.
        UsageError: Its scheme is not one of ``SCHEMES``, or it cannot be taken apart.
    """
    if is_stdin(medium):
        return OpenParams("fd:", {"fd": "0", "protocol_whitelist": "fd,crypto,data"})
    if not is_address(medium):
        path = local_path(medium)
        with readable(medium):
            _check_file(path)
        return OpenParams(f"file:{path}", {"protocol_whitelist": "file,crypto,data"})
    scheme = _scheme(str(medium))
    _parts(str(medium))
    if scheme not in SCHEMES:
        raise UsageError(f"{shown(medium)}: no address of a video; use one of {', '.join(SCHEMES)} or a file name")
    options = {"protocol_whitelist": SCHEMES[scheme], **_tls()}
    if scheme in ("rtsp", "rtsps"):
        options["rtsp_flags"] = "prefer_tcp"
    return OpenParams(str(medium), options, NETWORK_TIMEOUT_S)


def _scheme(address: str) -> str:
    return address.partition("://")[0].lower()


def _parts(address: str) -> SplitResult:
    """The parts of an address.

    Raises:
        UsageError: It has none; the message does not repeat it.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise UsageError(
            f"{_scheme(address)}://...: not an address; write / ? # @ : in a user or password as %2F %3F %23 %40 %3A"
        ) from error
    return parts


@contextmanager
def readable(medium: InputLocation) -> Iterator[None]:
    """Turn what the system says against a file into words.

    Raises:
        InputError: It may not be read, or cannot be.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{shown(medium)}: cannot be read ({reason_of(error)}); check its name and rights") from error


def reason_of(error: Exception) -> str:
    """What went wrong; of FFmpeg's errors without the address, which may hold a password."""
    return str(getattr(error, "strerror", None) or (type(error).__name__ if isinstance(error, OSError) else error))


def _tls() -> dict[str, str]:
    """Have FFmpeg check certificates, which it does not of itself, against those that Python trusts."""
    authorities = ssl.get_default_verify_paths().cafile
    return {"tls_verify": "1"} | ({"ca_file": authorities} if authorities else {})


def _check_file(path: Path) -> None:
    """Tell the plain mistakes before FFmpeg words them."""
    if not path.exists():
        raise InputError(f"{path}: no such file; check the name")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder, not a video; name the files in it")
    if path.suffix.lower() in PLAYLISTS:
        raise InputError(f"{path}: a list of other files, which are not opened on its behalf; name or join the files")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; copy or download it again")
